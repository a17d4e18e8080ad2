"""NumPy behind the standard's names: array-api-compat, and what it lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from emberharmony.backend import _dtypes

NAME = "numpy"
ARRAY = np.ndarray | np.generic
DTYPES = {d.dtype: d for d in _dtypes.ALL}
DEFAULT_FLOAT = _dtypes.float64
DEFAULT_COMPLEX = _dtypes.complex128
MAX_DIMENSIONS = 64


def native_dtype(dtype: Any, /) -> Any:
    """The NumPy dtype of a DType (or of anything that names one)."""
    return _dtypes.as_dtype(dtype).dtype


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


def evaluate(*arrays: Any) -> None:
    pass


def synchronize(device: str, /) -> None:
    pass


def asarray(x: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Any:
    out = np.array(x, dtype=dtype, copy=copy)
    return out if out.dtype.isnative else out.astype(out.dtype.newbyteorder("="))


def to_numpy(x: Any, /) -> np.ndarray[Any, Any]:
    """A read-only view."""
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view


def cast(x: Any, dtype: Any, /) -> Any:
    return x.astype(dtype)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    return np.from_dlpack(x, copy=copy)


def setitem(x: Any, key: Any, value: Any, /) -> Any:
    """Write into `x` and return what now holds the result: NumPy's scalars have to become arrays first."""
    x = np.asarray(x)
    x[key] = value
    return x


def getitem(x: Any, key: Any, /) -> Any:
    return x[key]


def item(x: Any, /) -> Any:
    return x.item()


def floor_divide(x1: Any, x2: Any, /) -> Any:
    return np.floor_divide(x1, x2)


def expm1(x: Any, /) -> Any:
    return np.expm1(x)


def widest_float(x: Any, /) -> Any:
    """The native dtype that an integer array takes beside a Python float."""
    return np.dtype(np.float64)


def to_dlpack(x: Any, /, **keywords: Any) -> Any:
    return np.asarray(x).__dlpack__(**keywords)


def dlpack_device(x: Any, /) -> tuple[int, int]:
    return np.asarray(x).__dlpack_device__()
