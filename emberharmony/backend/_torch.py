"""torch behind the standard's names: array-api-compat, and what it lacks."""

from __future__ import annotations

import builtins
import operator
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_compat.torch as _compat
import numpy as np
import torch

from array_api_compat.torch import (  # isort: skip
    all, any, astype, broadcast_to, ceil, concat, conj, empty, expand_dims,
    eye, floor, full, imag, isfinite, isinf, isnan, logical_not, meshgrid, moveaxis, ones,
    permute_dims, positive, real, reshape, roll, signbit, squeeze, stack, tile, trunc,
    unstack, where, zeros,
)  # fmt: skip

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

NAME = "torch"
ARRAY = torch.Tensor
DTYPES = {getattr(torch, d.name): d for d in _dtypes.ALL}
DEFAULT_FLOAT = _dtypes.float32
DEFAULT_COMPLEX = _dtypes.complex64
MAX_DIMENSIONS = 64

_NATIVE = {d: native for native, d in DTYPES.items()}
_INEXACT = frozenset((torch.float32, torch.float64, torch.complex64, torch.complex128))
_COMPLEX = frozenset((torch.complex64, torch.complex128))
DISCRETE = frozenset(DTYPES) - _INEXACT
# torch stores these, but computes next to nothing with them: they go through NumPy.
_STORED_ONLY = frozenset((torch.uint16, torch.uint32, torch.uint64))


def native_dtype(dtype: Any, /) -> Any:
    """The torch dtype of a DType (or of anything that names one)."""
    return _NATIVE[_dtypes.as_dtype(dtype)]


# -- devices


def devices() -> list[str]:
    """Accelerators first, the CPU last."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps:0")
    if torch.xpu.is_available():
        found += [f"xpu:{i}" for i in range(torch.xpu.device_count())]
    return [*found, "cpu"]


def default_device() -> str:
    return devices()[0]


def full_device(device: str, /) -> str:
    """The device with its number: "cuda" is "cuda:0"."""
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"torch knows no device {device!r}.") from error
    return place.type if place.type == "cpu" else f"{place.type}:{place.index or 0}"


def use_device(device: str, /) -> None:
    pass  # every creation names its device


def has_float64(device: str, /) -> bool:
    return not device.startswith("mps")


def device_of(x: Any, /) -> str:
    return str(x.device)


def to_device(x: Any, device: str, /) -> Any:
    return x.to(device)


def evaluate(*arrays: Any) -> None:
    pass  # torch computes at once


def synchronize(device: str, /) -> None:
    if device != "cpu":
        torch.accelerator.synchronize(device)


# -- in and out


def asarray(x: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Any:
    """A torch tensor; NumPy's memory is shared where it can be, except when it is read-only, which torch cannot express."""
    if isinstance(x, torch.Tensor):
        out = x.to(device=device, dtype=dtype)
        if copy is False and out is not x:
            raise ValueError("This cannot be done without a copy, and copy=False was given.")
        return out.clone() if copy and out is x else out
    borrowed = hasattr(x, "__array__") or hasattr(x, "__array_interface__")
    source = np.array(x, None if borrowed or dtype is None else DTYPES[dtype].dtype, copy=copy if borrowed else None)
    if copy is False and not borrowed:
        raise ValueError("Python numbers cannot become a tensor without a copy, and copy=False was given.")
    if dtype is None:
        dtype = _fitting_dtype(source, device or "cpu", weak=not borrowed)
    if source.dtype.char in "qQ":
        source = source.view(source.dtype.str)  # C's long long, which torch does not take for the int64 it is
    shareable = source.flags.writeable and source.dtype.isnative and builtins.all(s >= 0 for s in source.strides)
    if not shareable:
        if copy is False:
            raise ValueError("torch cannot share this array's memory (read-only or reversed), and copy=False was given.")
        source = np.array(source, dtype=source.dtype.newbyteorder("="), order="C")
    out = torch.from_numpy(source)
    moved = out.to(device=device, dtype=dtype)
    if copy is False and moved is not out:
        raise ValueError("This cannot be done without a copy, and copy=False was given.")
    return moved


def _fitting_dtype(source: np.ndarray[Any, Any], device: str, *, weak: bool) -> Any:
    """The dtype for an array that came with none asked for: the default for Python numbers, and what the device can hold."""
    dtype = _dtypes.as_dtype(source.dtype)
    single = {_dtypes.float64: _dtypes.float32, _dtypes.complex128: _dtypes.complex64}.get(dtype, dtype)
    if single is dtype or weak:
        return native_dtype(single)
    if has_float64(device):
        return native_dtype(dtype)
    warnings.warn(f"torch on {device} has no {dtype.name}: the array becomes {single.name}.", stacklevel=5)
    return native_dtype(single)


def to_numpy(x: Any, /) -> np.ndarray[Any, Any]:
    """A read-only view, after a transfer if the tensor is on an accelerator."""
    view: np.ndarray[Any, Any] = x.detach().cpu().resolve_conj().resolve_neg().numpy().view()
    view.flags.writeable = False
    return view


def item(x: Any, /) -> Any:
    return x.item()


def scalar(value: Any, beside: Any, /) -> Any:
    """A Python number as an operand beside an array: as it is."""
    return value


def cast(x: Any, dtype: Any, /) -> Any:
    return x.to(dtype)


def widest_float(x: Any, /) -> Any:
    """The dtype that an integer array takes beside a Python float."""
    return torch.float64 if has_float64(x.device.type) else torch.float32


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    out = x if isinstance(x, torch.Tensor) else torch.from_dlpack(x)
    moved = out if device is None else out.to(device)
    if copy is False and moved is not out:
        raise ValueError(f"Memory cannot be shared with {device!r}, and copy=False was given.")
    return moved.clone() if copy and moved is out else moved


def to_dlpack(x: Any, /, *, stream: Any, max_version: Any, dl_device: Any, copy: bool | None) -> Any:
    # Older consumers than version 1 of DLPack know neither of the last two.
    keywords = {"dl_device": dl_device, "copy": copy} if dl_device is not None or copy is not None else {}
    return x.detach().__dlpack__(stream=stream, max_version=max_version, **keywords)


def dlpack_device(x: Any, /) -> tuple[int, int]:
    kind, index = x.__dlpack_device__()
    return int(kind), index


# -- indexing


def getitem(x: Any, key: Any, /) -> Any:
    """``x[key]``, with the negative steps that torch lacks."""
    if x.dtype in _STORED_ONLY or _has_empty_mask(key):
        return _from_host(to_numpy(x)[_to_host(key)], x.device)
    if (type(key) is slice and key.step is None) or type(key) is int:
        return x[key]
    key, reversed_axes, rest = _without_negative_steps(x, key)
    out = x[key]
    if reversed_axes:
        out = out.flip(reversed_axes)
    return out if rest is None else out[rest]


def setitem(x: Any, key: Any, value: Any, /) -> Any:
    """Write into `x` and return it."""
    if x.dtype in _STORED_ONLY:
        changed = np.array(to_numpy(x))
        changed[_to_host(key)] = _to_host(value)
        return x.copy_(torch.from_numpy(changed))
    key, reversed_axes, rest = _without_negative_steps(x, key)
    if reversed_axes:
        if rest is not None:
            raise IndexError("A negative step beside index arrays can be read, not written to.")
        target = x[key]
        value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        target[...] = value.broadcast_to(target.shape).flip(reversed_axes)
    else:
        x[key] = value
    return x


def _has_empty_mask(key: Any) -> bool:
    """Whether there is a boolean mask of no elements, about whose shape torch is stricter than NumPy."""
    parts = key if isinstance(key, tuple) else (key,)
    return builtins.any(isinstance(p, torch.Tensor) and p.dtype is torch.bool and p.numel() == 0 for p in parts)


def _without_negative_steps(x: Any, key: Any) -> tuple[Any, list[int], Any]:
    """A key with positive steps, the axes to flip after it, and the index arrays to apply after that (if both are there)."""
    parts = key if isinstance(key, tuple) else (key,)
    parts = tuple(p.long() if isinstance(p, torch.Tensor) and p.dtype not in _INDEX else p for p in parts)
    if not builtins.any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts):
        return (parts if isinstance(key, tuple) else parts[0]), [], None
    arrays = builtins.any(isinstance(p, (torch.Tensor, np.ndarray, list, bool)) for p in parts)
    consumed = builtins.sum(_axes_consumed(p) for p in parts)
    whole = (slice(None),) * (x.ndim - consumed)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    parts = (*parts[:at], *whole, *parts[at + 1 :])
    first: list[Any] = []
    rest: list[Any] = []
    flips: list[int] = []
    axis = out_axis = 0
    for part in parts:
        if isinstance(part, slice) and part.step is not None and part.step < 0:
            steps = range(*part.indices(x.shape[axis]))[::-1]
            first.append(slice(steps.start, builtins.max(steps.stop, 0), steps.step) if len(steps) else slice(0, 0))
            rest.append(slice(None))
            flips.append(axis if arrays else out_axis)
        elif arrays:
            first += [slice(None)] * _axes_consumed(part)
            rest.append(part)
        else:
            first.append(part)
        axis += _axes_consumed(part)
        out_axis += 0 if isinstance(part, int) else 1
    return tuple(first), flips, tuple(rest) if arrays else None


def _axes_consumed(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return int(part.ndim) if getattr(part, "dtype", None) is torch.bool else 1


_INDEX = frozenset((torch.bool, torch.int64, torch.int32))


# -- ways to call torch


def _host(function: Callable[..., Any], /) -> Callable[..., Any]:
    """A NumPy function for torch tensors: through the host's memory, and back to the device of the first tensor."""

    def call(*args: Any, **keywords: Any) -> Any:
        device = next(a.device for a in _flat(args) if isinstance(a, torch.Tensor))
        result = function(*(_to_host(a) for a in args), **{k: _to_host(v) for k, v in keywords.items()})
        return _from_host(result, device)

    return call


def _flat(values: Any) -> Any:
    for v in values:
        yield from v if type(v) in (list, tuple) else (v,)


def _to_host(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return to_numpy(x)
    if isinstance(x, torch.dtype):
        return DTYPES[x].dtype
    return type(x)(_to_host(e) for e in x) if type(x) in (list, tuple) else x


def _from_host(x: Any, device: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)):
        return torch.from_numpy(np.array(x)).to(device)
    return tuple(_from_host(e, device) for e in x)


def _guarded(
    function: Callable[..., Any], on_host: Callable[..., Any], /, also: frozenset[Any] = frozenset()
) -> Callable[..., Any]:
    """`function`, except for data types that torch only stores, and others with which it departs from the standard."""
    through_host = _host(on_host)
    elsewhere = _STORED_ONLY | also

    def call(x: Any, /, *args: Any, **keywords: Any) -> Any:
        first = x if type(x) is torch.Tensor else x[0] if type(x) in (list, tuple) else args[0]
        return (through_host if first.dtype in elsewhere else function)(x, *args, **keywords)

    return call


def _pair(function: Callable[..., Any], /) -> Callable[..., Any]:
    """A function that torch defines for two tensors only, for a tensor and a Python scalar as well."""

    def call(x1: Any, x2: Any, /, **keywords: Any) -> Any:
        if not isinstance(x1, torch.Tensor):
            x1 = torch.full((), x1, dtype=x2.dtype, device=x2.device)
        elif not isinstance(x2, torch.Tensor):
            x2 = torch.full((), x2, dtype=x1.dtype, device=x1.device)
        return function(x1, x2, **keywords)

    return call


# -- elements

acosh, asin, asinh, atan, atanh, cos, cosh, exp = (
    torch.acosh, torch.asin, torch.asinh, torch.atan, torch.atanh, torch.cos, torch.cosh, torch.exp,
)  # fmt: skip
log, log2, log10, sin, sinh, sqrt, tan, tanh = (
    torch.log, torch.log2, torch.log10, torch.sin, torch.sinh, torch.sqrt, torch.tan, torch.tanh,
)  # fmt: skip
# Complex ones lose infinities and signs of zeros in torch.
acos, expm1, log1p, reciprocal = (
    _guarded(getattr(torch, name), getattr(_numpy, name), _COMPLEX) for name in ("acos", "expm1", "log1p", "reciprocal")
)


def _negative(x: Any, /) -> Any:
    """Both parts of complex numbers with their signs flipped, those of zeros too, which torch forgets."""
    if x.dtype in _COMPLEX:
        return torch.view_as_complex(torch.negative(torch.view_as_real(x.resolve_conj())))
    return torch.negative(x)


abs, bitwise_invert, negative, sign, square = (
    _guarded(native, getattr(_numpy, name))
    for native, name in (
        (torch.abs, "abs"), (torch.bitwise_not, "bitwise_invert"), (_negative, "negative"), (_compat.sign, "sign"),
        (torch.square, "square"),
    )
)  # fmt: skip
equal, not_equal = operator.eq, operator.ne
less, less_equal, greater, greater_equal, multiply = (
    _guarded(native, getattr(_numpy, name))
    for native, name in (
        (operator.lt, "less"), (operator.le, "less_equal"), (operator.gt, "greater"), (operator.ge, "greater_equal"),
        (operator.mul, "multiply"),
    )
)  # fmt: skip


def _pow(x1: Any, x2: Any, /) -> Any:
    """Torch takes square roots for the numbers 0.5 and -0.5, which differ at negative zero and infinity."""
    if isinstance(x2, float) and builtins.abs(x2) == 0.5:
        x2 = torch.full((), x2, dtype=x1.dtype, device=x1.device)
    return x1**x2


# Complex sums: torch multiplies the second term by 1 + 0i, which turns an infinity into NaN.
add, subtract, pow = (
    _guarded(native, getattr(_numpy, name), _COMPLEX)
    for native, name in ((operator.add, "add"), (operator.sub, "subtract"), (_pow, "pow"))
)
(
    atan2, bitwise_and, bitwise_left_shift, bitwise_or, bitwise_right_shift, bitwise_xor, copysign, hypot, logaddexp,
    logical_and, logical_or, logical_xor, maximum, minimum, nextafter,
) = (
    _guarded(_pair(getattr(torch, name)), getattr(_numpy, name))
    for name in (
        "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "copysign", "hypot",
        "logaddexp", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "nextafter",
    )
)  # fmt: skip
isin = _guarded(_pair(torch.isin), _numpy.isin, _COMPLEX | {torch.bool})


def divide(x1: Any, x2: Any, /) -> Any:
    x = x1 if isinstance(x1, torch.Tensor) else x2
    if x.dtype not in _INEXACT:
        wide = widest_float(x)
        x1, x2 = (a.to(wide) if isinstance(a, torch.Tensor) else a for a in (x1, x2))
    # torch divides a number by a tensor as the number times the reciprocal, which is another rounding.
    return x1 / x2 if x is x1 else torch.full((), x1, dtype=x2.dtype, device=x2.device) / x2


def _floor_divide(x1: Any, x2: Any, /) -> Any:
    """The standard follows ``floor(x1 / x2)`` at infinity, torch the remainder's definition."""
    out = torch.floor_divide(x1, x2)
    if out.dtype not in _INEXACT:
        return out
    return torch.where(torch.isinf(x1) | torch.isinf(x2), torch.floor(x1 / x2), out)


_remainder_on_host = _host(_numpy.remainder)


def _remainder(x1: Any, x2: Any, /) -> Any:
    """The quotient of torch overflows and its zeros lose the divisor's sign: NumPy on the CPU, the second mended elsewhere."""
    if x1.dtype not in _INEXACT:
        return torch.remainder(x1, x2)
    if x1.device.type == "cpu":
        return _remainder_on_host(x1, x2)
    out = torch.remainder(x1, x2)
    return torch.where(out == 0, torch.copysign(out, x2), out)


floor_divide = _guarded(_pair(_floor_divide), _numpy.floor_divide)
remainder = _guarded(_pair(_remainder), _numpy.remainder)


def round(x: Any, /) -> Any:
    return torch.complex(torch.round(x.real), torch.round(x.imag)) if x.dtype in _COMPLEX else torch.round(x)


# -- reductions


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return _compat.mean(x if x.dtype in _INEXACT else x.to(widest_float(x)), axis=axis, keepdims=keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance by its definition: torch takes no fractional correction."""
    if x.dtype not in _INEXACT:
        x = x.to(widest_float(x))
    centre = mean(x, axis=axis, keepdims=True)
    count = x.numel() // centre.numel() if centre.numel() else 0
    off = x - centre
    squares = torch.square(torch.abs(off) if off.dtype in _COMPLEX else off)
    return sum(squares, axis=axis, keepdims=keepdims) / builtins.max(count - correction, 0)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    return torch.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def _total(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """A sum or product. Those of uint8 are uint64 in the standard, int64 in torch; in uint16, 32 and 64 it has none."""
    through_host = _host(on_host)

    def call(x: Any, /, *, dtype: Any = None, **keywords: Any) -> Any:
        stored_only = dtype in _STORED_ONLY or x.dtype in _STORED_ONLY or x.dtype is torch.uint8
        return (through_host if stored_only else native)(x, dtype=dtype, **keywords)

    return call


sum, prod, cumulative_sum, cumulative_prod, _trace = (
    _total(getattr(space, name), getattr(host, name))
    for space, host, name in (
        (_compat, _numpy, "sum"), (_compat, _numpy, "prod"), (_compat, _numpy, "cumulative_sum"),
        (_compat, _numpy, "cumulative_prod"), (_compat.linalg, _numpy.linalg, "trace"),
    )
)  # fmt: skip
argmax, argmin, count_nonzero, diff, max, min, matmul, nonzero, take_along_axis, tensordot, tril, triu, vecdot = (
    _guarded(getattr(_compat, name), getattr(_numpy, name))
    for name in (
        "argmax", "argmin", "count_nonzero", "diff", "max", "min", "matmul", "nonzero", "take_along_axis", "tensordot", "tril",
        "triu", "vecdot",
    )
)  # fmt: skip

# -- the rest


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    if dtype in _STORED_ONLY:
        return _from_host(_numpy.arange(start, stop, step, dtype=DTYPES[dtype].dtype), device)
    return _compat.arange(start, stop, step, dtype=dtype, device=device)


linspace = _compat.linspace
clip, flip, repeat = (_guarded(getattr(_compat, name), getattr(_numpy, name)) for name in ("clip", "flip", "repeat"))
sort, argsort = (_guarded(getattr(_compat, name), getattr(_numpy, name)) for name in ("sort", "argsort"))
# torch's own lose NaNs, counts and first positions (https://github.com/pytorch/pytorch/issues/36748, 94106).
unique_all, unique_counts, unique_inverse, unique_values = (
    _host(f) for f in (_numpy.unique_all, _numpy.unique_counts, _numpy.unique_inverse, _numpy.unique_values)
)


def _take(x: Any, indices: Any, /, *, axis: int = 0) -> Any:
    return _compat.take(x, indices if indices.dtype in _INDEX else indices.long(), axis=axis)


take = _guarded(_take, _numpy.take)


def _searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    return torch.searchsorted(x1, x2.contiguous(), side=side, sorter=sorter)


searchsorted = _guarded(_pair(_searchsorted), _numpy.searchsorted)


def _diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return torch.diagonal(x, offset=offset, dim1=-2, dim2=-1)


_l = _compat.linalg
linalg = SimpleNamespace(
    cholesky=_l.cholesky, cross=_guarded(_l.cross, _numpy.linalg.cross), det=_l.det, diagonal=_diagonal, eigh=_l.eigh,
    eigvalsh=_l.eigvalsh, inv=_l.inv, matrix_norm=_l.matrix_norm, matrix_power=_l.matrix_power, matrix_rank=_l.matrix_rank,
    matrix_transpose=_l.matrix_transpose, outer=_l.outer, pinv=_l.pinv, qr=_l.qr, slogdet=_l.slogdet, solve=_l.solve,
    svd=_l.svd, svdvals=_l.svdvals, trace=_trace, vector_norm=_l.vector_norm,
)  # fmt: skip
fft = _compat.fft
