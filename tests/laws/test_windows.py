"""Law 4: the chunks' windows are those of `sliding_window_view` over the series, each exactly once, with the same scores.

Law 1 for scores: no bit of them depends on the chunks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.series import Segment
from emberharmony.stats import WindowGram
from emberharmony.windows import WindowSpec
from tests.series import SeveralSeries


@given(
    n_rows=st.integers(12, 90),
    n_features=st.integers(1, 3),
    size=st.integers(1, 8),
    stride=st.integers(1, 10),
    cuts=st.lists(st.integers(0, 90), max_size=10),
    seed=st.integers(0, 5),
)
def test_chunks_fit_and_project_what_the_series_holds(n_rows, n_features, size, stride, cuts, seed):
    rows = np.random.default_rng(seed).normal(size=(n_features, n_rows)).astype(np.float32)
    views = np.lib.stride_tricks.sliding_window_view(rows, size, axis=1)[:, ::stride]
    windows = views.transpose(1, 2, 0).reshape(views.shape[1], -1).astype(np.float64)
    if len(windows) < 3:
        return
    ends = [0, *sorted(min(cut, n_rows) for cut in cuts), n_rows]
    chunks = list(pairwise(ends))

    state = reduce(WindowGram.merge, (WindowGram.of(rows[:, a:b], start=a, size=size, stride=stride) for a, b in chunks))
    pca = WindowPCA.fit(state, PCASpec(1))
    centred = windows - windows.mean(axis=0)
    np.testing.assert_allclose(pca.total_variance, (centred**2).sum() / (len(windows) - 1), rtol=1e-9)
    largest = np.linalg.svd(centred, compute_uv=False)[0] ** 2 / (len(windows) - 1)
    np.testing.assert_allclose(pca.explained_variance[0], largest, rtol=1e-9)

    halo, scores, first_rows = WindowSpec(size, (stride,)).halo, [], []
    for a, b in chunks:
        segment = Segment(a, rows[:, a : b + halo])
        starts = segment.window_starts(size, stride) if a < b else np.arange(0)
        scores.append(pca.project(segment.block, starts))
        first_rows.extend(a + starts)
    assert first_rows == list(range(0, n_rows - size + 1, stride))
    np.testing.assert_allclose(np.concatenate(scores, axis=1)[0], centred @ pca.components[0], atol=1e-5)


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    n_features=st.integers(2, 12),
    size=st.integers(1, 6),
    stride=st.integers(1, 14),
    cuts=st.lists(st.integers(0, 2_000), max_size=6),
    seed=st.integers(0, 9),
)
def test_no_bit_of_a_score_depends_on_the_chunks(lengths, n_features, size, stride, cuts, seed):
    """Chunks are projected in float32, and a few windows with outliers in float64."""
    series, rng = SeveralSeries(0, tuple(lengths)), np.random.default_rng(seed)
    rows = rng.standard_t(3, size=(n_features, series.n_rows)).astype(np.float32)
    pca = WindowPCA.fit(WindowGram.of(rng.normal(size=(n_features, 400)), start=0, size=size, stride=1), PCASpec(2))
    pca = replace(pca, stride=stride)
    assert pca._directions.longest > 0
    whole = pca.project(rows, Segment(0, rows, borders=series.borders).window_starts(size, stride))
    scores = []
    for a, b, start, borders in series.chunks(cuts):
        following = series.borders[series.borders >= b]
        halo = min(b + size - 1, int(following[0]) if len(following) else series.n_rows)
        segment = Segment(start, rows[:, a:halo], borders=borders)
        scores.append(pca.project(segment.block, segment.window_starts(size, stride)))
    np.testing.assert_array_equal(np.concatenate(scores, axis=1), whole)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_window_would_be_seen(lost):
    """The check above can fail: missing one window, or counting it twice, changes the PCA."""
    rows = np.random.default_rng(0).normal(size=(1, 40)).astype(np.float32)
    a = WindowGram.of(rows[:, :20], start=0, size=3, stride=1)
    b = WindowGram.of(rows[:, 20 + lost :], start=20 + lost, size=3, stride=1)
    whole = WindowGram.of(rows, start=0, size=3, stride=1)
    without_bridge = a.gram + b.gram
    assert np.abs(without_bridge - whole.gram).max() > 0.1
