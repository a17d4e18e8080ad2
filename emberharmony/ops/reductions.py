"""Reductions over axes, cumulative sums and differences."""

from __future__ import annotations

from typing import Any

from emberharmony.ops._tensor import Axis, Tensor, common, wrap

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def _reduced(name: str, x: Any, **keywords: Any) -> Tensor:
    x = wrap(x)
    xp = x._xp
    return Tensor(getattr(xp, name)(x._array, **keywords), xp)


def _typed(name: str, x: Any, dtype: Any, **keywords: Any) -> Tensor:
    """As `_reduced`, with the optional `dtype` of sums and products."""
    x = wrap(x)
    xp = x._xp
    native = None if dtype is None else xp.native_dtype(dtype)
    return Tensor(getattr(xp, name)(x._array, dtype=native, **keywords), xp)


def all(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true, over all or the given axes."""
    return _reduced("all", x, axis=axis, keepdims=keepdims)


def any(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element is true, over all or the given axes."""
    return _reduced("any", x, axis=axis, keepdims=keepdims)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the first largest element."""
    return _reduced("argmax", x, axis=axis, keepdims=keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the first smallest element."""
    return _reduced("argmin", x, axis=axis, keepdims=keepdims)


def count_nonzero(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The number of elements that are not zero."""
    return _reduced("count_nonzero", x, axis=axis, keepdims=keepdims)


def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element, over all or the given axes; NaN if any element is NaN."""
    return _reduced("max", x, axis=axis, keepdims=keepdims)


def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element, over all or the given axes; NaN if any element is NaN."""
    return _reduced("min", x, axis=axis, keepdims=keepdims)


def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean, over all or the given axes."""
    return _reduced("mean", x, axis=axis, keepdims=keepdims)


def std(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation; the divisor is the count less `correction` (1 for the sample standard deviation)."""
    return _reduced("std", x, axis=axis, correction=correction, keepdims=keepdims)


def var(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance; the divisor is the count less `correction` (1 for the sample variance)."""
    return _reduced("var", x, axis=axis, correction=correction, keepdims=keepdims)


def prod(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product, over all or the given axes; integers are multiplied in 64 bits."""
    return _typed("prod", x, dtype, axis=axis, keepdims=keepdims)


def sum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum, over all or the given axes; integers are added in 64 bits."""
    return _typed("sum", x, dtype, axis=axis, keepdims=keepdims)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """The cumulative product along an axis, with a leading 1 if `include_initial`."""
    return _typed("cumulative_prod", x, dtype, axis=axis, include_initial=include_initial)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """The cumulative sum along an axis, with a leading 0 if `include_initial`."""
    return _typed("cumulative_sum", x, dtype, axis=axis, include_initial=include_initial)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The `n`-th difference of adjacent elements along an axis."""
    if n == 0:
        return wrap(x)
    xp, natives = common([part for part in (prepend, x, append) if part is not None])
    joined = natives[0] if len(natives) == 1 else xp.concat(natives, axis=axis)
    return Tensor(xp.diff(joined, axis=axis, n=n), xp)
