"""The task that projects windows multiplies them with the components."""

from __future__ import annotations

import numpy as np

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.series import Segment
from emberharmony.stats.window_gram import merge_segments
from emberharmony.windows import WindowSpec
from tasks.pca import project_windows
from tasks.windowing import count_windows

ROWS = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)


def test_scores_are_those_of_materialised_windows(backend):
    segment = Segment(0, ROWS)
    (state,) = merge_segments([count_windows.fn(segment, WindowSpec(4, (2,)))])
    pca = WindowPCA.fit(state, PCASpec(5))
    starts = np.arange(0, 47, 2)
    scores = project_windows.fn({2: pca}, segment, {2: starts})[2]
    windows = np.stack([ROWS[:, i : i + 4].T.ravel() for i in starts]).astype(np.float64)
    centred = windows - windows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    expected = centred @ vectors[:, ::-1][:, :5]
    got = scores if scores.shape == expected.shape else scores.T
    np.testing.assert_allclose(np.abs(got), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(pca.explained_variance_ratio, values[::-1][:5] / values.sum(), atol=1e-6)
