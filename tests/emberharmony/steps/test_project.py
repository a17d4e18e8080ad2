"""Projection of the windows of a segment, against scikit-learn on materialised windows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.window_gram import WindowGram
from emberharmony.steps.project import project
from emberharmony.steps.segments import Segment


def test_windows_are_numbered_in_the_series_not_in_the_segment():
    rng = np.random.default_rng(1)
    series = rng.normal(size=(3, 60)).astype(np.float32)
    (state,) = WindowGram.of_strides(series, start=0, size=4, strides=(2,))
    pca = WindowPCA.fit(state, PCASpec(components=2))
    whole = project(pca, Segment(0, pa.table({ROW_NUMBER: np.arange(60)}), series), range(0, 57, 2))
    part = project(pca, Segment(20, pa.table({ROW_NUMBER: np.arange(20, 60)}), series[:, 20:]), range(20, 57, 2))
    assert whole.shape == (2, 29)
    np.testing.assert_allclose(part, whole[:, 10:], atol=1e-6)
