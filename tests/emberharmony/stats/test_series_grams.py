"""Gram matrices of one and of many series against windows that are built, on every path there is."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import threads
from emberharmony.stats import built, gathering, lags, series_grams
from emberharmony.stats import rows as rows_module
from emberharmony.stats.places import series_bounds
from emberharmony.stats.series_grams import add_many_series, add_series, shortest_by_lags, subtract_heads, subtract_tails
from tests.series import SeveralSeries, built_windows, places_by_trying


def expected(block, rows, size, stride):
    with_ones = np.concatenate([block, np.ones((1, block.shape[1]))])
    windows = built_windows(with_ones, places_by_trying(rows, size, stride), size)
    return windows.T @ windows


def series(shortest, longest, n_series, n_features=3):
    rng = np.random.default_rng(longest)
    rows = SeveralSeries(0, tuple(rng.integers(shortest, longest, n_series).tolist()))
    return rows, rng.normal(size=(n_features, rows.n_rows)).astype(np.float32)


def added(rows, block, size, strides):
    width = size * (len(block) + 1)
    grams = {stride: np.ones((width, width)) for stride in strides}  # they are added to what is there
    add_many_series(grams, block, series_bounds(0, rows.n_rows, rows.borders), size=size)
    return grams


def assert_right(rows, block, size, strides):
    for stride, gram in added(rows, block, size, strides).items():
        correct = expected(block, rows, size, stride)
        np.testing.assert_allclose(gram - 1.0, correct, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(correct).max()))


@pytest.mark.parametrize("most_built", [0, 64])
@pytest.mark.parametrize("subtracted_ns", [0.0, 1e9])  # tails are shared by strides, or are not
@pytest.mark.parametrize("sparse", [0.0, 1e9])  # single rows are gathered, or rows of a transposed block
@pytest.mark.parametrize(
    ("size", "strides"), [(5, (1, 3, 5)), (4, (2, 7)), (1, (1, 4)), (2, (5,)), (9, (4, 1)), (3, (1, 2_000))]
)
def test_every_path_gives_the_same(backend, monkeypatch, most_built, subtracted_ns, sparse, size, strides):
    monkeypatch.setattr(series_grams, "_MOST_BUILT", most_built)
    monkeypatch.setattr(series_grams, "_SUBTRACTED_NS", subtracted_ns)
    monkeypatch.setattr(gathering, "_SPARSE", sparse)
    assert_right(*series(1, 40, 60), size, strides)


@pytest.mark.parametrize("sparse", [0.0, 1e9])
def test_on_a_device(backend, monkeypatch, sparse):
    """Where the rows of a block are transferred, transposed and gathered by the backend."""
    for module in (built, gathering, lags, rows_module):
        monkeypatch.setattr(module, "on_host", lambda: False)
    monkeypatch.setattr(gathering, "_SPARSE", sparse)
    assert_right(*series(1, 40, 60), 5, (1, 3, 5))


@pytest.mark.parametrize("n_threads", [1, 3, 7])
def test_many_blocks(monkeypatch, n_threads):
    monkeypatch.setattr(threads, "compute_threads", lambda: n_threads)
    monkeypatch.setattr(lags, "_HOST_BLOCK_ROWS", 50)
    monkeypatch.setattr(built, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(built, "_LEAST_WINDOWS", 7)
    monkeypatch.setattr(series_grams, "_TAILS_BYTES", 1)
    monkeypatch.setattr(series_grams, "_LEAST_TAILS", 5)
    monkeypatch.setattr(series_grams, "_SUBTRACTED_NS", 0.0)
    assert_right(*series(1, 60, 100), 5, (1, 3, 5))


@pytest.mark.parametrize("longest", [10, 60])
def test_threads_change_no_last_bit(longest):
    """Threads of BLAS included: with them, products of these shapes differ."""
    rows, block = series(1, longest, 30_000 // longest, n_features=40)
    grams = []
    for n_threads in (1, 2, 3, 7):
        with threads.limit_compute_threads(n_threads):
            grams.append(added(rows, block, 5, (1, 3)))
    for other in grams[1:]:
        for stride, gram in other.items():
            np.testing.assert_array_equal(gram, grams[0][stride])


@pytest.mark.parametrize(("shortest", "longest"), [(1, 5), (5, 6), (6, 7), (9, 10), (300, 900)])
def test_series_of_one_length_and_of_no_window(shortest, longest):
    assert_right(*series(shortest, longest, 20), 5, (1, 3, 5))


def test_one_series_that_began_before():
    rows, block = SeveralSeries(7, (200,)), series(200, 201, 1)[1]
    grams = {stride: np.zeros((20, 20)) for stride in (1, 3)}
    add_series(grams, block, start=7, size=5)
    for stride, gram in grams.items():
        np.testing.assert_allclose(gram, expected(block, rows, 5, stride), rtol=1e-11, atol=1e-9)


def test_short_series_are_built():
    """Series of nine rows are not, nor those of many windows, whatever they cost."""
    assert shortest_by_lags([1, 3, 5], size=5, width=46) == 9
    assert shortest_by_lags([999], size=5, width=46) == 5 + 63


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 9])
def test_incomplete_windows_are_subtracted(stride):
    """Of one series of ones, the windows that begin before it or end after it."""
    size, halo = 5, 4
    gram, ones = np.zeros((size, 1, size, 1)), np.ones((halo, 1, halo, 1))
    subtract_heads(gram, ones, stride)
    before = sum(np.outer(row, row) for row in (np.arange(size) >= n for n in range(stride, size, stride)))
    np.testing.assert_array_equal(gram[:, 0, :, 0], -before if stride < size else np.zeros((size, size)))
    gram[:] = 0
    subtract_tails(gram, ones, stride)
    after = sum(np.outer(row, row) for row in (np.arange(size) < halo - n for n in range(0, halo, stride)))
    np.testing.assert_array_equal(gram[:, 0, :, 0], -after)
