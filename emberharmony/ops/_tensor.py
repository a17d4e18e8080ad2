"""The array type (indexing, operators, methods), and how a function finds the backend of its arguments."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from emberharmony.backend import _dtypes
from emberharmony.backend._dtypes import DType
from emberharmony.backend._loading import load
from emberharmony.ops._owned import OwnedArray

Scalar = (bool, int, float, complex)
LIBRARIES = ("numpy", "torch", "mlx")


Axis = int | tuple[int, ...] | None
Binary = Callable[["Tensor", Any], "Tensor"]


def _operator(name: str) -> tuple[Binary, Binary, Binary]:
    """``x <op> y``, ``y <op> x`` and ``x <op>= y`` for one function of the standard."""
    compares = name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")

    def forward(self: Tensor, other: Any, /) -> Tensor:
        if _is_foreign(other):
            return NotImplemented  # type: ignore[no-any-return]
        return (comparison if compares else binary)(name, self, other)

    def reflected(self: Tensor, other: Any, /) -> Tensor:
        if _is_foreign(other):
            return NotImplemented  # type: ignore[no-any-return]
        return binary(name, other, self)

    def in_place(self: Tensor, other: Any, /) -> Tensor:
        if _is_foreign(other):
            return NotImplemented  # type: ignore[no-any-return]
        result = binary(name, self, other)
        if result.dtype is not self.dtype or result.shape != self.shape:
            raise TypeError(
                f"An in-place operation keeps dtype and shape: {self.dtype.name} {self.shape} "
                f"would become {result.dtype.name} {result.shape}."
            )
        self._array = result._array
        return self

    return forward, reflected, in_place


def _is_foreign(other: Any) -> bool:
    """Whether an operand is no tensor, scalar or native array; Python then tries the operator of the operand's own type."""
    return not isinstance(other, (Tensor, *Scalar)) and library_of(other) not in LIBRARIES


def library_of(x: Any, /) -> str:
    """The array library that defines the type of `x` or one of its base classes; else the package of its type."""
    packages = [base.__module__.partition(".")[0] for base in type(x).__mro__]
    return next((package for package in packages if package in LIBRARIES), packages[0])


class Tensor(OwnedArray):
    """An array of one backend; functions of `emberharmony.ops` take it and follow its backend.

    Create tensors with `emberharmony.ops.asarray` or `emberharmony.ops.convert_to_tensor`, not with the class.

    Examples
    --------
    >>> from emberharmony import ops
    >>> ops.asarray([1.0, 2.0]) * 2
    Tensor([2., 4.], backend='numpy', device='cpu', dtype=float64, shape=(2,))
    """

    __slots__ = ()

    # -- indexing

    def __getitem__(self, key: Any, /) -> Tensor:
        return Tensor(self._xp.getitem(self._array, _native_key(key, self)), self._xp)

    def __setitem__(self, key: Any, value: Any, /) -> None:
        value = _scalar_or_tensor(value)
        if isinstance(value, Scalar):
            check_scalar(self.dtype, value)
            self.dtype.check_range(value)
        else:
            value = native(value, self._xp)
            if value.dtype != self._array.dtype:
                source = self._xp.DTYPES[value.dtype]
                if _dtypes.promote(source, self.dtype) is not self.dtype:
                    raise TypeError(f"{source.name} cannot be written into {self.dtype.name}; convert it with ops.astype.")
                value = self._xp.cast(value, self._array.dtype)
        self._array = self._xp.setitem(self._array, _native_key(key, self), value)

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("A tensor without axes cannot be iterated over.")
        return (self[i] for i in range(self.shape[0]))

    # -- operators

    __add__, __radd__, __iadd__ = _operator("add")
    __sub__, __rsub__, __isub__ = _operator("subtract")
    __mul__, __rmul__, __imul__ = _operator("multiply")
    __truediv__, __rtruediv__, __itruediv__ = _operator("divide")
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operator("floor_divide")
    __mod__, __rmod__, __imod__ = _operator("remainder")
    __pow__, __rpow__, __ipow__ = _operator("pow")
    __matmul__, __rmatmul__, __imatmul__ = _operator("matmul")
    __and__, __rand__, __iand__ = _operator("bitwise_and")
    __or__, __ror__, __ior__ = _operator("bitwise_or")
    __xor__, __rxor__, __ixor__ = _operator("bitwise_xor")
    __lshift__, __rlshift__, __ilshift__ = _operator("bitwise_left_shift")
    __rshift__, __rrshift__, __irshift__ = _operator("bitwise_right_shift")
    __eq__ = _operator("equal")[0]  # type: ignore[assignment]
    __ne__ = _operator("not_equal")[0]  # type: ignore[assignment]
    __lt__ = _operator("less")[0]
    __le__ = _operator("less_equal")[0]
    __gt__ = _operator("greater")[0]
    __ge__ = _operator("greater_equal")[0]
    __hash__ = None  # type: ignore[assignment]

    def __neg__(self) -> Tensor:
        return unary("negative", self)

    def __pos__(self) -> Tensor:
        return unary("positive", self)

    def __abs__(self) -> Tensor:
        return unary("abs", self)

    def __invert__(self) -> Tensor:
        return unary("bitwise_invert", self)

    # -- methods for notebooks; each calls the function of the same name

    def sum(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """The sum, over all or the given axes."""
        return Tensor(self._xp.sum(self._array, axis=axis, keepdims=keepdims), self._xp)

    def prod(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """The product, over all or the given axes."""
        return Tensor(self._xp.prod(self._array, axis=axis, keepdims=keepdims), self._xp)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """The arithmetic mean, over all or the given axes."""
        return Tensor(self._xp.mean(self._array, axis=axis, keepdims=keepdims), self._xp)

    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """The largest element, over all or the given axes."""
        return Tensor(self._xp.max(self._array, axis=axis, keepdims=keepdims), self._xp)

    def min(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """The smallest element, over all or the given axes."""
        return Tensor(self._xp.min(self._array, axis=axis, keepdims=keepdims), self._xp)

    def all(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Whether all elements are true, over all or the given axes."""
        return Tensor(self._xp.all(self._array, axis=axis, keepdims=keepdims), self._xp)

    def any(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Whether any element is true, over all or the given axes."""
        return Tensor(self._xp.any(self._array, axis=axis, keepdims=keepdims), self._xp)

    def std(self, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """The standard deviation, over all or the given axes."""
        return Tensor(self._xp.std(self._array, axis=axis, correction=correction, keepdims=keepdims), self._xp)

    def var(self, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """The variance, over all or the given axes."""
        return Tensor(self._xp.var(self._array, axis=axis, correction=correction, keepdims=keepdims), self._xp)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return Tensor(self._xp.reshape(self._array, tuple(wanted)), self._xp)

    def astype(self, dtype: Any, /, *, copy: bool = True) -> Tensor:
        """The elements in another data type."""
        wanted = _dtypes.as_dtype(dtype)
        if self.dtype.kind == "complex floating" and wanted.kind not in ("complex floating", "bool"):
            raise TypeError(f"{self.dtype.name} does not convert to {wanted.name}; take ops.real or ops.abs first.")
        return Tensor(self._xp.astype(self._array, self._xp.native_dtype(dtype), copy=copy), self._xp)


def _native_key(key: Any, x: Tensor) -> Any:
    if isinstance(key, tuple):
        return tuple(_native_key(k, x) for k in key)
    if isinstance(key, Tensor):
        if key._xp is not x._xp:
            raise mixed(x, key)
        return key._array
    return key


def wrap(x: Any, /) -> Tensor:
    """`x` itself if it is a Tensor, else a Tensor around a native array of any backend."""
    if isinstance(x, Tensor):
        return x
    library = library_of(x)
    if library in LIBRARIES:
        xp = load(library)
        if isinstance(x, xp.ARRAY):
            if x.dtype not in xp.DTYPES:
                raise TypeError(
                    f"emberharmony.ops has no data type for {library}'s {x.dtype}; "
                    f"ops.convert_to_tensor converts half precision to float32."
                )
            return Tensor(xp.plain(x), xp)
    raise TypeError(
        f"Expected a Tensor or an array of NumPy, torch or MLX, got {type(x).__name__}; convert it with ops.convert_to_tensor."
    )


def native(x: Any, xp: Any, /) -> Any:
    """The native array of `x`, which must belong to `xp`."""
    x = wrap(x)
    if x._xp is not xp:
        raise TypeError(_mixed_message(xp.NAME, x._xp.NAME))
    return x._array


def mixed(x1: Tensor, x2: Tensor, /) -> TypeError:
    return TypeError(_mixed_message(x1.backend, x2.backend))


def _mixed_message(first: str, second: str) -> str:
    return (
        f"One call received arrays of {first} and {second}; arrays are not moved between backends implicitly. "
        f"Convert one with ops.convert_to_tensor(x, backend={first!r})."
    )


def check_scalar(dtype: DType, scalar: Any, /) -> None:
    """Raise a TypeError if the standard forbids this Python scalar as the other operand of an array of `dtype`."""
    kind = dtype.kind
    if isinstance(scalar, bool):
        allowed = kind == "bool"
    elif isinstance(scalar, int):
        allowed = kind != "bool"
    elif isinstance(scalar, float):
        allowed = kind in ("real floating", "complex floating")
    else:
        allowed = kind == "complex floating"
    if not allowed:
        raise TypeError(
            f"A Python {type(scalar).__name__} does not combine with {dtype.name}; convert the tensor with ops.astype first."
        )


def operands(x1: Any, x2: Any, /) -> tuple[Any, Any, Any]:
    """The backend of two operands and their native values: two arrays of one dtype, or an array and a Python scalar."""
    if type(x2) is float and type(x1) is Tensor and x1._array.dtype in _floating:
        return x1._xp, x1._array, x2
    if type(x1) is not Tensor:
        x1 = _scalar_or_tensor(x1)
    if type(x2) is not Tensor:
        x2 = _scalar_or_tensor(x2)
    if type(x1) is Tensor:
        xp = x1._xp
        a = x1._array
        if type(x2) is Tensor:
            b = x2._array
            if x2._xp is not xp:
                raise mixed(x1, x2)
            if a.dtype is not b.dtype and a.dtype != b.dtype:
                common = xp.native_dtype(_dtypes.promote(xp.DTYPES[a.dtype], xp.DTYPES[b.dtype]))
                return xp, xp.cast(a, common), xp.cast(b, common)
            return xp, a, b
        a = _beside_scalar(x1, x2)
        return xp, a, xp.scalar(x2, a)
    if type(x2) is Tensor:
        b = _beside_scalar(x2, x1)
        return x2._xp, x2._xp.scalar(x1, b), b
    raise TypeError("At least one operand must be a tensor or an array, not two Python scalars.")


# Native data types that were found to combine with a Python float: `operands` skips its checks for them.
_floating: set[Any] = set()


def _scalar_or_tensor(x: Any) -> Any:
    """A Python scalar or a Tensor. A NumPy scalar becomes a Python scalar, so it does not widen the tensor's dtype."""
    if isinstance(x, np.generic) and x.dtype.kind in "biufc":
        return x.item()
    return x if isinstance(x, Scalar) else wrap(x)


def _beside_scalar(x: Tensor, scalar: Any) -> Any:
    """The native array of `x`, cast to floating point or complex if the scalar's kind requires it."""
    dtype = x.dtype
    if isinstance(scalar, complex) and dtype.kind == "real floating":
        complex_of = _dtypes.complex64 if dtype is _dtypes.float32 else _dtypes.complex128
        return x._xp.cast(x._array, x._xp.native_dtype(complex_of))
    if isinstance(scalar, float) and "integer" in dtype.kind:
        # The standard leaves this undefined. All backends follow NumPy, so that hours / 23.0 does what a reader expects.
        return x._xp.cast(x._array, x._xp.widest_float(x._array))
    check_scalar(dtype, scalar)
    if isinstance(scalar, float):
        _floating.add(x._array.dtype)
    else:
        dtype.check_range(scalar)
    return x._array


def unary(name: str, x: Any, /) -> Tensor:
    if type(x) is not Tensor:
        x = wrap(x)
    xp = x._xp
    return Tensor(getattr(xp, name)(x._array), xp)


def binary(name: str, x1: Any, x2: Any, /) -> Tensor:
    xp, a, b = operands(x1, x2)
    return Tensor(getattr(xp, name)(a, b), xp)


_COMPARISONS = {
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt, "less_equal": operator.le, "greater": operator.gt,
    "greater_equal": operator.ge,
}  # fmt: skip


def comparison(name: str, x1: Any, x2: Any, /) -> Tensor:
    """As `binary`, but accepts Python integers outside the tensor's dtype: all elements compare alike to such a number."""
    try:
        return binary(name, x1, x2)
    except OverflowError:
        x1, x2 = _scalar_or_tensor(x1), _scalar_or_tensor(x2)
        if isinstance(x1, int) is isinstance(x2, int):
            raise
        x = x1 if isinstance(x1, Tensor) else x2
        answer = _COMPARISONS[name](*(0 if side is x else side for side in (x1, x2)))
        return Tensor(x._xp.full(x.shape, answer, dtype=x._xp.native_dtype(_dtypes.bool), device=x.device), x._xp)


def elementary(name: str, x: Any, /) -> Tensor:
    """A function of floating-point numbers; integers and booleans are converted to the widest float of the device first."""
    if type(x) is not Tensor:
        x = wrap(x)
    xp = x._xp
    a = x._array
    if a.dtype in xp.DISCRETE:
        a = xp.cast(a, xp.widest_float(a))
    return Tensor(getattr(xp, name)(a), xp)


def elementary_of_two(name: str, x1: Any, x2: Any, /) -> Tensor:
    """As `elementary`, for two operands."""
    xp, a, b = operands(x1, x2)
    return Tensor(getattr(xp, name)(*(_as_floating(c, xp) for c in (a, b))), xp)


def _as_floating(operand: Any, xp: Any) -> Any:
    if isinstance(operand, Scalar) or operand.dtype not in xp.DISCRETE:
        return operand
    return xp.cast(operand, xp.widest_float(operand))


def scalar_dtype(xp: Any, *scalars: Any) -> DType:
    """A backend's default data type for Python scalars."""
    if any(isinstance(s, complex) for s in scalars):
        dtype: DType = xp.DEFAULT_COMPLEX
    elif any(isinstance(s, float) for s in scalars):
        dtype = xp.DEFAULT_FLOAT
    elif all(isinstance(s, bool) for s in scalars):
        dtype = _dtypes.bool
    else:
        dtype = _dtypes.int64
    return dtype


def common(arrays: Any, /) -> tuple[Any, list[Any]]:
    """The backend of several arrays and their native arrays, all of one dtype."""
    tensors = [wrap(x) for x in arrays]
    if not tensors:
        raise ValueError("At least one array is needed.")
    xp = tensors[0]._xp
    dtype = tensors[0].dtype
    for x in tensors[1:]:
        if x._xp is not xp:
            raise mixed(tensors[0], x)
        dtype = _dtypes.promote(dtype, x.dtype)
    wanted = xp.native_dtype(dtype)
    return xp, [x._array if x._array.dtype == wanted else xp.cast(x._array, wanted) for x in tensors]
