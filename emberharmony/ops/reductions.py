"""Functions that fold axes away, and running totals."""

from __future__ import annotations

from typing import Any

from emberharmony.backend._tensor import Axis, Tensor, common, wrap

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
    """As `_reduced`, with the `dtype` that sums and products may be asked for."""
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
    """Where the (first) largest element is."""
    return _reduced("argmax", x, axis=axis, keepdims=keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the (first) smallest element is."""
    return _reduced("argmin", x, axis=axis, keepdims=keepdims)


def count_nonzero(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements are not zero."""
    return _reduced("count_nonzero", x, axis=axis, keepdims=keepdims)


def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element, over all or the given axes; NaN wins."""
    return _reduced("max", x, axis=axis, keepdims=keepdims)


def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element, over all or the given axes; NaN wins."""
    return _reduced("min", x, axis=axis, keepdims=keepdims)


def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean, over all or the given axes."""
    return _reduced("mean", x, axis=axis, keepdims=keepdims)


def std(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation; `correction` is what is taken off the count (1 for the sample's)."""
    return _reduced("std", x, axis=axis, correction=correction, keepdims=keepdims)


def var(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance; `correction` is what is taken off the count (1 for the sample's)."""
    return _reduced("var", x, axis=axis, correction=correction, keepdims=keepdims)


def prod(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product, over all or the given axes; small integers multiply as 64-bit ones."""
    return _typed("prod", x, dtype, axis=axis, keepdims=keepdims)


def sum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum, over all or the given axes; small integers add up as 64-bit ones."""
    return _typed("sum", x, dtype, axis=axis, keepdims=keepdims)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """The running product along an axis, with a leading 1 if asked for."""
    return _typed("cumulative_prod", x, dtype, axis=axis, include_initial=include_initial)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """The running sum along an axis, with a leading 0 if asked for."""
    return _typed("cumulative_sum", x, dtype, axis=axis, include_initial=include_initial)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The `n`-th difference of neighbours along an axis."""
    if n == 0:
        return wrap(x)
    xp, natives = common([part for part in (prepend, x, append) if part is not None])
    joined = natives[0] if len(natives) == 1 else xp.concat(natives, axis=axis)
    return Tensor(xp.diff(joined, axis=axis, n=n), xp)
