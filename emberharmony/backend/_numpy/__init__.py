"""NumPy under the names of the array API standard, with corrections.

NumPy follows the standard itself from version 2.1. array-api-compat would import everything that NumPy has, f2py and its tests
included, which takes 0.1 s at the start of every job.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy import (  # isort: skip
    abs, acos, acosh, add, all, any, arange, argmax, argmin, asin, asinh, astype, atan, atan2, atanh, bitwise_and,
    bitwise_invert, bitwise_left_shift, bitwise_or, bitwise_right_shift, bitwise_xor, broadcast_to, ceil, clip, concat,
    conj, copysign, cos, cosh, cumulative_prod, cumulative_sum, diff, divide, empty, equal, exp, expand_dims, eye, flip,
    floor, full, greater, greater_equal, hypot, imag, isfinite, isin, isinf, isnan, less, less_equal, linspace, log,
    log1p, log2, log10, logaddexp, logical_and, logical_not, logical_or, logical_xor, matmul, max, maximum, mean,
    meshgrid, min, minimum, moveaxis, multiply, negative, nextafter, nonzero, not_equal, ones, permute_dims, positive,
    prod, real, reciprocal, remainder, repeat, reshape, roll, round, searchsorted, signbit, sin, sinh, sqrt, square,
    squeeze, stack, std, subtract, sum, take, tan, tanh, tensordot, tile, tril, triu, trunc, unique_all, unique_counts,
    unique_inverse, unstack, var, vecdot, where, zeros,
)  # fmt: skip

from emberharmony.backend import _dtypes
from emberharmony.backend._numpy import fft, linalg

__all__ = [
    "ARRAY", "DEFAULT_COMPLEX", "DEFAULT_FLOAT", "DISCRETE", "DTYPES", "MAX_DIMENSIONS", "MEMORY_ERRORS", "NAME",
    "abs", "acos", "acosh", "add",
    "all", "any", "arange", "argmax", "argmin", "argsort", "asarray", "asin", "asinh", "astype", "atan", "atan2", "atanh",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "broadcast_to", "cast", "ceil", "clip", "concat", "conj", "copysign", "cos", "cosh", "count_nonzero", "cumulative_prod",
    "cumulative_sum", "default_device", "device_of", "devices", "diff", "divide", "dlpack_device", "empty", "equal",
    "exp", "expand_dims", "expm1", "eye", "fft", "flip", "floor", "floor_divide", "from_dlpack", "full",
    "full_device", "getitem", "greater", "greater_equal", "has_float64", "hypot", "imag", "isfinite", "isin", "isinf",
    "isnan", "item", "less", "less_equal", "linalg", "linspace", "log", "log1p", "log2", "log10", "logaddexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "max", "maximum", "mean", "meshgrid", "min",
    "minimum", "moveaxis", "multiply", "native_dtype", "negative", "nextafter", "nonzero", "not_equal", "ones",
    "permute_dims", "plain", "positive", "pow", "prod", "real", "reciprocal", "remainder", "repeat", "reshape", "roll",
    "round", "scalar", "searchsorted", "setitem", "sign", "signbit", "sin", "sinh", "sort", "sqrt", "square", "squeeze",
    "stack", "std", "subtract", "sum", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile",
    "to_device", "to_dlpack", "to_numpy", "tril", "triu", "trunc", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "unstack", "use_device", "var", "vecdot", "where", "widened", "widest_float", "zeros",
]  # fmt: skip

NAME = "numpy"
ARRAY = np.ndarray | np.generic
DTYPES = {d.dtype: d for d in _dtypes.ALL}
DISCRETE = frozenset(d.dtype for d in _dtypes.ALL if "floating" not in d.kind)
DEFAULT_FLOAT = _dtypes.float64
MEMORY_ERRORS: tuple[type[Exception], ...] = (MemoryError,)
DEFAULT_COMPLEX = _dtypes.complex128
MAX_DIMENSIONS = 64


def native_dtype(dtype: Any, /) -> Any:
    """The NumPy dtype of a DType or of anything that `as_dtype` accepts."""
    return _dtypes.as_dtype(dtype).dtype


def plain(x: Any, /) -> Any:
    """A plain NumPy array in place of a subclass, whose operators may behave differently."""
    if type(x) is np.ndarray or isinstance(x, np.generic):
        return x
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeError("Masked elements have no value; convert the array with ops.convert_to_tensor, which makes them NaN.")
    return np.asarray(x)


def widened(x: Any, /) -> Any:
    """Convert half precision to float32, which represents every such number exactly."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def devices() -> list[str]:
    return ["cpu"]


def default_device() -> str:
    return "cpu"


def full_device(device: str, /) -> str:
    return device


def use_device(device: str, /) -> None:
    pass


def has_float64(device: str, /) -> bool:
    return True


def device_of(x: Any, /) -> str:
    return "cpu"


def to_device(x: Any, device: str, /) -> Any:
    return x


def asarray(x: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Any:
    out = np.array(x, dtype=dtype, copy=copy)
    if out.dtype not in DTYPES:
        _dtypes.as_dtype(out.dtype)  # raises a TypeError that names the dtype
    return out if out.dtype.isnative else out.astype(out.dtype.newbyteorder("="))


def to_numpy(x: Any, /) -> np.ndarray[Any, Any]:
    """A read-only view."""
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view


def scalar(value: Any, beside: Any, /) -> Any:
    """A Python number as the other operand of an array: unchanged."""
    return value


def cast(x: Any, dtype: Any, /) -> Any:
    return x.astype(dtype)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    return np.from_dlpack(x, copy=copy)


def setitem(x: Any, key: Any, value: Any, /) -> Any:
    """Write into `x` and return the array that holds the result: a NumPy scalar becomes an array first."""
    x = np.asarray(x)
    x[key] = value
    return x


def getitem(x: Any, key: Any, /) -> Any:
    return x[key]


def item(x: Any, /) -> Any:
    return x.item()


def floor_divide(x1: Any, x2: Any, /) -> Any:
    """At infinity the standard defines the result as ``floor(x1 / x2)``; NumPy derives it from the remainder."""
    out = np.floor_divide(x1, x2)
    if out.dtype.kind == "f":
        infinite = np.isinf(x1) | np.isinf(x2)
        if infinite.any():
            out = np.where(infinite, np.floor(np.divide(x1, x2)), out).astype(out.dtype)
    return out


def expm1(x: Any, /) -> Any:
    """NumPy's complex formula returns NaN where an infinity is multiplied by zero, and a zero of the wrong sign at zero."""
    out = np.array(np.expm1(x))
    if out.dtype.kind == "c":
        out.real[x == 0] = 0.0
        finite = np.isfinite(x)
        if not finite.all():
            out = np.where(finite, out, np.exp(x) - out.dtype.type(1))
    return out


def pow(x1: Any, x2: Any, /) -> Any:
    """NumPy replaces a scalar exponent of 0.5 by a square root, which differs at negative zero and negative infinity."""
    if np.ndim(x2) == 0 and x2 == 0.5:
        dtype = np.result_type(x1, x2)
        if dtype.kind == "f":
            x1 = np.where(np.isneginf(x1), np.inf, x1).astype(dtype) + dtype.type(0)
    return np.power(x1, x2)


def sign(x: Any, /) -> Any:
    """``x / abs(x)`` if complex, as the standard defines it: NaN at an infinity, where NumPy returns a unit."""
    if x.dtype.kind != "c":
        return np.sign(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(x == 0, x.dtype.type(0), x / np.abs(x))


def sort(x: Any, /, *, axis: int, descending: bool, stable: bool) -> Any:
    out = np.sort(x, axis=axis, stable=stable)
    return np.flip(out, axis=axis) if descending else out


def argsort(x: Any, /, *, axis: int, descending: bool, stable: bool) -> Any:
    """In descending order, equal elements keep theirs too: the flipped array is sorted, and the places are counted back."""
    if not descending:
        return np.argsort(x, axis=axis, stable=stable)
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis=axis), axis=axis, stable=stable), axis=axis)


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """An array in every case; NumPy returns a Python number if no axis is left."""
    return np.asarray(np.count_nonzero(x, axis=axis, keepdims=keepdims))


def take_along_axis(x: Any, indices: Any, /, *, axis: int) -> Any:
    return np.take_along_axis(x, indices, axis=axis)


def unique_values(x: Any, /) -> Any:
    """Sorted; from NumPy 2.3 on, ``np.unique_values`` is not."""
    return np.unique(x, equal_nan=False)


def widest_float(x: Any, /) -> Any:
    """The dtype that an integer array is converted to if the other operand is a Python float."""
    return np.dtype(np.float64)


def to_dlpack(x: Any, /, **keywords: Any) -> Any:
    return np.asarray(x).__dlpack__(**keywords)


def dlpack_device(x: Any, /) -> tuple[int, int]:
    return np.asarray(x).__dlpack_device__()
