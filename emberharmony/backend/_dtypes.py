"""The data types of the array API standard: one set of objects for all backends."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np


class DType:
    """A data type that a tensor of any backend reports; compare with ``==``, use as a key.

    Each data type is one object, so ``x.dtype == ops.float32`` holds on every backend. NumPy accepts them as ``dtype=``.
    """

    __slots__ = ("dtype", "highest", "kind", "lowest", "name")

    name: str
    kind: str
    dtype: np.dtype[Any]
    lowest: int | None  # range of an integer type, else None
    highest: int | None

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.dtype = np.dtype(name)  # NumPy reads this attribute when it receives a DType
        whole = "integer" in kind
        self.lowest = int(np.iinfo(name).min) if whole else None
        self.highest = int(np.iinfo(name).max) if whole else None

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    def check_range(self, scalar: Any, /) -> None:
        """Raise an OverflowError if the data type cannot hold this integer; some libraries would wrap it around."""
        if self.lowest is not None and self.highest is not None and not self.lowest <= scalar <= self.highest:
            raise OverflowError(f"{scalar} is out of the range of {self.name}.")

    def __repr__(self) -> str:
        return f"emberharmony.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (as_dtype, (self.name,))


bool = DType("bool", "bool")
int8 = DType("int8", "signed integer")
int16 = DType("int16", "signed integer")
int32 = DType("int32", "signed integer")
int64 = DType("int64", "signed integer")
uint8 = DType("uint8", "unsigned integer")
uint16 = DType("uint16", "unsigned integer")
uint32 = DType("uint32", "unsigned integer")
uint64 = DType("uint64", "unsigned integer")
float32 = DType("float32", "real floating")
float64 = DType("float64", "real floating")
complex64 = DType("complex64", "complex floating")
complex128 = DType("complex128", "complex floating")

ALL = (
    bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, complex64, complex128,
)  # fmt: skip
BY_NAME = {d.name: d for d in ALL}

KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("signed integer",),
    "unsigned integer": ("unsigned integer",),
    "integral": ("signed integer", "unsigned integer"),
    "real floating": ("real floating",),
    "complex floating": ("complex floating",),
    "numeric": ("signed integer", "unsigned integer", "real floating", "complex floating"),
}


def as_dtype(dtype: Any, /) -> DType:
    """Return the DType for a DType, a name, a Python type, or a NumPy, torch or MLX dtype."""
    if isinstance(dtype, DType):
        return dtype
    if dtype is float:
        return float64
    if dtype is complex:
        return complex128
    name = str(dtype).rsplit(".", 1)[-1]  # "torch.float32", "mlx.core.float32"
    if name not in BY_NAME:
        with suppress(TypeError):
            name = np.dtype(dtype).name
    if name not in BY_NAME:
        raise TypeError(f"{dtype!r} is not a data type of emberharmony.ops; use one of {', '.join(BY_NAME)}.")
    return BY_NAME[name]


def in_kind(dtype: DType, kind: Any, /) -> Any:
    """Whether `dtype` is of `kind`: a DType, one of the standard's names of kinds, or a tuple of these."""
    if isinstance(kind, tuple):
        return any(in_kind(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"Unknown kind of data type {kind!r}; use one of {', '.join(KINDS)}.")
        return dtype.kind in KINDS[kind]
    return dtype is as_dtype(kind)


@cache
def promote(a: DType, b: DType, /) -> DType:
    """Promote two data types by the standard; raise a TypeError for pairs that the standard leaves undefined."""
    if a is b:
        return a
    signed = {a.kind, b.kind}
    both_integers = signed <= {"signed integer", "unsigned integer"}
    both_floats = signed <= {"real floating", "complex floating"}
    if (both_integers and not (len(signed) == 2 and uint64 in (a, b))) or both_floats:
        return BY_NAME[np.promote_types(a.dtype, b.dtype).name]
    raise TypeError(
        f"{a.name} and {b.name} do not promote to a common data type: array libraries disagree about the result. "
        f"Convert one of them first, as in ops.astype(x, ops.{(b if b.kind in KINDS['numeric'] else a).name})."
    )
