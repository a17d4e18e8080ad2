"""Searching and sorting on every backend, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

RNG = np.random.default_rng(2)
TIES = RNG.integers(0, 5, (4, 9)).astype(np.int32)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_equal_elements_keep_their_order(backend, axis, descending):
    order = ops.argsort(ops.asarray(TIES), axis=axis, descending=descending).numpy()
    expected = np.argsort(-TIES if descending else TIES, axis=axis, kind="stable")
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(
        ops.sort(ops.asarray(TIES), axis=axis, descending=descending).numpy(), np.take_along_axis(TIES, expected, axis)
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_places_in_a_sorted_array(backend, side):
    edges, values = np.array([0, 1, 1, 3], np.float32), np.array([-1, 0, 1, 2, 3, 4], np.float32)
    got = ops.searchsorted(ops.asarray(edges), ops.asarray(values), side=side)
    np.testing.assert_array_equal(got.numpy(), np.searchsorted(edges, values, side=side))


def test_places_of_what_is_not_zero(backend):
    for got, expected in zip(ops.nonzero(ops.asarray(TIES)), np.nonzero(TIES), strict=True):
        np.testing.assert_array_equal(got.numpy(), expected)
    np.testing.assert_array_equal(ops.argmax(ops.asarray(TIES), axis=1).numpy(), TIES.argmax(axis=1))
    np.testing.assert_array_equal(ops.argmin(ops.asarray(TIES), axis=0).numpy(), TIES.argmin(axis=0))


def test_distinct_values(backend):
    values, indices, inverse, counts = (part.numpy() for part in ops.unique_all(ops.asarray(TIES)))
    expected, n = np.unique(TIES, return_counts=True)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(counts, n)
    np.testing.assert_array_equal(TIES.ravel()[indices], expected)
    np.testing.assert_array_equal(values[inverse], TIES)
    np.testing.assert_array_equal(ops.unique_values(ops.asarray(TIES)).numpy(), expected)


def test_every_nan_is_a_value_of_its_own(backend):
    assert ops.unique_values(ops.asarray(np.array([np.nan, 1.0, np.nan], np.float32))).shape == (3,)


def test_elements_by_index(backend):
    x = ops.asarray(TIES)
    places = np.array([3, 0, 3])
    np.testing.assert_array_equal(ops.take(x, ops.asarray(places), axis=0).numpy(), TIES[places])
    along = np.argsort(TIES, axis=1, kind="stable")
    taken = ops.take_along_axis(x, ops.asarray(along), axis=1).numpy()
    np.testing.assert_array_equal(taken, np.sort(TIES, axis=1))
    np.testing.assert_array_equal(ops.where(x > 2, x, -x).numpy(), np.where(TIES > 2, TIES, -TIES))
    np.testing.assert_array_equal(ops.isin(x, ops.asarray([1, 4], dtype=ops.int32)).numpy(), np.isin(TIES, [1, 4]))
