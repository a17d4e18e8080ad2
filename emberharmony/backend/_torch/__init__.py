"""torch under the names of the array API standard: array-api-compat, with corrections."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_compat.torch as _compat
import torch

from array_api_compat.torch import (  # isort: skip
    all, any, astype, broadcast_to, ceil, concat, conj, empty, expand_dims,
    eye, floor, full, imag, isfinite, isinf, isnan, logical_not, meshgrid, moveaxis, ones,
    permute_dims, positive, real, reshape, signbit, squeeze, stack, tile, trunc,
    unstack, zeros,
)  # fmt: skip

from emberharmony.backend import _numpy
from emberharmony.backend._torch.arrays import (
    ARRAY,
    COMPLEX,
    DEFAULT_COMPLEX,
    DEFAULT_FLOAT,
    DISCRETE,
    DTYPES,
    INEXACT,
    MAX_DIMENSIONS,
    MEMORY_ERRORS,
    NAME,
    STORED_ONLY,
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
from emberharmony.backend._torch.indexing import INDEX, check_indices, getitem, setitem

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


def _guarded(
    function: Callable[..., Any], on_host: Callable[..., Any], /, also: frozenset[Any] = frozenset()
) -> Callable[..., Any]:
    """`function`, or NumPy's for data types that torch only stores and for `also`, where torch departs from the standard."""
    through_host = host(on_host)
    elsewhere = STORED_ONLY | also

    def call(x: Any, /, *args: Any, **keywords: Any) -> Any:
        first = x if type(x) is torch.Tensor else x[0] if type(x) in (list, tuple) else args[0]
        return (through_host if first.dtype in elsewhere else function)(x, *args, **keywords)

    return call


def _of_one(native: Callable[[Any], Any], on_host: Callable[[Any], Any], /, also: Any = ()) -> Callable[[Any], Any]:
    """As `_guarded`, for functions of one tensor, which need the least overhead."""
    return _by_dtype(native, dict.fromkeys((*STORED_ONLY, *also), host(on_host)))


def _by_dtype(native: Callable[[Any], Any], others: dict[Any, Callable[[Any], Any]], /) -> Callable[[Any], Any]:
    def call(x: Any, /) -> Any:
        return others.get(x.dtype, native)(x)

    return call


def _unless_away(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """`native` on the CPU, NumPy on accelerators, which lack the function or compute it incorrectly."""
    through_host = host(on_host)

    def call(x: Any, /, *args: Any, **keywords: Any) -> Any:
        return (native if x.device.type == "cpu" else through_host)(x, *args, **keywords)

    return call


def _pair(function: Callable[..., Any], /) -> Callable[..., Any]:
    """Let a function that torch defines for two tensors also accept a tensor and a Python scalar."""

    def call(x1: Any, x2: Any, /, **keywords: Any) -> Any:
        if not isinstance(x1, torch.Tensor):
            x1 = torch.full((), x1, dtype=x2.dtype, device=x2.device)
        elif not isinstance(x2, torch.Tensor):
            x2 = torch.full((), x2, dtype=x1.dtype, device=x1.device)
        return function(x1, x2, **keywords)

    return call


# -- elements

atan, atanh, exp, log, log2, log10, sqrt = (
    torch.atan, torch.atanh, torch.exp, torch.log, torch.log2, torch.log10, torch.sqrt,
)  # fmt: skip
# For complex numbers torch loses infinities and the signs of zeros.
acos, expm1, log1p, reciprocal = (
    _of_one(getattr(torch, name), getattr(_numpy, name), COMPLEX) for name in ("acos", "expm1", "log1p", "reciprocal")
)


# For complex numbers these lose infinities and the signs of zeros on CUDA only.
acosh, asin, asinh, cos, cosh, sin, sinh, tan, tanh = (
    _by_dtype(getattr(torch, name), dict.fromkeys(COMPLEX, _unless_away(getattr(torch, name), getattr(_numpy, name))))
    for name in ("acosh", "asin", "asinh", "cos", "cosh", "sin", "sinh", "tan", "tanh")
)

# torch loses the signs of complex zeros in `negative`.
abs, bitwise_invert, negative, sign, square = (
    _of_one(native, getattr(_numpy, name), also)
    for native, name, also in (
        (torch.abs, "abs", ()), (torch.bitwise_not, "bitwise_invert", ()), (torch.negative, "negative", COMPLEX),
        (_compat.sign, "sign", ()), (torch.square, "square", ()),
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
    """Torch replaces the exponents 0.5 and -0.5 by square roots, which differ at negative zero and negative infinity."""
    if isinstance(x2, float) and builtins.abs(x2) == 0.5:
        x2 = torch.full((), x2, dtype=x1.dtype, device=x1.device)
    return x1**x2


# In complex sums torch multiplies the second term by 1 + 0i, which turns an infinity into NaN.
add, subtract, pow = (
    _guarded(native, getattr(_numpy, name), COMPLEX)
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
isin = _guarded(_pair(torch.isin), _numpy.isin, COMPLEX | {torch.bool})


def divide(x1: Any, x2: Any, /) -> Any:
    x = x1 if isinstance(x1, torch.Tensor) else x2
    if x.dtype not in INEXACT:
        wide = widest_float(x)
        x1, x2 = (a.to(wide) if isinstance(a, torch.Tensor) else a for a in (x1, x2))
    if not isinstance(x1, torch.Tensor):
        # torch computes number / tensor as number * (1 / tensor), which rounds twice.
        x1 = torch.full((), x1, dtype=x2.dtype, device=x2.device)
    return x1 / x2


def _floor_divide(x1: Any, x2: Any, /) -> Any:
    """At infinity the standard defines the result as ``floor(x1 / x2)``; torch derives it from the remainder."""
    out = torch.floor_divide(x1, x2)
    if out.dtype not in INEXACT:
        return out
    return torch.where(torch.isinf(x1) | torch.isinf(x2), torch.floor(x1 / x2), out)


_remainder_on_host = host(_numpy.remainder)


def _remainder(x1: Any, x2: Any, /) -> Any:
    """The remainder, with the divisor's sign on zeros, which torch drops. On the CPU NumPy computes it: torch can overflow."""
    if x1.dtype not in INEXACT:
        return torch.remainder(x1, x2)
    if x1.device.type == "cpu":
        return _remainder_on_host(x1, x2)
    out = torch.remainder(x1, x2)
    return torch.where(out == 0, torch.copysign(out, x2), out)


floor_divide = _guarded(_pair(_floor_divide), _numpy.floor_divide)
remainder = _guarded(_pair(_remainder), _numpy.remainder)


def round(x: Any, /) -> Any:
    return torch.complex(torch.round(x.real), torch.round(x.imag)) if x.dtype in COMPLEX else torch.round(x)


# -- reductions


def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return _compat.mean(x if x.dtype in INEXACT else x.to(widest_float(x)), axis=axis, keepdims=keepdims)


def var(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance by its definition: torch accepts no fractional correction."""
    if x.dtype not in INEXACT:
        x = x.to(widest_float(x))
    centre = mean(x, axis=axis, keepdims=True)
    count = x.numel() // centre.numel() if centre.numel() else 0
    off = x - centre
    squares = torch.square(torch.abs(off) if off.dtype in COMPLEX else off)
    return sum(squares, axis=axis, keepdims=keepdims) / builtins.max(count - correction, 0)


def std(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    return torch.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def _total(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """A sum or product. For uint8 the standard returns uint64, torch int64; torch has no sums of uint16, uint32 and uint64."""
    through_host = host(on_host)

    def call(x: Any, /, *, dtype: Any = None, **keywords: Any) -> Any:
        stored_only = dtype in STORED_ONLY or x.dtype in STORED_ONLY or x.dtype is torch.uint8
        return (through_host if stored_only else native)(x, dtype=dtype, **keywords)

    return call


sum, prod, cumulative_sum, cumulative_prod, _trace = (
    _total(getattr(space, name), getattr(host, name))
    for space, host, name in (
        (_compat, _numpy, "sum"), (_compat, _numpy, "prod"), (_compat, _numpy, "cumulative_sum"),
        (_compat, _numpy, "cumulative_prod"), (_compat.linalg, _numpy.linalg, "trace"),
    )
)  # fmt: skip


def _count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """With ``axis=()`` each element is counted by itself; torch would count over all axes."""
    return (x != 0).long() if axis == () else _compat.count_nonzero(x, axis=axis, keepdims=keepdims)


count_nonzero = _guarded(_count_nonzero, _numpy.count_nonzero)
argmax, argmin, diff, max, min, nonzero, tril, triu = (
    _guarded(getattr(_compat, name), getattr(_numpy, name))
    for name in ("argmax", "argmin", "diff", "max", "min", "nonzero", "tril", "triu")
)


def _product(native: Callable[..., Any], on_host: Callable[..., Any], /) -> Callable[..., Any]:
    """A sum of products; integers go through NumPy on accelerators, which multiply no integer matrices."""
    on_cpu = _guarded(native, on_host)
    of_integers = _unless_away(on_cpu, on_host)

    def call(x1: Any, x2: Any, /, **keywords: Any) -> Any:
        return (native if x1.dtype in INEXACT else of_integers)(x1, x2, **keywords)

    return call


matmul, tensordot, vecdot = (
    _product(getattr(_compat, name), getattr(_numpy, name)) for name in ("matmul", "tensordot", "vecdot")
)

# -- the rest


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    if dtype in STORED_ONLY:
        return from_host(_numpy.arange(start, stop, step, dtype=DTYPES[dtype].dtype), device)
    return _compat.arange(start, stop, step, dtype=dtype, device=device)


linspace = _compat.linspace
clip, flip, repeat, roll = (
    _guarded(getattr(_compat, name), getattr(_numpy, name)) for name in ("clip", "flip", "repeat", "roll")
)
sort, argsort = (_guarded(getattr(_compat, name), getattr(_numpy, name)) for name in ("sort", "argsort"))
# torch's functions lose NaNs, counts and first positions (https://github.com/pytorch/pytorch/issues/36748, 94106).
unique_all, unique_counts, unique_inverse, unique_values = (
    host(f) for f in (_numpy.unique_all, _numpy.unique_counts, _numpy.unique_inverse, _numpy.unique_values)
)


def _take(x: Any, indices: Any, /, *, axis: int = 0) -> Any:
    check_indices(indices, x.shape[axis])
    return _compat.take(x, indices if indices.dtype in INDEX else indices.long(), axis=axis)


def _take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    check_indices(indices, x.shape[axis])
    return _compat.take_along_axis(x, indices, axis=axis)


take, take_along_axis = _guarded(_take, _numpy.take), _guarded(_take_along_axis, _numpy.take_along_axis)
_where_on_host = host(_numpy.where)


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    stored_only = builtins.any(isinstance(x, torch.Tensor) and x.dtype in STORED_ONLY for x in (x1, x2))
    return (_where_on_host if stored_only else _compat.where)(condition, x1, x2)


_searchsorted_on_host = host(_numpy.searchsorted)


def _searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    if x1.dtype in INEXACT and builtins.bool((torch.isnan(x1).any() | torch.isnan(x2).any()).item()):
        return _searchsorted_on_host(x1, x2, side=side, sorter=sorter)  # NaNs sort last; torch does not order them
    return torch.searchsorted(x1, x2.contiguous(), side=side, sorter=sorter)


searchsorted = _guarded(_pair(_searchsorted), _numpy.searchsorted)


def _diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return torch.diagonal(x, offset=offset, dim1=-2, dim2=-1)


_l = _compat.linalg
linalg = SimpleNamespace(
    cholesky=_l.cholesky, cross=_guarded(_l.cross, _numpy.linalg.cross), det=_l.det, diagonal=_diagonal, eigh=_l.eigh,
    eig=_unless_away(torch.linalg.eig, _numpy.linalg.eig), eigvals=_unless_away(torch.linalg.eigvals, _numpy.linalg.eigvals),
    eigvalsh=_l.eigvalsh, inv=_l.inv, matrix_norm=_l.matrix_norm, matrix_power=_l.matrix_power, matrix_rank=_l.matrix_rank,
    matrix_transpose=_l.matrix_transpose, outer=_guarded(_l.outer, _numpy.linalg.outer), pinv=_l.pinv, qr=_l.qr,
    slogdet=_l.slogdet, solve=_l.solve, svd=_l.svd, svdvals=_l.svdvals, trace=_trace, vector_norm=_l.vector_norm,
)  # fmt: skip
fft = _compat.fft
