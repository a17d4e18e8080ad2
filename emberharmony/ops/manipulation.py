"""Functions that rearrange elements without computing with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from emberharmony.ops._tensor import Axis, Tensor, common, mixed, native, wrap

__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "hstack",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
    "vstack",
]


def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    """The arrays, broadcast to their common shape."""
    tensors = [wrap(x) for x in arrays]
    for x in tensors[1:]:
        if x._xp is not tensors[0]._xp:
            raise mixed(tensors[0], x)
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(Tensor(x._xp.broadcast_to(x._array, shape), x._xp) for x in tensors)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape to which arrays of the given shapes broadcast."""
    return tuple(np.broadcast_shapes(*shapes))


def broadcast_to(x: Any, /, shape: tuple[int, ...]) -> Tensor:
    """`x`, broadcast to `shape`."""
    x = wrap(x)
    return Tensor(x._xp.broadcast_to(x._array, tuple(shape)), x._xp)


def concat(arrays: tuple[Any, ...] | list[Any], /, *, axis: int | None = 0) -> Tensor:
    """Concatenate the arrays along an existing axis; None flattens them first."""
    xp, natives = common(arrays)
    return Tensor(xp.concat(natives, axis=axis), xp)


def expand_dims(x: Any, /, axis: int | tuple[int, ...]) -> Tensor:
    """`x` with a new axis of length 1 at `axis`."""
    x = wrap(x)
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = x.ndim + len(axes)
    if not all(-ndim <= a < ndim for a in axes):
        raise IndexError(f"Axis {axis} is out of bounds for a tensor that will have {ndim} axes.")
    return Tensor(x._xp.expand_dims(x._array, axis=axis), x._xp)


def flip(x: Any, /, *, axis: Axis = None) -> Tensor:
    """The elements in reverse order along all or the given axes."""
    x = wrap(x)
    return Tensor(x._xp.flip(x._array, axis=axis), x._xp)


def hstack(arrays: tuple[Any, ...] | list[Any], /) -> Tensor:
    """Concatenate the arrays along the second axis, or along the only one."""
    tensors = [x if x.ndim else reshape(x, (1,)) for x in map(wrap, arrays)]
    return concat(tensors, axis=0 if tensors and tensors[0].ndim == 1 else 1)


def matrix_transpose(x: Any, /) -> Tensor:
    """The transpose of each matrix in a stack (the last two axes)."""
    return wrap(x).mT


def moveaxis(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Tensor:
    """`x` with the axes `source` moved to `destination`; the other axes keep their order."""
    x = wrap(x)
    return Tensor(x._xp.moveaxis(x._array, source, destination), x._xp)


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Tensor:
    """`x` with its axes in the order `axes`."""
    x = wrap(x)
    return Tensor(x._xp.permute_dims(x._array, tuple(axes)), x._xp)


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Repeat each element `repeats` times (one number, or one per element) along an axis, or in the flattened array."""
    x = wrap(x)
    counts = repeats if isinstance(repeats, int) else native(repeats, x._xp)
    return Tensor(x._xp.repeat(x._array, counts, axis=axis), x._xp)


def reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The elements in row-major order in another shape; one length may be -1."""
    x = wrap(x)
    return Tensor(x._xp.reshape(x._array, tuple(shape), copy=copy), x._xp)


def roll(x: Any, /, shift: int | tuple[int, ...], *, axis: Axis = None) -> Tensor:
    """Shift the elements along axes; those shifted past the end return at the start."""
    x = wrap(x)
    return Tensor(x._xp.roll(x._array, shift, axis=axis), x._xp)


def squeeze(x: Any, /, axis: int | tuple[int, ...]) -> Tensor:
    """`x` without the given axes, which must have length 1."""
    x = wrap(x)
    return Tensor(x._xp.squeeze(x._array, axis=axis), x._xp)


def stack(arrays: tuple[Any, ...] | list[Any], /, *, axis: int = 0) -> Tensor:
    """Join arrays of one shape along a new axis."""
    xp, natives = common(arrays)
    return Tensor(xp.stack(natives, axis=axis), xp)


def tile(x: Any, repetitions: tuple[int, ...], /) -> Tensor:
    """Repeat the whole of `x` `repetitions` times along each axis."""
    x = wrap(x)
    return Tensor(x._xp.tile(x._array, tuple(repetitions)), x._xp)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of `x` along an axis, as a tuple."""
    x = wrap(x)
    return tuple(Tensor(a, x._xp) for a in x._xp.unstack(x._array, axis=axis))


def vstack(arrays: tuple[Any, ...] | list[Any], /) -> Tensor:
    """Concatenate the arrays along the first axis; an array with one axis becomes a row."""
    return concat([x if x.ndim > 1 else reshape(x, (1, -1)) for x in map(wrap, arrays)], axis=0)
