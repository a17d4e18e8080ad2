"""The task that counts windows sums their products, for every stride."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.series import Segment
from emberharmony.stats.window_gram import merge_segments
from emberharmony.windows import WindowSpec
from tasks.windowing import count_windows

ROWS = np.random.default_rng(1).normal(size=(2, 40)).astype(np.float32)


@pytest.mark.parametrize("cut", [None, 17])
def test_windows_of_two_segments_are_those_of_the_series(backend, cut):
    spec = WindowSpec(3, (1, 4))
    parts = [Segment(0, ROWS)] if cut is None else [Segment(0, ROWS[:, :cut]), Segment(cut, ROWS[:, cut:])]
    states = merge_segments(count_windows.fn(part, spec) for part in parts)
    assert [state.stride for state in states] == [1, 4]
    for state in states:
        windows = np.stack([ROWS[:, i : i + 3].T.ravel() for i in range(0, 38, state.stride)]).astype(np.float64)
        pca = WindowPCA.fit(state, PCASpec(6))
        np.testing.assert_allclose(pca.mean.ravel(), windows.mean(axis=0), atol=1e-6)
        values = np.linalg.eigvalsh(np.cov(windows.T, ddof=0))[::-1]
        np.testing.assert_allclose(pca.explained_variance_ratio, values / values.sum(), atol=1e-6)
