"""Data types: their limits and conversions, and the capabilities of the default backend."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from emberharmony.backend import _dtypes, select
from emberharmony.backend._dtypes import DType, as_dtype, in_kind, promote
from emberharmony.ops._tensor import Scalar, Tensor, check_scalar, scalar_dtype, wrap

__all__ = ["__array_namespace_info__", "astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]


class FloatInfo(NamedTuple):
    """Limits of a floating-point data type."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntInfo(NamedTuple):
    """Limits of an integer data type."""

    bits: int
    max: int
    min: int
    dtype: DType


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """Convert to another data type; with ``copy=False``, without a copy if nothing changes."""
    out = wrap(x).astype(dtype, copy=copy)
    return out if device is None else out.to_device(device)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether `from_` (a data type or a tensor) converts to `to` without losing range or kind."""
    source = from_ if isinstance(from_, DType) else wrap(from_).dtype if hasattr(from_, "shape") else as_dtype(from_)
    return bool(np.can_cast(source.dtype, as_dtype(to).dtype))


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating-point data type, given as such or by a tensor."""
    dtype = type if isinstance(type, DType) else wrap(type).dtype if hasattr(type, "shape") else as_dtype(type)
    if "floating" not in dtype.kind:
        raise TypeError(f"finfo needs a floating-point data type, not {dtype.name}; use iinfo for integers.")
    info = np.finfo(dtype.dtype)
    real = as_dtype(info.dtype)
    return FloatInfo(int(info.bits), float(info.eps), float(info.max), float(info.min), float(info.smallest_normal), real)


def iinfo(type: Any, /) -> IntInfo:
    """The limits of an integer data type, given as such or by a tensor."""
    dtype = type if isinstance(type, DType) else wrap(type).dtype if hasattr(type, "shape") else as_dtype(type)
    if "integer" not in dtype.kind:
        raise TypeError(f"iinfo needs an integer data type, not {dtype.name}; use finfo for floating-point types.")
    info = np.iinfo(dtype.dtype)
    return IntInfo(int(info.bits), int(info.max), int(info.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether `dtype` is of a kind: "bool", "integral", "real floating", …, a data type, or a tuple of these."""
    return bool(in_kind(as_dtype(dtype), kind))


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The common data type of tensors, data types and Python scalars."""
    dtypes = [
        a if isinstance(a, DType) else wrap(a).dtype if hasattr(a, "shape") else as_dtype(a)
        for a in arrays_and_dtypes
        if not isinstance(a, Scalar)
    ]
    if not dtypes:
        raise ValueError("result_type needs at least one tensor or data type.")
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = promote(result, dtype)
    for scalar in (a for a in arrays_and_dtypes if isinstance(a, Scalar)):
        if isinstance(scalar, complex) and result.kind == "real floating":
            result = _dtypes.complex64 if result is _dtypes.float32 else _dtypes.complex128
        else:
            check_scalar(result, scalar)
    return result


class NamespaceInfo:
    """The standard's inspection interface; it describes the default backend."""

    def capabilities(self) -> dict[str, Any]:
        """Optional features of the standard; boolean masks and data-dependent shapes work on every backend."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": select().xp.MAX_DIMENSIONS}

    def default_device(self) -> str:
        """The device of new tensors."""
        return select().device

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The data types that Python numbers are converted to."""
        xp = select().xp
        return {
            "real floating": scalar_dtype(xp, 0.0),
            "complex floating": scalar_dtype(xp, 0j),
            "integral": _dtypes.int64,
            "indexing": _dtypes.int64,
        }

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """The data types that the backend supports on a device, by name; all, or those of a kind."""
        backend = select()
        device = backend.place(device)
        found = [
            d
            for d in backend.xp.DTYPES.values()
            if backend.xp.has_float64(device) or d not in (_dtypes.float64, _dtypes.complex128)
        ]
        return {d.name: d for d in found if kind is None or in_kind(d, kind)}

    def devices(self) -> tuple[str, ...]:
        """All devices of the backend on this machine."""
        return tuple(select().xp.devices())


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807, the standard's name
    """Inspect the default backend: `capabilities`, `default_device`, `default_dtypes`, `dtypes`, `devices`."""
    return NamespaceInfo()
