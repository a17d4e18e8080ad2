"""Steps between rows and features."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.series import Segment
from emberharmony.steps.featurize import state_pays, time_runs, window_states
from emberharmony.windows import WindowSpec
from tests.references import windows_of


def test_states_pay_if_the_rows_are_more_than_half_their_size():
    windows = WindowSpec(5, (1, 3))
    state_bytes = (5 * 11) ** 2 * 2 * 8
    assert not state_pays(state_bytes // 2, windows, 10)
    assert state_pays(state_bytes // 2 + 1, windows, 10)


def test_window_states_count_the_windows_of_a_series():
    block = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    states = window_states(Segment(0, block), WindowSpec(4, (1, 3)))
    assert [(state.stride, state.n_windows) for state in states] == [(1, 37), (3, 13)]
    for state in states:
        windows = windows_of(block.T.astype(np.float64), size=4, stride=state.stride)
        variances = np.sort(np.linalg.eigvalsh(np.cov(windows, rowvar=False)))[::-1]
        found = WindowPCA.fit(state, PCASpec(components=5)).explained_variance
        np.testing.assert_allclose(found, variances[:5], rtol=1e-6)


def test_rows_of_equal_time_are_counted_without_those_in_no_split():
    rows = pa.table({"t": pa.array([1, 1, 2, 3, 3, 3], pa.timestamp("s"))})
    assert time_runs(rows, "t", np.zeros(6, np.int8)).n_shared == 5
    assert time_runs(rows, "t", np.array([0, -1, 0, 0, 0, 0], np.int8)).n_shared == 3
