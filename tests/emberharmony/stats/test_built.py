"""Gram matrices of windows that are built in blocks, against windows built at once."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import threads
from emberharmony.stats import built
from emberharmony.stats.built import add_gram_of_windows, gram_of_built, with_ones


@pytest.mark.parametrize("least", [1, 1_000])
@pytest.mark.parametrize("sums_bytes", [0, 5_000, 2**20])  # one sum, two, and at most four
def test_blocks_change_nothing(backend, monkeypatch, least, sums_bytes):
    for module in (built, threads):
        monkeypatch.setattr(module, "SUMS_BYTES", sums_bytes)
    monkeypatch.setattr(built, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(built, "_LEAST_WINDOWS", least)
    rows = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    starts = np.array([0, 1, 7, 30, 46])
    windows = np.stack([with_ones(rows)[p : p + 4].ravel() for p in starts])
    np.testing.assert_allclose(gram_of_built(rows, starts, 4), windows.T @ windows, rtol=1e-12, atol=1e-12)
    for sign in (1, -1):
        gram = np.ones((16, 16))
        add_gram_of_windows(gram, with_ones(rows), starts.tolist(), 4, sign=sign)
        np.testing.assert_allclose(gram, 1 + sign * (windows.T @ windows), rtol=1e-12, atol=1e-12)
    add_gram_of_windows(gram, with_ones(rows), [], 4)
    assert gram_of_built(rows, np.arange(0), 4).shape == (16, 16)


def test_rows_beyond_their_series_are_zeros():
    rows = np.ones((1, 9), np.float32)
    gram = gram_of_built(rows, np.array([0, 7]), 3, stops=np.array([2, 9]))
    np.testing.assert_array_equal(gram.reshape(3, 2, 3, 2)[:, 0, :, 0], [[2, 2, 0], [2, 2, 0], [0, 0, 0]])
