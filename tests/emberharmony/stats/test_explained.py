"""Squares that components explain, against windows that are built."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.window_gram import WindowGram
from emberharmony.windows import window_starts


def fitted(block, size, stride):
    return WindowPCA.fit(WindowGram.of_strides(block, start=0, size=size, strides=(stride,))[0], PCASpec(3))


def built(block, starts, size):
    """Windows, each of them one row."""
    return np.stack([block[:, start : start + size].T.ravel() for start in starts]).astype(np.float64)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 3, 7])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("n_rows", [6, 40, 10_000])  # of a chunk: fewer than a block, and several
def test_against_windows_that_are_built(size, stride, offset, n_rows):
    rng = np.random.default_rng(size)
    train = np.cumsum(rng.normal(size=(4, 200)), axis=1).astype(np.float32)
    block = (rng.normal(size=(4, n_rows)) * 3 + offset).astype(np.float32)
    pca = fitted(train, size, stride)
    merged, projected = [], []
    for start, stop in ((0, n_rows // 3), (n_rows // 3, n_rows)):
        starts = window_starts(size, stride, start=start, stop=stop, n_rows=n_rows)
        if starts:
            scores = pca.project(block, first=starts.start, count=len(starts))
            merged.append(pca.explained_squares(scores, block, first=starts.start))
            projected.append(scores)
    found = reduce(ExplainedSquares.merge, merged, ExplainedSquares())

    windows = built(block, window_starts(size, stride, start=0, stop=n_rows, n_rows=n_rows), size) - pca.mean
    np.testing.assert_allclose(found.total, (windows**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(found.explained, ((windows @ pca.components.T) ** 2).sum(), rtol=1e-4)


def test_of_the_training_windows_it_is_what_the_fit_says():
    block = np.cumsum(np.random.default_rng(0).normal(size=(4, 300)), axis=1).astype(np.float32)
    pca = fitted(block, 5, 2)
    starts = window_starts(5, 2, start=0, stop=300, n_rows=300)
    squares = pca.explained_squares(pca.project(block, first=0, count=len(starts)), block, first=0)
    assert squares.share == pytest.approx(pca.explained_variance_ratio.sum(), rel=1e-5)


def test_of_no_window_and_of_no_variance_there_is_no_share():
    assert ExplainedSquares().share is None
    still = np.full((2, 10), 3.0, np.float32)
    assert ExplainedSquares.of(np.zeros((1, 10)), still, np.full((1, 2), 3.0), first=0, stride=1).share is None
