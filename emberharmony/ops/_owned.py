"""A native array and its backend: attributes, and conversion to NumPy, Python and other libraries."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np

from emberharmony.backend._dtypes import DType
from emberharmony.backend._loading import load, placed


class OwnedArray:
    """The part of a tensor that computes nothing: its attributes and its conversions."""

    __slots__ = ("__weakref__", "_array", "_xp")

    # NumPy's operators defer to the tensor: `np.float64(2) * tensor` is a tensor, while `np.sin(tensor)` is a NumPy array.
    __array_priority__ = 1000

    namespace: ClassVar[ModuleType]  # `emberharmony.ops`, which sets it: this module is imported before that one is complete

    def __init__(self, array: Any, xp: Any) -> None:
        self._array = array
        self._xp = xp

    @property
    def dtype(self) -> DType:
        """The data type, one of `emberharmony.ops`' own objects."""
        dtype: DType = self._xp.DTYPES[self._array.dtype]
        return dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The length along each axis."""
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self._array.ndim)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """The size of the elements in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def device(self) -> str:
        """The device that holds the elements: "cpu", "cuda:0", "mps:0", "gpu"."""
        device: str = self._xp.device_of(self._array)
        return device

    @property
    def backend(self) -> str:
        """The name of the backend that owns it."""
        name: str = self._xp.NAME
        return name

    @property
    def T(self) -> Self:  # noqa: N802, the standard's name
        """The transpose of a matrix."""
        if self._array.ndim != 2:
            raise ValueError(f"x.T needs 2 axes, x has {self.ndim}; use x.mT for a stack of matrices, or ops.permute_dims.")
        return type(self)(self._xp.permute_dims(self._array, (1, 0)), self._xp)

    @property
    def mT(self) -> Self:  # noqa: N802
        """The transpose of each matrix in a stack (the last two axes)."""
        if self._array.ndim < 2:
            raise ValueError(f"x.mT needs at least 2 axes, x has {self.ndim}.")
        return type(self)(self._xp.linalg.matrix_transpose(self._array), self._xp)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=100)
        return (
            f"Tensor({values}, backend={self.backend!r}, device={self.device!r}, dtype={self.dtype.name}, shape={self.shape})"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("A tensor without axes has no len().")
        return self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), np.array(self.numpy()), self.backend))

    # -- out to other libraries and to Python

    def numpy(self) -> np.ndarray[Any, Any]:
        """The elements as a read-only NumPy array, without a copy if they are in the host's memory."""
        view: np.ndarray[Any, Any] = self._xp.to_numpy(self._array)
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=None if dtype is None else np.dtype(dtype), copy=copy)

    def item(self) -> Any:
        """The only element, as a Python scalar."""
        return self._xp.item(self._array)

    def tolist(self) -> Any:
        """The elements as nested lists of Python scalars."""
        return self.numpy().tolist()

    def __bool__(self) -> bool:
        return bool(self._one("bool"))

    def __int__(self) -> int:
        return int(self._one("int"))

    def __float__(self) -> float:
        return float(self._one("float"))

    def __complex__(self) -> complex:
        return complex(self._one("complex"))

    def __index__(self) -> int:
        if "integer" not in self.dtype.kind:
            raise TypeError(f"Only integer tensors can be used as an index, this one has dtype {self.dtype.name}.")
        return int(self._one("index"))

    def _one(self, wanted: str) -> Any:
        if self.size != 1 or self.ndim != 0:
            raise TypeError(f"Only a tensor without axes converts to {wanted}; this one has shape {self.shape}.")
        return self._xp.item(self._array)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        return self._xp.to_dlpack(self._array, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, index = self._xp.dlpack_device(self._array)
        return kind, index

    def to_device(self, device: str, /, *, stream: Any = None) -> Self:
        """The same tensor on another device of its backend."""
        if stream is not None:
            raise ValueError("to_device does not support streams; leave stream=None.")
        return type(self)(self._xp.to_device(self._array, placed(self._xp, device)), self._xp)

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        ops = self.namespace
        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12", ops.__array_api_version__):
            raise ValueError(
                f"emberharmony.ops follows version {ops.__array_api_version__} of the standard, not {api_version!r}."
            )
        return ops


def _rebuild(kind: type[OwnedArray], array: np.ndarray[Any, Any], backend: str) -> OwnedArray:
    xp = load(backend)
    return kind(xp.asarray(array, dtype=xp.native_dtype(array.dtype)), xp)
