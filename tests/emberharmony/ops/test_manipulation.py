"""Shapes and orders of elements on every backend, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "keywords", "expected"),
    [
        ("reshape", ((4, -1),), {}, X.reshape(4, -1)),
        ("permute_dims", ((2, 0, 1),), {}, X.transpose(2, 0, 1)),
        ("moveaxis", (0, -1), {}, np.moveaxis(X, 0, -1)),
        ("flip", (), {"axis": 1}, np.flip(X, 1)),
        ("flip", (), {}, np.flip(X)),
        ("roll", (2,), {"axis": 2}, np.roll(X, 2, 2)),
        ("roll", (5,), {}, np.roll(X, 5)),
        ("expand_dims", (), {"axis": 1}, X[:, None]),
        ("squeeze", (), {"axis": 0}, None),
        ("tile", ((2, 1, 1),), {}, np.tile(X, (2, 1, 1))),
        ("repeat", (3,), {"axis": 1}, np.repeat(X, 3, 1)),
        ("broadcast_to", ((5, 2, 3, 4),), {}, np.broadcast_to(X, (5, 2, 3, 4))),
        ("matrix_transpose", (), {}, X.swapaxes(-1, -2)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_tensor(backend, name, arguments, keywords, expected):
    x = X[:1] if name == "squeeze" else X
    expected = X[0] if name == "squeeze" else expected
    got = getattr(ops, name)(ops.asarray(x), *arguments, **keywords)
    assert got.dtype is ops.float32
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_several_tensors_one_after_the_other(backend, axis):
    parts = [X, X + 100]
    np.testing.assert_array_equal(ops.concat([*map(ops.asarray, parts)], axis=axis).numpy(), np.concatenate(parts, axis=axis))
    if axis is not None:
        stacked = ops.stack([*map(ops.asarray, parts)], axis=axis)
        np.testing.assert_array_equal(stacked.numpy(), np.stack(parts, axis=axis))
        for one, other in zip(ops.unstack(stacked, axis=axis), parts, strict=True):
            np.testing.assert_array_equal(one.numpy(), other)


def test_tensors_of_shapes_that_fit(backend):
    for one, other in zip(
        ops.broadcast_arrays(ops.asarray(X[0]), ops.asarray(X[:, :1])), np.broadcast_arrays(X[0], X[:, :1]), strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other)


@pytest.mark.parametrize("counts", [[1, 0, 3], 2], ids=str)
def test_rows_repeated_by_a_count_each(backend, counts):
    got = ops.repeat(ops.asarray(X), ops.asarray(counts) if isinstance(counts, list) else counts, axis=1)
    np.testing.assert_array_equal(got.numpy(), np.repeat(X, counts, axis=1))


def test_shapes_that_do_not_fit_are_refused(backend):
    for call in (lambda x: ops.reshape(x, (5, 5)), lambda x: ops.broadcast_to(x, (7,)), lambda x: ops.squeeze(x, axis=0)):
        with pytest.raises((ValueError, RuntimeError)):
            call(ops.asarray(X))
