"""Projection of the windows of a segment, against scikit-learn on materialised windows."""

from __future__ import annotations

import numpy as np

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.series import Segment
from emberharmony.stats.window_gram import WindowGram, merge_segments
from emberharmony.steps.featurize import window_states
from emberharmony.steps.project import project as project_strides
from emberharmony.windows import WindowSpec


def project(pca, segment, starts):
    return project_strides({pca.stride: pca}, segment, {pca.stride: starts})[pca.stride]


def test_windows_are_placed_in_the_segment():
    rng = np.random.default_rng(1)
    series = rng.normal(size=(3, 60)).astype(np.float32)
    (state,) = WindowGram.of_strides(series, start=0, size=4, strides=(2,))
    pca = WindowPCA.fit(state, PCASpec(components=2))
    whole = project(pca, Segment(0, series), np.arange(0, 57, 2))
    part = project(pca, Segment(20, series[:, 20:]), np.arange(0, 37, 2))
    assert whole.shape == (2, 29)
    np.testing.assert_allclose(part, whole[:, 10:], atol=1e-6)


def test_segments_give_what_built_windows_give():
    rows = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    spec = WindowSpec(4, (3,))
    (state,) = merge_segments(window_states(Segment(a, rows[:, a:b]), spec) for a, b in [(0, 17), (17, 50)])
    pca = WindowPCA.fit(state, PCASpec(2))
    assert pca.n_windows == 16
    windows = np.stack([rows[:, p : p + 4].T.ravel() for p in range(0, 47, 3)])
    part = Segment(20, rows[:, 20:40])
    starts = part.window_starts(4, 3)
    assert starts.tolist() == list(range(1, 17, 3))
    np.testing.assert_allclose(project(pca, part, starts).T, ((windows - pca.mean) @ pca.components.T)[7:13], atol=1e-5)
    assert project(pca, part, np.arange(0)).shape == (2, 0)
