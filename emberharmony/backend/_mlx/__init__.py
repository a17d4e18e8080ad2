"""MLX under the names of the array API standard.

MLX computes arithmetic, comparisons, elementary functions in float32, reductions, matrix products, rearranging and gathering.
NumPy computes the rest, in the memory that CPU and GPU share on Apple silicon: sorting, searching, sets, linear algebra,
Fourier transforms, boolean masks, powers, remainders, shifts, cumulative sums, reductions of empty arrays, and elementary
functions in float64, which MLX computes to 1e-7 only.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np

from emberharmony.backend import _numpy
from emberharmony.backend._mlx.arrays import (
    ARRAY,
    DEFAULT_COMPLEX,
    DEFAULT_FLOAT,
    DISCRETE,
    DTYPES,
    INEXACT,
    MAX_DIMENSIONS,
    MEMORY_ERRORS,
    NAME,
    asarray,
    cast,
    default_device,
    device_of,
    devices,
    dlpack_device,
    from_dlpack,
    from_host,
    full_device,
    has_float64,
    host,
    item,
    native_dtype,
    plain,
    scalar,
    to_device,
    to_dlpack,
    to_numpy,
    use_device,
    widened,
    widest_float,
)
from emberharmony.backend._mlx.indexing import check_indices, getitem, setitem

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

# -- elements


def _elementary(name: str) -> Callable[[Any], Any]:
    """An elementary function: MLX's in float32, NumPy's in float64 and complex64."""
    # MLX returns 0.0 for sin(-0.0); the standard requires -0.0.
    native = (lambda x: mx.where(x == 0, x, mx.sin(x))) if name == "sin" else getattr(mx, name)
    through_host = host(getattr(_numpy, name))

    def call(x: Any, /) -> Any:
        return (native if x.dtype == mx.float32 else through_host)(x)

    return call


(
    acos, acosh, asin, asinh, atan, atanh, cos, cosh, exp, expm1,
    log, log1p, log2, log10, reciprocal, sin, sinh, sqrt, tan, tanh,
) = (
    _elementary(name)
    for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log", "log1p", "log2", "log10",
        "reciprocal", "sin", "sinh", "sqrt", "tan", "tanh",
    )
)  # fmt: skip


def _real(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """MLX's function for real numbers, NumPy's for complex ones, where MLX turns NaN into infinity."""
    through_host = host(on_host)

    def call(*args: Any) -> Any:
        is_complex = builtins.any(isinstance(a, mx.array) and a.dtype == mx.complex64 for a in args)
        return (through_host if is_complex else native)(*args)

    return call


abs, bitwise_invert, conj, isfinite, isinf, isnan, logical_not, negative, real = (
    mx.abs, mx.bitwise_invert, mx.conj, mx.isfinite, mx.isinf, mx.isnan, mx.logical_not, mx.negative, mx.real,
)  # fmt: skip
imag, positive = mx.imag, mx.positive
ceil, floor, round, trunc = mx.ceil, mx.floor, mx.round, mx.trunc
add, subtract, maximum, minimum = mx.add, mx.subtract, mx.maximum, mx.minimum
square = _real(mx.square, _numpy.square)
multiply = _real(mx.multiply, _numpy.multiply)
equal, not_equal, less, less_equal, greater, greater_equal = (
    mx.equal, mx.not_equal, mx.less, mx.less_equal, mx.greater, mx.greater_equal,
)  # fmt: skip
logical_and, logical_or = mx.logical_and, mx.logical_or
bitwise_and, bitwise_or, bitwise_xor = mx.bitwise_and, mx.bitwise_or, mx.bitwise_xor
# MLX shifts modulo the width, so that a shift of an int32 by 32 changes nothing.
bitwise_left_shift, bitwise_right_shift = host(_numpy.bitwise_left_shift), host(_numpy.bitwise_right_shift)
atan2, copysign, floor_divide, hypot, logaddexp, logical_xor, nextafter, pow, remainder, signbit = (
    host(f)
    for f in (
        _numpy.atan2, _numpy.copysign, _numpy.floor_divide, _numpy.hypot, _numpy.logaddexp, _numpy.logical_xor,
        _numpy.nextafter, _numpy.pow, _numpy.remainder, _numpy.signbit,
    )
)  # fmt: skip
isin = host(_numpy.isin)
clip = host(_numpy.clip)
where = mx.where


def sign(x: Any, /) -> Any:
    if x.dtype == mx.complex64:
        return mx.where(x == 0, mx.zeros_like(x), mx.sign(x))  # MLX would keep the signs of complex zeros
    return mx.where(mx.isnan(x), x, mx.sign(x)) if "real" in DTYPES[x.dtype].kind else mx.sign(x)


def divide(x1: Any, x2: Any, /) -> Any:
    x = x1 if isinstance(x1, mx.array) else x2
    if x.dtype not in INEXACT:
        wide = widest_float(x)
        x1, x2 = (a.astype(wide) if isinstance(a, mx.array) else a for a in (x1, x2))
    return _divide(x1, x2)


_divide = _real(mx.divide, _numpy.divide)


# -- reductions


def _accumulator(x: Any, dtype: Any) -> Any:
    """`x` in the data type of its sum: at least 64 bits for integers."""
    if dtype is None:
        kind = DTYPES[x.dtype].kind
        dtype = mx.uint64 if kind == "unsigned integer" else x.dtype if "floating" in kind else mx.int64
    return x if x.dtype == dtype else x.astype(dtype)


def _total(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    through_host = host(on_host)

    def call(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        x = _accumulator(x, dtype)
        if x.size == 0:
            return through_host(x, axis=axis, dtype=x.dtype, keepdims=keepdims)
        # MLX sums small integers as int32, whatever dtype is asked for.
        return x if axis == () else native(x, axis=axis, keepdims=keepdims).astype(x.dtype)

    return call


sum, prod = _total(mx.sum, _numpy.sum), _total(mx.prod, _numpy.prod)


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    # Convert integers to float first: MLX sums them in their own width, and int64 nanoseconds overflow.
    x = x if x.dtype in INEXACT else x.astype(widest_float(x))
    if x.size == 0:
        return sum(x, axis=axis, keepdims=keepdims) / 0  # MLX's own reductions of empty arrays sometimes never return
    return x if axis == () else mx.mean(x, axis=axis, keepdims=keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance by its definition: MLX accepts integer corrections only."""
    centre = mean(x, axis=axis, keepdims=True)
    count = x.size // centre.size if centre.size else 0
    off = x - centre
    squares = mx.square(mx.abs(off) if off.dtype == mx.complex64 else off)
    return sum(squares, axis=axis, keepdims=keepdims) / builtins.max(count - correction, 0)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    return mx.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def _folding(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """MLX's reduction, or NumPy's for empty arrays and empty axes: MLX refuses them or reduces over all axes."""
    through_host = host(on_host)

    def call(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        if x.size == 0 or x.ndim == 0 or axis == ():
            return through_host(x, axis=axis, keepdims=keepdims)
        return native(x, axis=axis, keepdims=keepdims)

    return call


def _position(native: Callable[..., Any], /) -> Callable[..., Any]:
    def call(x: Any, *, axis: Any, keepdims: bool) -> Any:
        return native(x, axis=axis, keepdims=keepdims).astype(mx.int64)

    return call


all, any = _folding(mx.all, _numpy.all), _folding(mx.any, _numpy.any)
max, min = _folding(mx.max, _numpy.max), _folding(mx.min, _numpy.min)
argmax = _folding(_position(mx.argmax), _numpy.argmax)
argmin = _folding(_position(mx.argmin), _numpy.argmin)
count_nonzero, cumulative_prod, cumulative_sum, diff = (
    host(f) for f in (_numpy.count_nonzero, _numpy.cumulative_prod, _numpy.cumulative_sum, _numpy.diff)
)

# -- rearranging


def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    if x.dtype == dtype:
        return mx.array(x) if copy else x
    return x.astype(dtype)


def broadcast_to(x: Any, /, shape: tuple[int, ...]) -> Any:
    return mx.broadcast_to(x, shape)


def concat(arrays: Any, /, *, axis: int | None = 0) -> Any:
    if axis is None:
        return mx.concatenate([a.reshape(-1) for a in arrays], axis=0)
    return mx.concatenate(list(arrays), axis=axis)


def expand_dims(x: Any, /, axis: Any) -> Any:
    return mx.expand_dims(x, axis)


def flip(x: Any, /, *, axis: Any = None) -> Any:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    reversed_axes = {a % x.ndim for a in axes}
    return x[tuple(slice(None, None, -1 if a in reversed_axes else None) for a in range(x.ndim))] if x.ndim else x


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
    return mx.transpose(x, axes)


def reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    if x.size == 0:
        shape = np.empty(x.shape, np.bool_).reshape(shape).shape
    out = mx.reshape(x, shape)
    return mx.array(out) if copy else out


def squeeze(x: Any, /, axis: Any) -> Any:
    return mx.squeeze(x, axis)


def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    return mx.stack(list(arrays), axis=axis)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    front = mx.moveaxis(x, axis, 0)
    return tuple(front[i] for i in range(front.shape[0]))


def tril(x: Any, /, *, k: int = 0) -> Any:
    return mx.tril(x, k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    return mx.triu(x, k)


meshgrid, moveaxis, repeat, roll, tile = (
    host(f) for f in (_numpy.meshgrid, _numpy.moveaxis, _numpy.repeat, _numpy.roll, _numpy.tile)
)


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    check_indices(indices, x.size if axis is None else x.shape[axis])
    return mx.take(x, indices, axis=axis)


take_along_axis = host(_numpy.take_along_axis)
argsort, nonzero, searchsorted, sort, unique_all, unique_counts, unique_inverse, unique_values = (
    host(f)
    for f in (
        _numpy.argsort, _numpy.nonzero, _numpy.searchsorted, _numpy.sort, _numpy.unique_all, _numpy.unique_counts,
        _numpy.unique_inverse, _numpy.unique_values,
    )
)  # fmt: skip

# -- new arrays


def zeros(shape: tuple[int, ...], *, dtype: Any = None, device: str | None = None) -> Any:
    return mx.zeros(shape, dtype or mx.float32)


def ones(shape: tuple[int, ...], *, dtype: Any = None, device: str | None = None) -> Any:
    return mx.ones(shape, dtype or mx.float32)


empty = zeros


def full(shape: tuple[int, ...], fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    return mx.broadcast_to(asarray(fill_value, dtype=dtype), shape)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: str | None = None) -> Any:
    first, last = (0, start) if stop is None else (start, stop)
    # Beyond 2**63 NumPy computes in float64 unless the data type is given.
    whole = (
        np.uint64
        if dtype is not None and dtype == mx.uint64 and builtins.all(isinstance(n, int) for n in (first, last, step))
        else None
    )
    values: np.ndarray[Any, Any] = np.arange(first, last, step, dtype=whole)
    return from_host(values, dtype or native_dtype(DEFAULT_FLOAT if values.dtype.kind == "f" else values.dtype))


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: str | None = None) -> Any:
    return from_host(np.eye(n_rows, n_cols, k=k), dtype or mx.float32)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Any:
    return from_host(np.linspace(start, stop, num, endpoint=endpoint), dtype or mx.float32)


# -- products


def matmul(x1: Any, x2: Any, /) -> Any:
    return mx.matmul(x1, x2) if x1.dtype == mx.float32 else _host_matmul(x1, x2)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return mx.tensordot(x1, x2, axes) if x1.dtype == mx.float32 else _host_tensordot(x1, x2, axes=axes)


_host_matmul, _host_tensordot, vecdot = host(_numpy.matmul), host(_numpy.tensordot), host(_numpy.vecdot)


def _matrix_transpose(x: Any, /) -> Any:
    return mx.swapaxes(x, -2, -1)


linalg = SimpleNamespace(
    matrix_transpose=_matrix_transpose,
    **{
        name: host(getattr(_numpy.linalg, name))
        for name in (
            "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matrix_norm", "matrix_power",
            "matrix_rank", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "trace", "vector_norm",
        )
    },
)  # fmt: skip
fft = SimpleNamespace(
    **{
        name: host(getattr(_numpy.fft, name))
        for name in (
            "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
            "rfftfreq", "rfftn",
        )
    }
)  # fmt: skip
