"""MLX behind the standard's names.

Native: arithmetic, comparisons, elementary functions in float32, reductions, matrix products, rearranging, gathering.
Through NumPy, in the host's memory (which is the GPU's as well on Apple silicon): sorting, searching, sets, linear algebra,
Fourier transforms, boolean masks, and elementary functions in float64, where MLX computes to 1e-7 only.
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np

from emberharmony.backend import _dtypes, _numpy

__all__ = [
    "ARRAY", "DEFAULT_COMPLEX", "DEFAULT_FLOAT", "DISCRETE", "DTYPES", "MAX_DIMENSIONS", "NAME", "abs", "acos", "acosh", "add",
    "all", "any", "arange", "argmax", "argmin", "argsort", "asarray", "asin", "asinh", "astype", "atan", "atan2", "atanh",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "broadcast_to", "cast", "ceil", "clip", "concat", "conj", "copysign", "cos", "cosh", "count_nonzero", "cumulative_prod",
    "cumulative_sum", "default_device", "device_of", "devices", "diff", "divide", "dlpack_device", "empty", "equal",
    "evaluate", "exp", "expand_dims", "expm1", "eye", "fft", "flip", "floor", "floor_divide", "from_dlpack", "full",
    "full_device", "getitem", "greater", "greater_equal", "has_float64", "hypot", "imag", "isfinite", "isin", "isinf",
    "isnan", "item", "less", "less_equal", "linalg", "linspace", "log", "log1p", "log2", "log10", "logaddexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "max", "maximum", "mean", "meshgrid", "min",
    "minimum", "moveaxis", "multiply", "native_dtype", "negative", "nextafter", "nonzero", "not_equal", "ones",
    "permute_dims", "positive", "pow", "prod", "real", "reciprocal", "remainder", "repeat", "reshape", "roll", "round",
    "scalar", "searchsorted", "setitem", "sign", "signbit", "sin", "sinh", "sort", "sqrt", "square", "squeeze", "stack", "std",
    "subtract", "sum", "synchronize", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "to_device",
    "to_dlpack", "to_numpy", "tril", "triu", "trunc", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "unstack", "use_device", "var", "vecdot", "where", "widest_float", "zeros",
]  # fmt: skip

NAME = "mlx"
ARRAY = mx.array
DTYPES = {getattr(mx, "bool_" if d.name == "bool" else d.name): d for d in _dtypes.ALL if d is not _dtypes.complex128}
DEFAULT_FLOAT = _dtypes.float32
DEFAULT_COMPLEX = _dtypes.complex64
MAX_DIMENSIONS = 10  # what its kernels for views of any strides take

_NATIVE = {d: native for native, d in DTYPES.items()}
_INEXACT = frozenset((mx.float32, mx.float64, mx.complex64))
DISCRETE = frozenset(DTYPES) - _INEXACT


def native_dtype(dtype: Any, /) -> Any:
    """The MLX dtype of a DType (or of anything that names one)."""
    found = _dtypes.as_dtype(dtype)
    if found not in _NATIVE:
        raise TypeError(f"mlx has no {found.name}; its widest complex type is complex64.")
    return _NATIVE[found]


# -- devices


def devices() -> list[str]:
    """The GPU first, the CPU last."""
    return ["gpu", "cpu"] if mx.is_available(mx.gpu) else ["cpu"]


def default_device() -> str:
    return devices()[0]


def full_device(device: str, /) -> str:
    if device not in ("gpu", "cpu"):
        raise ValueError(f"mlx knows the devices gpu and cpu, not {device!r}.")
    return device


def use_device(device: str, /) -> None:
    """MLX keeps one default device: arrays lie in memory that both share, and operations follow it."""
    mx.set_default_device(mx.gpu if device == "gpu" else mx.cpu)


def has_float64(device: str, /) -> bool:
    return device == "cpu"


def device_of(x: Any, /) -> str:
    return "gpu" if mx.default_device() == mx.gpu else "cpu"


def to_device(x: Any, device: str, /) -> Any:
    return x


def evaluate(*arrays: Any) -> None:
    mx.eval(*arrays)


def synchronize(device: str, /) -> None:
    mx.synchronize()


# -- in and out


def asarray(x: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Any:
    """An MLX array, always by way of NumPy: MLX itself refuses or misreads reversed, object and pandas input."""
    if isinstance(x, mx.array):
        if dtype is None or dtype == x.dtype:
            return mx.array(x) if copy else x
        if copy is False:
            raise ValueError("Another dtype needs a copy, and copy=False was given.")
        return x.astype(dtype)
    if copy is False:
        raise ValueError("mlx copies what it takes in, and copy=False was given.")
    borrowed = hasattr(x, "__array__") or hasattr(x, "__array_interface__")
    source = np.array(x, None if borrowed or dtype is None else DTYPES[dtype].dtype, copy=None)
    if dtype is None:
        dtype = _fitting_dtype(source, weak=not borrowed)
    return _from_host(source, dtype)


def _fitting_dtype(source: np.ndarray[Any, Any], *, weak: bool) -> Any:
    """The dtype for an array that came with none asked for: the default for Python numbers, and what the device can hold."""
    dtype = _dtypes.as_dtype(source.dtype)
    single = {_dtypes.float64: _dtypes.float32, _dtypes.complex128: _dtypes.complex64}.get(dtype, dtype)
    if single is dtype or weak:
        return native_dtype(single)
    if dtype is _dtypes.float64 and has_float64(device_of(source)):
        return native_dtype(dtype)
    warnings.warn(f"mlx on {device_of(source)} has no {dtype.name}: the array becomes {single.name}.", stacklevel=5)
    return native_dtype(single)


def to_numpy(x: Any, /) -> np.ndarray[Any, Any]:
    """A read-only view of the memory."""
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view


def item(x: Any, /) -> Any:
    return x.item()


def scalar(value: Any, beside: Any, /) -> Any:
    """A Python number as an operand beside an array; MLX takes whole ones up to 2**63 only."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return _from_host(np.array(value), beside.dtype)
    return value


def cast(x: Any, dtype: Any, /) -> Any:
    return x.astype(dtype)


def widest_float(x: Any, /) -> Any:
    """The dtype that an integer array takes beside a Python float."""
    return mx.float64 if has_float64(device_of(x)) else mx.float32


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    return asarray(x if isinstance(x, mx.array) else np.from_dlpack(x), device=device, copy=copy)


def to_dlpack(x: Any, /, *, stream: Any, max_version: Any, dl_device: Any, copy: bool | None) -> Any:
    if device_of(x) == "cpu":
        return np.asarray(x).__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
    return x.__dlpack__()


def dlpack_device(x: Any, /) -> tuple[int, int]:
    if device_of(x) == "cpu":
        return (1, 0)
    kind, index = x.__dlpack_device__()
    return int(kind), index


def _to_host(x: Any) -> Any:
    if isinstance(x, mx.array):
        return np.asarray(x)
    if isinstance(x, mx.Dtype):
        return DTYPES[x].dtype
    return type(x)(_to_host(e) for e in x) if type(x) in (list, tuple) else x


def _from_host(x: Any, dtype: Any = None) -> Any:
    """An MLX array of a NumPy one, or a tuple of those; complex128 becomes complex64, the widest there is."""
    if isinstance(x, (np.ndarray, np.generic)):
        if dtype is None:
            dtype = mx.complex64 if x.dtype == np.complex128 else native_dtype(x.dtype)
        if dtype == mx.complex64 or x.dtype == np.complex128:
            x = x.astype(np.complex64)
            return mx.array(np.ascontiguousarray(x).reshape(x.shape)).astype(dtype)
        wanted = DTYPES[dtype].dtype
        return mx.array(np.array(x, dtype=wanted, order="C"), dtype=dtype)
    return tuple(_from_host(e) for e in x)


def _host(function: Callable[..., Any], /) -> Callable[..., Any]:
    """A NumPy function for MLX arrays."""

    def call(*args: Any, **keywords: Any) -> Any:
        keywords.pop("device", None)
        return _from_host(function(*(_to_host(a) for a in args), **{k: _to_host(v) for k, v in keywords.items()}))

    return call


# -- indexing


def getitem(x: Any, key: Any, /) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    if builtins.any(_is_mask(p) for p in parts):
        return _from_host(np.asarray(x)[_to_host(key)])
    _check_bounds(x, parts)
    return x[_gatherable(key)]


def setitem(x: Any, key: Any, value: Any, /) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    if builtins.any(_is_mask(p) for p in parts):
        changed = np.array(x)
        changed[_to_host(key)] = _to_host(value)
        x[...] = _from_host(changed)  # into `x`, which other tensors may share
        return x
    _check_bounds(x, parts)
    # MLX takes a Python number by way of a float, which large integers do not survive.
    x[_gatherable(key)] = value if isinstance(value, mx.array) else _from_host(np.array(value), x.dtype)
    return x


def _gatherable(key: Any) -> Any:
    """The key with its index arrays in data types that MLX can bring into one: not uint64 beside signed ones."""
    if isinstance(key, tuple):
        return tuple(_gatherable(k) for k in key)
    return key.astype(mx.int64) if isinstance(key, mx.array) and key.dtype == mx.uint64 else key


def _is_mask(part: Any) -> bool:
    return isinstance(part, (bool, np.ndarray, list)) or (isinstance(part, mx.array) and part.dtype == mx.bool_)


def _check_bounds(x: Any, parts: tuple[Any, ...]) -> None:
    """An IndexError for what MLX would read from, or write to, beyond the array."""
    if not builtins.any(isinstance(p, mx.array) for p in parts):
        np.broadcast_to(np.empty((), np.bool_), x.shape)[parts]
        return
    indexed = [p for p in parts if p is not None and p is not Ellipsis]
    if len(indexed) > x.ndim:
        raise IndexError(f"{len(indexed)} indices are too many for an array of {x.ndim} axes.")
    axis = 0
    for part in parts:
        if part is Ellipsis:
            axis += x.ndim - len(indexed)
        elif part is not None:
            if not isinstance(part, slice):
                _check_indices(part, x.shape[axis])
            axis += 1


def _check_indices(indices: Any, length: int) -> None:
    places = np.asarray(indices)
    if places.size and not -length <= places.min() <= places.max() < length:
        wrong = places[(places < -length) | (places >= length)].flat[0]
        raise IndexError(f"Index {wrong} is out of bounds for an axis of length {length}.")


# -- elements


def _elementary(name: str) -> Callable[[Any], Any]:
    """A function of floating-point numbers: native in float32, NumPy's in float64 and complex64."""
    # MLX's sine of -0.0 is 0.0.
    native = (lambda x: mx.where(x == 0, x, mx.sin(x))) if name == "sin" else getattr(mx, name)
    through_host = _host(getattr(_numpy, name))

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
    """A native function but for complex numbers, where MLX makes infinities of NaN."""
    through_host = _host(on_host)

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
# MLX shifts modulo the width: a shift by 32 or more is none.
bitwise_left_shift, bitwise_right_shift = _host(_numpy.bitwise_left_shift), _host(_numpy.bitwise_right_shift)
atan2, copysign, floor_divide, hypot, logaddexp, logical_xor, nextafter, pow, remainder, signbit = (
    _host(f)
    for f in (
        _numpy.atan2, _numpy.copysign, _numpy.floor_divide, _numpy.hypot, _numpy.logaddexp, _numpy.logical_xor,
        _numpy.nextafter, _numpy.pow, _numpy.remainder, _numpy.signbit,
    )
)  # fmt: skip
isin = _host(_numpy.isin)
clip = _host(_numpy.clip)
where = mx.where


def sign(x: Any, /) -> Any:
    return mx.where(mx.isnan(x), x, mx.sign(x)) if "real" in DTYPES[x.dtype].kind else mx.sign(x)


def divide(x1: Any, x2: Any, /) -> Any:
    x = x1 if isinstance(x1, mx.array) else x2
    if x.dtype not in _INEXACT:
        wide = widest_float(x)
        x1, x2 = (a.astype(wide) if isinstance(a, mx.array) else a for a in (x1, x2))
    return _divide(x1, x2)


_divide = _real(mx.divide, _numpy.divide)


# -- reductions


def _accumulator(x: Any, dtype: Any) -> Any:
    """`x` in the dtype its sum has: at least 64 bits for integers."""
    if dtype is None:
        kind = DTYPES[x.dtype].kind
        dtype = mx.uint64 if kind == "unsigned integer" else x.dtype if "floating" in kind else mx.int64
    return x if x.dtype == dtype else x.astype(dtype)


def _total(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    through_host = _host(on_host)

    def call(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        x = _accumulator(x, dtype)
        if x.size == 0:
            return through_host(x, axis=axis, dtype=x.dtype, keepdims=keepdims)
        # MLX adds up small integers as int32 whatever it is asked for.
        return x if axis == () else native(x, axis=axis, keepdims=keepdims).astype(x.dtype)

    return call


sum, prod = _total(mx.sum, _numpy.sum), _total(mx.prod, _numpy.prod)


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    # Integers first become floats: MLX adds them up in their own width, and int64 nanoseconds overflow.
    x = x if x.dtype in _INEXACT else x.astype(widest_float(x))
    if x.size == 0:
        return sum(x, axis=axis, keepdims=keepdims) / 0  # MLX's own reductions of nothing now and then never end
    return x if axis == () else mx.mean(x, axis=axis, keepdims=keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance by its definition: MLX takes whole corrections only."""
    centre = mean(x, axis=axis, keepdims=True)
    count = x.size // centre.size if centre.size else 0
    off = x - centre
    squares = mx.square(mx.abs(off) if off.dtype == mx.complex64 else off)
    return sum(squares, axis=axis, keepdims=keepdims) / builtins.max(count - correction, 0)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    return mx.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def _folding(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """A native reduction but for empty arrays and empty axes, which MLX reads as all axes or not at all."""
    through_host = _host(on_host)

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
    _host(f) for f in (_numpy.count_nonzero, _numpy.cumulative_prod, _numpy.cumulative_sum, _numpy.diff)
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
    _host(f) for f in (_numpy.meshgrid, _numpy.moveaxis, _numpy.repeat, _numpy.roll, _numpy.tile)
)


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    _check_indices(indices, x.size if axis is None else x.shape[axis])
    return mx.take(x, indices, axis=axis)


take_along_axis = _host(_numpy.take_along_axis)
argsort, nonzero, searchsorted, sort, unique_all, unique_counts, unique_inverse, unique_values = (
    _host(f)
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
    # Beyond 2**63 NumPy goes by floats unless it is told.
    whole = (
        np.uint64
        if dtype is not None and dtype == mx.uint64 and builtins.all(isinstance(n, int) for n in (first, last, step))
        else None
    )
    values: np.ndarray[Any, Any] = np.arange(first, last, step, dtype=whole)
    return _from_host(values, dtype or native_dtype(DEFAULT_FLOAT if values.dtype.kind == "f" else values.dtype))


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: str | None = None) -> Any:
    return _from_host(np.eye(n_rows, n_cols, k=k), dtype or mx.float32)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Any:
    return _from_host(np.linspace(start, stop, num, endpoint=endpoint), dtype or mx.float32)


# -- products


def matmul(x1: Any, x2: Any, /) -> Any:
    return mx.matmul(x1, x2) if x1.dtype == mx.float32 else _host_matmul(x1, x2)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return mx.tensordot(x1, x2, axes) if x1.dtype == mx.float32 else _host_tensordot(x1, x2, axes=axes)


_host_matmul, _host_tensordot, vecdot = _host(_numpy.matmul), _host(_numpy.tensordot), _host(_numpy.vecdot)


def _matrix_transpose(x: Any, /) -> Any:
    return mx.swapaxes(x, -2, -1)


linalg = SimpleNamespace(
    matrix_transpose=_matrix_transpose,
    **{
        name: _host(getattr(_numpy.linalg, name))
        for name in (
            "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matrix_norm", "matrix_power", "matrix_rank",
            "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "trace", "vector_norm",
        )
    },
)  # fmt: skip
fft = SimpleNamespace(
    **{
        name: _host(getattr(_numpy.fft, name))
        for name in (
            "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
            "rfftfreq", "rfftn",
        )
    }
)  # fmt: skip
