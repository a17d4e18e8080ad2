"""Create tensors, on the default backend unless an argument belongs to another backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from emberharmony.backend import select
from emberharmony.backend._dtypes import DType, as_dtype
from emberharmony.backend._loading import load, placed
from emberharmony.ops._tensor import LIBRARIES, Tensor, common, library_of, wrap

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def asarray(obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Convert scalars, nested lists or an array to a tensor.

    A Tensor, torch or MLX array keeps its backend. Everything else, NumPy arrays included, goes to the default backend.

    Parameters
    ----------
    obj : scalar, nested sequence, array or Tensor
    dtype : DType, optional
        Defaults to that of `obj`; for Python numbers to the backend's default (float64 on NumPy, float32 on torch and MLX).
    device : str, optional
        Defaults to the device of `obj`, or the backend's default device.
    copy : bool, optional
        True always copies, False never does (and raises if a copy is needed), None copies if needed.
    """
    if isinstance(obj, Tensor) or library_of(obj) in ("torch", "mlx"):
        x = wrap(obj)
        xp, source = x._xp, x._array
    else:
        backend = select()
        xp, source = backend.xp, _unwrapped(obj)
        device = device or backend.device
    device = None if device is None else placed(xp, device)
    return Tensor(xp.asarray(source, dtype=_native(xp, dtype), device=device, copy=copy), xp)


def _unwrapped(obj: Any) -> Any:
    """Replace tensors without axes in nested lists by their scalars."""
    if isinstance(obj, (list, tuple)):
        return [_unwrapped(o) for o in obj]
    if isinstance(obj, np.ndarray):
        return load("numpy").plain(obj)
    return obj.numpy() if isinstance(obj, Tensor) else obj


def _native(xp: Any, dtype: Any) -> Any:
    return None if dtype is None else xp.native_dtype(dtype)


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Evenly spaced numbers in ``[start, stop)``; with one argument, in ``[0, start)``."""
    backend = select()
    xp = backend.xp
    return Tensor(xp.arange(start, stop, step, dtype=_native(xp, dtype), device=backend.place(device)), xp)


def empty(shape: int | tuple[int, ...], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of arbitrary content."""
    return _filled("empty", shape, dtype, device)


def ones(shape: int | tuple[int, ...], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of ones."""
    return _filled("ones", shape, dtype, device)


def zeros(shape: int | tuple[int, ...], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of zeros."""
    return _filled("zeros", shape, dtype, device)


def _filled(name: str, shape: int | tuple[int, ...], dtype: Any, device: str | None) -> Tensor:
    backend = select()
    xp = backend.xp
    native = xp.native_dtype(xp.DEFAULT_FLOAT if dtype is None else dtype)
    return Tensor(getattr(xp, name)(_shape(shape), dtype=native, device=backend.place(device)), xp)


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in shape) if isinstance(shape, (tuple, list)) else (int(shape),)


def full(shape: int | tuple[int, ...], fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of one repeated value."""
    backend = select()
    xp = backend.xp
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return Tensor(xp.full(_shape(shape), value, dtype=_native(xp, dtype), device=backend.place(device)), xp)


def empty_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of arbitrary content, with the shape (and by default the dtype and device) of `x`."""
    return _filled_like("empty", x, dtype, device)


def ones_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of ones, with the shape (and by default the dtype and device) of `x`."""
    return _filled_like("ones", x, dtype, device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of zeros, with the shape (and by default the dtype and device) of `x`."""
    return _filled_like("zeros", x, dtype, device)


def _filled_like(name: str, x: Any, dtype: Any, device: str | None) -> Tensor:
    x = wrap(x)
    xp = x._xp
    place = x.device if device is None else placed(xp, device)
    native = x._array.dtype if dtype is None else xp.native_dtype(dtype)
    return Tensor(getattr(xp, name)(x.shape, dtype=native, device=place), xp)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of one repeated value, with the shape (and by default the dtype and device) of `x`."""
    x = wrap(x)
    xp = x._xp
    place = x.device if device is None else placed(xp, device)
    native = x._array.dtype if dtype is None else xp.native_dtype(dtype)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return Tensor(xp.full(x.shape, value, dtype=native, device=place), xp)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: str | None = None) -> Tensor:
    """A matrix with ones on its `k`-th diagonal."""
    backend = select()
    xp = backend.xp
    native = xp.native_dtype(xp.DEFAULT_FLOAT if dtype is None else dtype)
    return Tensor(xp.eye(n_rows, n_cols, k=k, dtype=native, device=backend.place(device)), xp)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop`, including `stop` unless ``endpoint=False``."""
    backend = select()
    xp = backend.xp
    if dtype is None:
        either_complex = isinstance(start, complex) or isinstance(stop, complex)
        dtype = xp.DEFAULT_COMPLEX if either_complex else xp.DEFAULT_FLOAT
    place, native = backend.place(device), xp.native_dtype(dtype)
    if "integer" in as_dtype(dtype).kind:
        return Tensor(xp.asarray(_whole_steps(start, stop, num, endpoint, as_dtype(dtype)), dtype=native, device=place), xp)
    return Tensor(xp.linspace(start, stop, num, dtype=native, device=place, endpoint=endpoint), xp)


def _whole_steps(start: Any, stop: Any, num: int, endpoint: bool, dtype: DType) -> np.ndarray[Any, Any]:
    """Evenly spaced numbers rounded down, in integer arithmetic; libraries compute in floats and miss the ends."""
    if not (isinstance(start, int) and isinstance(stop, int)):
        return np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype.dtype)
    span, steps = stop - start, max(num - 1 if endpoint else num, 1)
    if abs(span) * num < 2**62:
        offsets: np.ndarray[Any, Any] = (np.arange(num) * span // steps).astype(dtype.dtype)
        offsets += dtype.dtype.type(start)
        return offsets
    return np.array([start + i * span // steps for i in range(num)], dtype=dtype.dtype)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinate matrices of coordinate vectors, in Cartesian ("xy") or matrix ("ij") order."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij', got {indexing!r}.")
    if not arrays:
        return ()
    xp, natives = common(arrays)
    return tuple(Tensor(a, xp) for a in xp.meshgrid(*natives, indexing=indexing))


def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """The lower triangle of a matrix, up to its `k`-th diagonal."""
    x = wrap(x)
    return Tensor(x._xp.tril(x._array, k=k), x._xp)


def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """The upper triangle of a matrix, from its `k`-th diagonal."""
    x = wrap(x)
    return Tensor(x._xp.triu(x._array, k=k), x._xp)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Convert any DLPack exporter to a tensor that shares its memory if possible.

    An array of NumPy, torch or MLX keeps its backend; every other object goes to the default backend.
    """
    library = library_of(x)
    if isinstance(x, Tensor) or library in LIBRARIES:
        x = wrap(x)
        xp, source = x._xp, x._array
        device = None if device is None else placed(xp, device)
    else:
        backend = select()
        xp, source = backend.xp, x
        device = backend.place(device)
    return Tensor(xp.from_dlpack(source, device=device, copy=copy), xp)
