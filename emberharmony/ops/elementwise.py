"""Elementwise arithmetic and elementary functions."""

from __future__ import annotations

from typing import Any

from emberharmony.backend._dtypes import promote
from emberharmony.ops._tensor import Tensor, binary, check_scalar, elementary, elementary_of_two, native, unary, wrap

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "hypot",
    "imag",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
]


def abs(x: Any, /) -> Tensor:
    """The absolute value (modulus) of each element."""
    return unary("abs", x)


def acos(x: Any, /) -> Tensor:
    """The inverse cosine, in radians."""
    return elementary("acos", x)


def acosh(x: Any, /) -> Tensor:
    """The inverse hyperbolic cosine."""
    return elementary("acosh", x)


def add(x1: Any, x2: Any, /) -> Tensor:
    """``x1 + x2``."""
    return binary("add", x1, x2)


def asin(x: Any, /) -> Tensor:
    """The inverse sine, in radians."""
    return elementary("asin", x)


def asinh(x: Any, /) -> Tensor:
    """The inverse hyperbolic sine."""
    return elementary("asinh", x)


def atan(x: Any, /) -> Tensor:
    """The inverse tangent, in radians."""
    return elementary("atan", x)


def atan2(x1: Any, x2: Any, /) -> Tensor:
    """The angle of the point (x2, x1), in radians from -pi to pi."""
    return elementary_of_two("atan2", x1, x2)


def atanh(x: Any, /) -> Tensor:
    """The inverse hyperbolic tangent."""
    return elementary("atanh", x)


def ceil(x: Any, /) -> Tensor:
    """Each element rounded up to a whole number."""
    return unary("ceil", x)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """Limit each element to the range from `min` to `max` (scalars or tensors; None means no bound)."""
    x = wrap(x)
    return Tensor(x._xp.clip(x._array, _bound(x, min), _bound(x, max)), x._xp)


def _bound(x: Tensor, bound: Any) -> Any:
    """A bound of `clip` as a native value, which does not change the dtype of `x`."""
    if bound is None:
        return None
    if isinstance(bound, (bool, int, float)):
        check_scalar(x.dtype, bound)
        return bound
    array = native(bound, x._xp)
    if array.dtype != x._array.dtype:
        promote(x._xp.DTYPES[array.dtype], x.dtype)
        array = x._xp.cast(array, x._array.dtype)
    return array


def conj(x: Any, /) -> Tensor:
    """The complex conjugate."""
    return unary("conj", x)


def copysign(x1: Any, x2: Any, /) -> Tensor:
    """The magnitude of ``x1`` with the sign of ``x2``."""
    return elementary_of_two("copysign", x1, x2)


def cos(x: Any, /) -> Tensor:
    """The cosine of angles in radians."""
    return elementary("cos", x)


def cosh(x: Any, /) -> Tensor:
    """The hyperbolic cosine."""
    return elementary("cosh", x)


def divide(x1: Any, x2: Any, /) -> Tensor:
    """``x1 / x2``."""
    return binary("divide", x1, x2)


def exp(x: Any, /) -> Tensor:
    """The exponential of each element."""
    return elementary("exp", x)


def expm1(x: Any, /) -> Tensor:
    """``exp(x) - 1``, accurate near zero."""
    return elementary("expm1", x)


def floor(x: Any, /) -> Tensor:
    """Each element rounded down to a whole number."""
    return unary("floor", x)


def floor_divide(x1: Any, x2: Any, /) -> Tensor:
    """``x1 / x2`` rounded down."""
    return binary("floor_divide", x1, x2)


def hypot(x1: Any, x2: Any, /) -> Tensor:
    """``sqrt(x1**2 + x2**2)`` without overflow."""
    return elementary_of_two("hypot", x1, x2)


def imag(x: Any, /) -> Tensor:
    """The imaginary part of complex elements."""
    return unary("imag", x)


def log(x: Any, /) -> Tensor:
    """The natural logarithm."""
    return elementary("log", x)


def log10(x: Any, /) -> Tensor:
    """The logarithm to base 10."""
    return elementary("log10", x)


def log1p(x: Any, /) -> Tensor:
    """``log(1 + x)``, accurate near zero."""
    return elementary("log1p", x)


def log2(x: Any, /) -> Tensor:
    """The logarithm to base 2."""
    return elementary("log2", x)


def logaddexp(x1: Any, x2: Any, /) -> Tensor:
    """``log(exp(x1) + exp(x2))`` without overflow."""
    return elementary_of_two("logaddexp", x1, x2)


def maximum(x1: Any, x2: Any, /) -> Tensor:
    """The larger of two elements; NaN if either is NaN."""
    return binary("maximum", x1, x2)


def minimum(x1: Any, x2: Any, /) -> Tensor:
    """The smaller of two elements; NaN if either is NaN."""
    return binary("minimum", x1, x2)


def multiply(x1: Any, x2: Any, /) -> Tensor:
    """``x1 * x2``."""
    return binary("multiply", x1, x2)


def negative(x: Any, /) -> Tensor:
    """Each element with its sign flipped."""
    return unary("negative", x)


def nextafter(x1: Any, x2: Any, /) -> Tensor:
    """The next floating-point number from ``x1`` towards ``x2``."""
    return elementary_of_two("nextafter", x1, x2)


def positive(x: Any, /) -> Tensor:
    """Each element unchanged."""
    return unary("positive", x)


def pow(x1: Any, x2: Any, /) -> Tensor:
    """``x1`` to the power of ``x2``."""
    return binary("pow", x1, x2)


def real(x: Any, /) -> Tensor:
    """The real part of complex elements."""
    return unary("real", x)


def reciprocal(x: Any, /) -> Tensor:
    """One over each element."""
    return elementary("reciprocal", x)


def remainder(x1: Any, x2: Any, /) -> Tensor:
    """The remainder of ``x1 / x2``, with the sign of ``x2``."""
    return binary("remainder", x1, x2)


def round(x: Any, /) -> Tensor:
    """Each element rounded to the nearest whole number, halves to the nearest even number."""
    return unary("round", x)


def sign(x: Any, /) -> Tensor:
    """-1, 0 or 1 according to the sign of each element; NaN stays NaN."""
    return unary("sign", x)


def signbit(x: Any, /) -> Tensor:
    """Whether the sign bit is set, for -0.0 and NaN too."""
    return unary("signbit", x)


def sin(x: Any, /) -> Tensor:
    """The sine of angles in radians."""
    return elementary("sin", x)


def sinh(x: Any, /) -> Tensor:
    """The hyperbolic sine."""
    return elementary("sinh", x)


def sqrt(x: Any, /) -> Tensor:
    """The square root."""
    return elementary("sqrt", x)


def square(x: Any, /) -> Tensor:
    """Each element times itself."""
    return unary("square", x)


def subtract(x1: Any, x2: Any, /) -> Tensor:
    """``x1 - x2``."""
    return binary("subtract", x1, x2)


def tan(x: Any, /) -> Tensor:
    """The tangent of angles in radians."""
    return elementary("tan", x)


def tanh(x: Any, /) -> Tensor:
    """The hyperbolic tangent."""
    return elementary("tanh", x)


def trunc(x: Any, /) -> Tensor:
    """Each element rounded towards zero."""
    return unary("trunc", x)
