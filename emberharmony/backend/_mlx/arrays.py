"""MLX arrays: data types, devices, conversion from and to NumPy, and functions computed by NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

from emberharmony.backend import _dtypes

NAME = "mlx"
ARRAY = mx.array
DTYPES = {getattr(mx, "bool_" if d.name == "bool" else d.name): d for d in _dtypes.ALL if d is not _dtypes.complex128}
DEFAULT_FLOAT = _dtypes.float32
MEMORY_ERRORS: tuple[type[Exception], ...] = (MemoryError,)  # MLX defines no error for exhausted memory
DEFAULT_COMPLEX = _dtypes.complex64
MAX_DIMENSIONS = 10  # the limit of MLX's kernels for strided views

_NATIVE = {d: native for native, d in DTYPES.items()}
INEXACT = frozenset((mx.float32, mx.float64, mx.complex64))
DISCRETE = frozenset(DTYPES) - INEXACT


def native_dtype(dtype: Any, /) -> Any:
    """The MLX dtype of a DType or of anything that `as_dtype` accepts."""
    found = _dtypes.as_dtype(dtype)
    if found not in _NATIVE:
        raise TypeError(f"mlx has no {found.name}; its widest complex type is complex64.")
    return _NATIVE[found]


def plain(x: Any, /) -> Any:
    return x


def widened(x: Any, /) -> Any:
    """Convert half precision to float32, which represents every such number exactly."""
    return x.astype(mx.float32) if x.dtype in (mx.float16, mx.bfloat16) else x


# -- devices


def devices() -> list[str]:
    """The GPU first, the CPU last."""
    return ["gpu", "cpu"] if mx.is_available(mx.gpu) else ["cpu"]


def default_device() -> str:
    return devices()[0]


def full_device(device: str, /) -> str:
    if device not in ("gpu", "cpu"):
        raise ValueError(f"mlx has the devices gpu and cpu, not {device!r}.")
    return device


def use_device(device: str, /) -> None:
    """Set MLX's default device, on which all operations run. Arrays lie in memory that CPU and GPU share."""
    mx.set_default_device(mx.gpu if device == "gpu" else mx.cpu)


def has_float64(device: str, /) -> bool:
    return device == "cpu"


def device_of(x: Any, /) -> str:
    return "gpu" if mx.default_device() == mx.gpu else "cpu"


def to_device(x: Any, device: str, /) -> Any:
    return x


# -- in and out


def asarray(x: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Any:
    """An MLX array, always converted through NumPy: MLX refuses or misreads reversed, object and pandas input."""
    if isinstance(x, mx.array):
        if dtype is None or dtype == x.dtype:
            return mx.array(x) if copy else x
        if copy is False:
            raise ValueError("A change of dtype needs a copy, but copy=False was given.")
        return x.astype(dtype)
    if copy is False:
        raise ValueError("mlx always copies its input, but copy=False was given.")
    borrowed = hasattr(x, "__array__") or hasattr(x, "__array_interface__")
    source = np.array(x, None if borrowed or dtype is None else DTYPES[dtype].dtype, copy=None)
    if dtype is None:
        dtype = _fitting_dtype(source, weak=not borrowed)
    return from_host(source, dtype)


def _fitting_dtype(source: np.ndarray[Any, Any], *, weak: bool) -> Any:
    """The dtype if the caller asked for none: the default for Python numbers, else the nearest that the device supports."""
    dtype = _dtypes.as_dtype(source.dtype)
    single = {_dtypes.float64: _dtypes.float32, _dtypes.complex128: _dtypes.complex64}.get(dtype, dtype)
    if single is dtype or weak:
        return native_dtype(single)
    if dtype is _dtypes.float64 and has_float64(device_of(source)):
        return native_dtype(dtype)
    warnings.warn(f"mlx on {device_of(source)} has no {dtype.name}: the array becomes {single.name}.", stacklevel=5)
    return native_dtype(single)


def to_numpy(x: Any, /) -> np.ndarray[Any, Any]:
    """A read-only view of the array's memory."""
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view


def item(x: Any, /) -> Any:
    return x.item()


def scalar(value: Any, beside: Any, /) -> Any:
    """A Python number as the other operand of an array; MLX accepts integers below 2**63 only."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return from_host(np.array(value), beside.dtype)
    return value


def cast(x: Any, dtype: Any, /) -> Any:
    return x.astype(dtype)


def widest_float(x: Any, /) -> Any:
    """The dtype that an integer array is converted to if the other operand is a Python float."""
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


def to_host(x: Any) -> Any:
    if isinstance(x, mx.array):
        return np.asarray(x)
    if isinstance(x, mx.Dtype):
        return DTYPES[x].dtype
    return type(x)(to_host(e) for e in x) if type(x) in (list, tuple) else x


def from_host(x: Any, dtype: Any = None) -> Any:
    """Convert a NumPy array, or a tuple of arrays, to MLX; complex128 becomes complex64, MLX's widest complex type."""
    if isinstance(x, (np.ndarray, np.generic)):
        if dtype is None:
            dtype = mx.complex64 if x.dtype == np.complex128 else native_dtype(x.dtype)
        if dtype == mx.complex64 or x.dtype == np.complex128:
            x = x.astype(np.complex64)
            return mx.array(np.ascontiguousarray(x).reshape(x.shape)).astype(dtype)
        wanted = DTYPES[dtype].dtype
        return mx.array(np.array(x, dtype=wanted, order="C"), dtype=dtype)
    return tuple(from_host(e) for e in x)


def host(function: Callable[..., Any], /) -> Callable[..., Any]:
    """Make a NumPy function accept and return MLX arrays."""

    def call(*args: Any, **keywords: Any) -> Any:
        keywords.pop("device", None)
        return from_host(function(*(to_host(a) for a in args), **{k: to_host(v) for k, v in keywords.items()}))

    return call
