"""Arguments for the functions of each element on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.ops_cases.arguments import ALL, BOOL, COMPLEX, FLOATS, INTS, NUMERIC, REAL, Arg, array, case, elements, pair


@case("abs", "negative", "positive", "sign", "square", "round")
def _(draw, name):
    return (draw(array(NUMERIC)),), {}


@case("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log", "log1p", "log2", "log10")
@case("reciprocal", "sin", "sinh", "sqrt", "tan", "tanh")
def _(draw, name):
    return (draw(array(FLOATS + COMPLEX)),), {}


@case("ceil", "floor", "trunc")
def _(draw, name):
    return (draw(array(REAL)),), {}


@case("isfinite", "isinf", "isnan")
def _(draw, name):
    return (draw(array(NUMERIC)),), {}


@case("conj", "imag", "real")
def _(draw, name):
    return (draw(array(COMPLEX)),), {}


@case("signbit")
def _(draw, name):
    return (draw(array(FLOATS)),), {}


@case("bitwise_invert")
def _(draw, name):
    return (draw(array(INTS + BOOL)),), {}


@case("logical_not")
def _(draw, name):
    return (draw(array(BOOL)),), {}


@case("add", "subtract", "multiply")
def _(draw, name):
    return draw(pair(NUMERIC)), {}


@case("divide")
def _(draw, name):
    return draw(pair(FLOATS + COMPLEX)), {}


@case("atan2", "copysign", "hypot", "logaddexp", "nextafter")
def _(draw, name):
    return draw(pair(FLOATS)), {}


@case("greater", "greater_equal", "less", "less_equal", "maximum", "minimum")
def _(draw, name):
    return draw(pair(REAL)), {}


@case("equal", "not_equal")
def _(draw, name):
    return draw(pair(ALL)), {}


@case("logical_and", "logical_or", "logical_xor")
def _(draw, name):
    return draw(pair(BOOL)), {}


@case("bitwise_and", "bitwise_or", "bitwise_xor")
def _(draw, name):
    return draw(pair(INTS + BOOL)), {}


def nonzero_second(a: Any, b: Any) -> tuple[Any, Any]:
    if isinstance(b, Arg):
        return a, Arg(np.where(b.values == 0, b.values.dtype.type(1), b.values))
    return a, b or type(b)(1)


@case("floor_divide", "remainder")
def _(draw, name):
    return nonzero_second(*draw(pair(REAL))), {}


@case("pow")
def _(draw, name):
    a, b = draw(pair(NUMERIC, scalars=False))
    if a.values.dtype.kind in "iu":
        b = Arg(np.abs(b.values) % 4)
    return nonzero_second(a, b), {}


@case("bitwise_left_shift", "bitwise_right_shift")
def _(draw, name):
    a, b = draw(pair(INTS, scalars=False))
    return (a, Arg((np.abs(b.values.astype(np.int64)) % 7).astype(b.values.dtype))), {}


@case("clip")
def _(draw, name):
    x = draw(array(REAL))
    scalar = elements(str(x.values.dtype))
    low, high = sorted([draw(scalar), draw(scalar)])
    return (x,), {k: v for k, v in {"min": low, "max": high}.items() if draw(st.booleans())}


@case("where")
def _(draw, name):
    a, b = draw(pair(ALL))
    shape = np.broadcast_shapes(*(v.values.shape if isinstance(v, Arg) else () for v in (a, b)))
    return (draw(array(BOOL, shape)), a, b), {}
