"""Elementwise comparisons, logical and bitwise operations, and `where`."""

from __future__ import annotations

from typing import Any

from emberharmony.ops._tensor import Tensor, binary, comparison, native, operands, scalar_dtype, unary, wrap

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
    "where",
]


def bitwise_and(x1: Any, x2: Any, /) -> Tensor:
    """The bits set in both."""
    return binary("bitwise_and", x1, x2)


def bitwise_invert(x: Any, /) -> Tensor:
    """The bits of each element, flipped."""
    return unary("bitwise_invert", x)


def bitwise_left_shift(x1: Any, x2: Any, /) -> Tensor:
    """``x1`` shifted left by ``x2`` bits."""
    return binary("bitwise_left_shift", x1, x2)


def bitwise_or(x1: Any, x2: Any, /) -> Tensor:
    """The bits set in either."""
    return binary("bitwise_or", x1, x2)


def bitwise_right_shift(x1: Any, x2: Any, /) -> Tensor:
    """``x1`` shifted right by ``x2`` bits, keeping the sign."""
    return binary("bitwise_right_shift", x1, x2)


def bitwise_xor(x1: Any, x2: Any, /) -> Tensor:
    """The bits set in exactly one of the two."""
    return binary("bitwise_xor", x1, x2)


def equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether the elements are equal."""
    return comparison("equal", x1, x2)


def greater(x1: Any, x2: Any, /) -> Tensor:
    """Whether ``x1 > x2``."""
    return comparison("greater", x1, x2)


def greater_equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether ``x1 >= x2``."""
    return comparison("greater_equal", x1, x2)


def isfinite(x: Any, /) -> Tensor:
    """Whether each element is neither infinite nor NaN."""
    return unary("isfinite", x)


def isinf(x: Any, /) -> Tensor:
    """Whether each element is infinite."""
    return unary("isinf", x)


def isnan(x: Any, /) -> Tensor:
    """Whether each element is NaN."""
    return unary("isnan", x)


def less(x1: Any, x2: Any, /) -> Tensor:
    """Whether ``x1 < x2``."""
    return comparison("less", x1, x2)


def less_equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether ``x1 <= x2``."""
    return comparison("less_equal", x1, x2)


def logical_and(x1: Any, x2: Any, /) -> Tensor:
    """Whether both are true."""
    return binary("logical_and", x1, x2)


def logical_not(x: Any, /) -> Tensor:
    """Whether each element is false."""
    return unary("logical_not", x)


def logical_or(x1: Any, x2: Any, /) -> Tensor:
    """Whether either is true."""
    return binary("logical_or", x1, x2)


def logical_xor(x1: Any, x2: Any, /) -> Tensor:
    """Whether exactly one is true."""
    return binary("logical_xor", x1, x2)


def not_equal(x1: Any, x2: Any, /) -> Tensor:
    """Whether the elements differ."""
    return comparison("not_equal", x1, x2)


def where(condition: Any, x1: Any, x2: Any, /) -> Tensor:
    """Elements of `x1` where `condition` is true, else of `x2`."""
    condition = wrap(condition)
    if isinstance(x1, (bool, int, float, complex)) and isinstance(x2, (bool, int, float, complex)):
        dtype = condition._xp.native_dtype(scalar_dtype(condition._xp, x1, x2))
        device = condition.device
        x1 = Tensor(condition._xp.full((), x1, dtype=dtype, device=device), condition._xp)
    xp, a, b = operands(x1, x2)
    return Tensor(xp.where(native(condition, xp), a, b), xp)
