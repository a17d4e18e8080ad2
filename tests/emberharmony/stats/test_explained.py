"""Squares that components explain, against windows that are built."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats import explained
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.window_gram import WindowGram
from emberharmony.windows import window_starts
from tests.series import built_windows, places_by_trying, several_series


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
            scores = pca.project(block, np.array(starts))
            merged.append(pca.explained_squares(scores, block, np.array(starts)))
            projected.append(scores)
    found = reduce(ExplainedSquares.merge, merged, ExplainedSquares())

    windows = built(block, window_starts(size, stride, start=0, stop=n_rows, n_rows=n_rows), size) - pca.mean
    np.testing.assert_allclose(found.total, (windows**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(found.explained, ((windows @ pca.components.T) ** 2).sum(), rtol=1e-4)


@given(rows=several_series(), size=st.integers(1, 6), stride=st.integers(1, 6), block_rows=st.integers(1, 50))
def test_windows_of_several_series(rows, size, stride, block_rows):
    rng = np.random.default_rng(rows.n_rows)
    mean = rng.normal(size=(size, 2))
    block, starts = rng.normal(size=(2, rows.n_rows)).astype(np.float32), np.array(places_by_trying(rows, size, stride), int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explained, "_BLOCK_ROWS", block_rows)
        found = ExplainedSquares.of(np.full((1, len(starts)), 2.0), block, starts, mean)
    np.testing.assert_allclose(found.total, ((built_windows(block, starts, size) - mean.ravel()) ** 2).sum(), rtol=1e-12)
    assert found.explained == 4 * len(starts)


def test_of_the_training_windows_it_is_what_the_fit_says():
    block = np.cumsum(np.random.default_rng(0).normal(size=(4, 300)), axis=1).astype(np.float32)
    pca = fitted(block, 5, 2)
    starts = np.arange(0, 296, 2)
    squares = pca.explained_squares(pca.project(block, starts), block, starts)
    assert squares.share == pytest.approx(pca.explained_variance_ratio.sum(), rel=1e-5)


def test_of_no_window_and_of_no_variance_there_is_no_share():
    assert ExplainedSquares().share is None
    still = np.full((2, 10), 3.0, np.float32)
    assert ExplainedSquares.of(np.zeros((1, 10)), still, np.arange(10), np.full((1, 2), 3.0)).share is None
