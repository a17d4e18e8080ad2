"""Sorting, searching, indexing and set functions."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from emberharmony.ops._tensor import Tensor, native, operands, wrap

__all__ = [
    "UniqueAll",
    "UniqueCounts",
    "UniqueInverse",
    "argsort",
    "isin",
    "nonzero",
    "searchsorted",
    "sort",
    "take",
    "take_along_axis",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]


class UniqueAll(NamedTuple):
    """The result of `unique_all`."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The result of `unique_counts`."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The result of `unique_inverse`."""

    values: Tensor
    inverse_indices: Tensor


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort the elements along an axis."""
    x = wrap(x)
    return Tensor(x._xp.argsort(x._array, axis=axis, descending=descending, stable=stable), x._xp)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in sorted order along an axis."""
    x = wrap(x)
    return Tensor(x._xp.sort(x._array, axis=axis, descending=descending, stable=stable), x._xp)


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The positions of the elements that are not zero, one tensor per axis."""
    x = wrap(x)
    if x.ndim == 0:
        raise ValueError("nonzero needs a tensor with at least one axis.")
    return tuple(Tensor(a, x._xp) for a in x._xp.nonzero(x._array))


def searchsorted(x1: Any, x2: Any, /, *, side: Literal["left", "right"] = "left", sorter: Any = None) -> Tensor:
    """The positions at which to insert `x2` into the sorted `x1`, before ("left") or after ("right") equal elements."""
    xp, a, b = operands(x1, x2)
    order = None if sorter is None else native(sorter, xp)
    return Tensor(xp.searchsorted(a, b, side=side, sorter=order), xp)


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Whether each element of `x1` occurs in `x2`."""
    xp, a, b = operands(x1, x2)
    return Tensor(xp.isin(a, b, invert=invert), xp)


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Tensor:
    """The slices of `x` at `indices` (a tensor with one axis) along an axis."""
    x = wrap(x)
    if axis is None and x.ndim != 1:
        raise ValueError(f"take needs an axis for a tensor with {x.ndim} axes.")
    return Tensor(x._xp.take(x._array, native(indices, x._xp), axis=0 if axis is None else axis), x._xp)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Tensor:
    """The elements at `indices` along an axis, row by row, for example at the result of `argsort`."""
    x = wrap(x)
    return Tensor(x._xp.take_along_axis(x._array, native(indices, x._xp), axis=axis), x._xp)


def unique_all(x: Any, /) -> UniqueAll:
    """The distinct values, the index of each one's first occurrence, the value index of each element, and the counts."""
    x = wrap(x)
    return UniqueAll(*(Tensor(a, x._xp) for a in x._xp.unique_all(x._array)))


def unique_counts(x: Any, /) -> UniqueCounts:
    """The distinct values and their counts."""
    x = wrap(x)
    return UniqueCounts(*(Tensor(a, x._xp) for a in x._xp.unique_counts(x._array)))


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The distinct values, and for each element the index of its value."""
    x = wrap(x)
    return UniqueInverse(*(Tensor(a, x._xp) for a in x._xp.unique_inverse(x._array)))


def unique_values(x: Any, /) -> Tensor:
    """The distinct values."""
    x = wrap(x)
    return Tensor(x._xp.unique_values(x._array), x._xp)
