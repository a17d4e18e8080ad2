"""torch tensors: data types, devices, conversion from and to NumPy, and functions computed by NumPy."""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from emberharmony.backend import _dtypes

NAME = "torch"
ARRAY = torch.Tensor
DTYPES = {getattr(torch, d.name): d for d in _dtypes.ALL}
DEFAULT_FLOAT = _dtypes.float32
MEMORY_ERRORS: tuple[type[Exception], ...] = (torch.OutOfMemoryError, MemoryError)
DEFAULT_COMPLEX = _dtypes.complex64
MAX_DIMENSIONS = 64

_NATIVE = {d: native for native, d in DTYPES.items()}
INEXACT = frozenset((torch.float32, torch.float64, torch.complex64, torch.complex128))
COMPLEX = frozenset((torch.complex64, torch.complex128))
DISCRETE = frozenset(DTYPES) - INEXACT
# torch stores these data types but computes almost nothing with them, so NumPy computes instead.
STORED_ONLY = frozenset((torch.uint16, torch.uint32, torch.uint64))


def native_dtype(dtype: Any, /) -> Any:
    """The torch dtype of a DType or of anything that `as_dtype` accepts."""
    return _NATIVE[_dtypes.as_dtype(dtype)]


def plain(x: Any, /) -> Any:
    """A plain torch tensor that shares the memory of an instance of a subclass, such as a parameter."""
    if x.layout is not torch.strided:
        raise TypeError(f"A torch tensor of layout {x.layout} cannot be converted; call its to_dense() first.")
    return x if type(x) is torch.Tensor else x.as_subclass(torch.Tensor)


def widened(x: Any, /) -> Any:
    """Convert half precision and narrower to float32 or complex64, which represent every such number exactly."""
    if x.dtype in DTYPES or not (x.dtype.is_floating_point or x.dtype.is_complex):
        return x
    return x.to(torch.complex64 if x.dtype.is_complex else torch.float32)


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
        raise ValueError(f"torch has no device {device!r}.") from error
    return place.type if place.type == "cpu" else f"{place.type}:{place.index or 0}"


def use_device(device: str, /) -> None:
    pass  # every function that creates a tensor names the device


def has_float64(device: str, /) -> bool:
    return not device.startswith("mps")


def device_of(x: Any, /) -> str:
    return str(x.device)


def to_device(x: Any, device: str, /) -> Any:
    return x.to(device)


# -- in and out


def asarray(x: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Any:
    """A torch tensor. It shares NumPy's memory if possible; read-only memory is copied: torch has no read-only tensors."""
    if isinstance(x, torch.Tensor):
        out = x.to(device=device, dtype=dtype)
        if copy is False and out is not x:
            raise ValueError("A change of dtype or device needs a copy, but copy=False was given.")
        return out.clone() if copy and out is x else out
    borrowed = hasattr(x, "__array__") or hasattr(x, "__array_interface__")
    source = np.array(x, None if borrowed or dtype is None else DTYPES[dtype].dtype, copy=copy if borrowed else None)
    if copy is False and not borrowed:
        raise ValueError("Python numbers cannot become a tensor without a copy, but copy=False was given.")
    if dtype is None:
        dtype = _fitting_dtype(source, device or "cpu", weak=not borrowed)
    if source.dtype.char in "qQ":
        source = source.view(source.dtype.str)  # C's long long, which torch does not recognise as int64
    shareable = source.flags.writeable and source.dtype.isnative and builtins.all(s >= 0 for s in source.strides)
    if not shareable:
        if copy is False:
            raise ValueError("torch cannot share this array's memory (read-only or reversed), but copy=False was given.")
        source = np.array(source, dtype=source.dtype.newbyteorder("="), order="C")
    out = torch.from_numpy(source)
    moved = out.to(device=device, dtype=dtype)
    if copy is False and moved is not out:
        raise ValueError("A change of dtype or device needs a copy, but copy=False was given.")
    return moved


def _fitting_dtype(source: np.ndarray[Any, Any], device: str, *, weak: bool) -> Any:
    """The dtype if the caller asked for none: the default for Python numbers, else the nearest that the device supports."""
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
    """A Python number as the other operand of an array: unchanged."""
    return value


def cast(x: Any, dtype: Any, /) -> Any:
    return x.to(dtype)


def widest_float(x: Any, /) -> Any:
    """The dtype that an integer array is converted to if the other operand is a Python float."""
    return torch.float64 if has_float64(x.device.type) else torch.float32


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    out = x if isinstance(x, torch.Tensor) else torch.from_dlpack(x)
    moved = out if device is None else out.to(device)
    if copy is False and moved is not out:
        raise ValueError(f"Memory cannot be shared with device {device!r}, but copy=False was given.")
    return moved.clone() if copy and moved is out else moved


def to_dlpack(x: Any, /, *, stream: Any, max_version: Any, dl_device: Any, copy: bool | None) -> Any:
    # Consumers older than DLPack version 1 do not know dl_device and copy.
    keywords = {"dl_device": dl_device, "copy": copy} if dl_device is not None or copy is not None else {}
    return x.detach().__dlpack__(stream=stream, max_version=max_version, **keywords)


def dlpack_device(x: Any, /) -> tuple[int, int]:
    kind, index = x.__dlpack_device__()
    return int(kind), index


# -- computed by NumPy


def host(function: Callable[..., Any], /) -> Callable[..., Any]:
    """Make a NumPy function accept torch tensors: it computes on the host; the result goes to the first tensor's device."""

    def call(*args: Any, **keywords: Any) -> Any:
        device = next(a.device for a in _flat(args) if isinstance(a, torch.Tensor))
        result = function(*(to_host(a) for a in args), **{k: to_host(v) for k, v in keywords.items()})
        return from_host(result, device)

    return call


def _flat(values: Any) -> Any:
    for v in values:
        yield from v if type(v) in (list, tuple) else (v,)


def to_host(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return to_numpy(x)
    if isinstance(x, torch.dtype):
        return DTYPES[x].dtype
    return type(x)(to_host(e) for e in x) if type(x) in (list, tuple) else x


def from_host(x: Any, device: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)):
        return torch.from_numpy(np.array(x)).to(device)
    return tuple(from_host(e, device) for e in x)
