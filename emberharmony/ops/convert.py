"""Convert lists, data frames, Arrow data, DLPack exporters and arrays of any backend to tensors, and tensors to NumPy."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from emberharmony.backend import select
from emberharmony.backend._dtypes import DType, as_dtype
from emberharmony.backend._loading import load, placed
from emberharmony.ops._tensor import LIBRARIES, Tensor, library_of, wrap
from emberharmony.ops.random import Generator

__all__ = [
    "convert_to_tensor",
    "convert_to_tensor_safe",
    "random_generator",
    "tensor_to_numpy_safe",
    "to_numpy",
]


def convert_to_tensor(x: Any, /, *, dtype: Any = None, device: str | None = None, backend: str | None = None) -> Tensor:
    """Convert numbers in any common container to a tensor.

    Parameters
    ----------
    x : scalar, nested list, Tensor, NumPy, torch or MLX array, pandas or polars Series or DataFrame, pyarrow array or table, \
DLPack exporter
        Nulls and masked elements become NaN, and a column that contains them becomes float64. Frames and tables become
        matrices; their columns are promoted to one data type. Half precision (float16, bfloat16) becomes float32.
    dtype : DType, optional
        Data type of the result. Defaults to that of `x`, or to float32 for float64 on a device without double precision.
    device : str, optional
        Device of the result. Defaults to the backend's default device.
    backend : str, optional
        Backend of the result. Defaults to the backend of `x` if it has one, else to the default backend.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If `x` holds text, times, objects or anything else that is not a number; the message names the data type.
    OverflowError
        If an integer does not fit in 64 bits or in `dtype`. (Fractions are truncated.)
    ValueError
        If `dtype` is an integer type and `x` holds NaN, infinities or nulls, or `dtype` is bool and `x` holds NaN or nulls.

    Examples
    --------
    >>> import pandas as pd
    >>> convert_to_tensor(pd.Series([1, None, 3], dtype="Int64")).tolist()
    [1.0, nan, 3.0]
    """
    if isinstance(x, Tensor) or library_of(x) in ("torch", "mlx"):
        x = _own(x)
        if backend is None or select(backend).name == x.backend:
            xp = x._xp
            place = None if device is None else placed(xp, device)
            if place is None and backend is not None and ":" in backend:
                place = select(backend).device
            native = None if dtype is None else xp.native_dtype(dtype)
            if dtype is not None and not np.can_cast(x.dtype.dtype, as_dtype(dtype).dtype):
                check_cast(x.numpy(), as_dtype(dtype))
            return Tensor(xp.asarray(x._array, dtype=native, device=place), xp)
    target = select(backend)
    place = target.place(device)
    values = host_array(x)
    if isinstance(x, (bool, int, float, complex, list, tuple)) and dtype is None and values.dtype.kind in "fc":
        # Python numbers have no width: use the backend's default, as ops.asarray does.
        dtype = target.xp.DEFAULT_FLOAT if values.dtype.kind == "f" else target.xp.DEFAULT_COMPLEX
    native = None if dtype is None else target.xp.native_dtype(dtype)
    if dtype is not None:
        check_cast(values, as_dtype(dtype))
    return Tensor(target.xp.asarray(values, dtype=native, device=place), target.xp)


def convert_to_tensor_safe(x: Any, /, *, dtype: Any = None, device: str | None = None, backend: str | None = None) -> Tensor:
    """`convert_to_tensor` under the name of the user's guide."""
    return convert_to_tensor(x, dtype=dtype, device=device, backend=backend)


def to_numpy(x: Any, /) -> np.ndarray[Any, Any]:
    """Convert anything that `convert_to_tensor` accepts to a NumPy array; read-only if it shares a tensor's memory.

    Examples
    --------
    >>> to_numpy([1, 2])
    array([1, 2])
    """
    return host_array(x)


def tensor_to_numpy_safe(x: Any, /) -> np.ndarray[Any, Any]:
    """`to_numpy` under the name of the user's guide."""
    return host_array(x)


def random_generator(seed: int | None = None) -> Generator:
    """Create an independent stream of random numbers, the same on every backend.

    Examples
    --------
    >>> random_generator(7).uniform(size=2).tolist() == random_generator(7).uniform(size=2).tolist()
    True
    """
    return Generator(seed)


def _own(x: Any) -> Tensor:
    """A Tensor around a native array; half precision becomes float32."""
    if isinstance(x, Tensor):
        return x
    xp = load(library_of(x))
    return wrap(xp.widened(x) if isinstance(x, xp.ARRAY) else x)


def host_array(x: Any, /) -> np.ndarray[Any, Any]:
    """Convert `x` to a NumPy array with one of the standard's data types."""
    library = library_of(x)
    if isinstance(x, Tensor) or (library in LIBRARIES and library != "numpy"):
        return _own(x).numpy()
    if isinstance(x, np.ma.MaskedArray):
        return _unmasked(x)
    if library == "pandas" and hasattr(x, "ndim"):  # pandas' scalars (times, NA) have no ndim
        return _pandas(x)
    if library == "polars":
        return _polars(x)
    if library == "pyarrow":
        return _arrow(x)
    if isinstance(x, (list, tuple, range)):
        return _list(x)
    if not isinstance(x, (np.ndarray, np.generic)) and hasattr(x, "__dlpack__"):
        kind, _ = x.__dlpack_device__()
        if int(kind) == 1:
            return _exported(x)
    if isinstance(x, (bool, int, float, complex)) or hasattr(x, "__array__") or hasattr(x, "__array_interface__"):
        return _checked(np.asarray(x), type(x).__name__)
    raise TypeError(f"A {type(x).__module__}.{type(x).__qualname__} cannot be converted to a tensor.")


def _list(x: Any) -> np.ndarray[Any, Any]:
    elements = [host_array(e) if isinstance(e, Tensor) or library_of(e) in LIBRARIES else e for e in x]
    try:
        values = np.array(elements)
    except ValueError as error:
        raise ValueError("The rows of the nested list differ in length.") from error
    if values.dtype.kind == "f" and (np.abs(values) >= 2.0**63).any():
        # NumPy converts a mix of integers above 2**63 and negative ones to float.
        exact = np.array(elements, object)
        if all(isinstance(e, (int, np.integer)) for e in exact.flat):
            if min(exact.flat) >= 0 and max(exact.flat) < 2**64:
                return exact.astype(np.uint64)
            raise OverflowError("No integer type holds every number of the list; convert them to float first, which rounds.")
    return _checked(values, "a list")


def _exported(x: Any) -> np.ndarray[Any, Any]:
    try:
        values = np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError) as error:
        raise TypeError(f"NumPy cannot read the DLPack export of a {type(x).__name__}: {error}") from error
    return _checked(values, type(x).__name__)


def check_cast(values: np.ndarray[Any, Any], dtype: DType, /) -> None:
    """Raise an error if a cast would change values by more than rounding; libraries would wrap them around.

    Examples
    --------
    >>> check_cast(np.array([300]), as_dtype("uint8"))
    Traceback (most recent call last):
    OverflowError: 300 is out of the range of uint8.
    """
    if np.can_cast(values.dtype, dtype.dtype) or not values.size:
        return
    if values.dtype.kind == "c" and dtype.kind != "bool":
        raise TypeError(f"{values.dtype} cannot be converted to {dtype.name}; take ops.real or ops.abs first.")
    if values.dtype.kind == "f" and (dtype.kind == "bool" or dtype.lowest is not None):
        known = ~np.isnan(values) if dtype.kind == "bool" else np.isfinite(values)
        if not known.all():
            raise ValueError(
                f"{dtype.name} cannot represent {values[~known].flat[0]} (nulls become nan). Fill these values first, or "
                f"convert to a floating-point type."
            )
    if dtype.lowest is not None and dtype.highest is not None:
        whole = np.trunc(values) if values.dtype.kind == "f" else values
        for number in (whole.min().item(), whole.max().item()):
            dtype.check_range(int(number))


def _checked(a: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    """`a` in a data type that tensors support, or a TypeError that names its data type."""
    if a.dtype == np.float16:
        return a.astype(np.float32)
    if a.dtype == object:
        return _numbers_of_objects(a, what)
    if a.dtype.kind not in "biufc" or a.dtype.itemsize > (16 if a.dtype.kind == "c" else 8):
        hint = "; take its int64 ticks first" if a.dtype.kind in "mM" else ""
        raise TypeError(f"The data type {a.dtype} of {what} cannot be converted to a tensor{hint}.")
    return a if a.dtype.isnative else a.astype(a.dtype.newbyteorder("="))


def _unmasked(x: Any) -> np.ndarray[Any, Any]:
    """A masked array's elements, with NaN in place of masked ones."""
    values = _checked(np.asarray(x.data), "a masked array")
    if not np.ma.is_masked(x):
        return values
    values = values.astype(np.result_type(values, np.float64 if values.dtype.kind in "biu" else values.dtype))
    values[np.ma.getmaskarray(x)] = np.nan
    return values


_NUMBERS = (bool, int, float, Decimal, np.number, np.bool_)


def _is_null(element: Any) -> bool:
    return element is None or type(element).__name__ == "NAType"  # pandas' NA, without importing it


def _numbers_of_objects(a: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    """Convert an object array of Python numbers and nulls; nulls become NaN."""
    strangers = {type(e).__name__ for e in a.flat if not (_is_null(e) or isinstance(e, _NUMBERS))}
    if strangers:
        raise TypeError(
            f"The data type object of {what} holds {', '.join(sorted(strangers))}, which cannot be converted to a tensor."
        )
    whole = [int(e) for e in a.flat if isinstance(e, (int, np.integer)) and not isinstance(e, bool)]
    for number in whole:
        if not -(2**63) <= number < 2**64:
            raise OverflowError(f"{number} of {what} needs more than 64 bits; convert it to float first, which rounds.")
    if len(whole) == a.size:
        return _list(whole).reshape(a.shape)
    return np.array([np.nan if _is_null(e) else e for e in a.flat], dtype=np.float64).reshape(a.shape)


def _stacked(columns: Iterable[np.ndarray[Any, Any]], n_rows: int) -> np.ndarray[Any, Any]:
    arrays = list(columns)
    return np.stack(arrays, axis=1) if arrays else np.empty((n_rows, 0))


def _pandas(x: Any) -> np.ndarray[Any, Any]:
    if x.ndim == 2:
        return _stacked((_pandas(x.iloc[:, i]) for i in range(x.shape[1])), len(x))
    what = f"pandas {type(x).__name__} {x.name!r}" if getattr(x, "name", None) is not None else f"a pandas {type(x).__name__}"
    dtype = x.dtype
    if isinstance(dtype, np.dtype):
        return _checked(x.to_numpy(), what)
    if hasattr(dtype, "pyarrow_dtype"):
        import pyarrow as pa

        return _arrow_column(pa.chunked_array(pa.array(x)), what)
    kind = getattr(dtype, "kind", "O")
    if kind not in "biuf":  # categories, text, times, periods
        raise TypeError(f"The data type {dtype} of {what} cannot be converted to a tensor.")
    if bool(x.isna().any()):
        return _checked(x.to_numpy(dtype=np.float64, na_value=np.nan), what)
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    return _checked(x.to_numpy(dtype=numpy_dtype), what)


def _polars(x: Any) -> np.ndarray[Any, Any]:
    if not hasattr(x, "dtype"):
        if not hasattr(x, "get_columns"):
            raise TypeError(f"A polars {type(x).__name__} cannot be converted to a tensor; collect it first.")
        return _stacked((_polars(column) for column in x.get_columns()), x.height)
    name = str(x.dtype)
    if name in ("Int128", "UInt128") or not (x.dtype.is_numeric() or name in ("Boolean", "Null")):
        raise TypeError(f"The data type {name} of polars Series {x.name!r} cannot be converted to a tensor.")
    return _arrow(x.to_arrow())


def _arrow(x: Any) -> np.ndarray[Any, Any]:
    if hasattr(x, "itercolumns"):
        columns = zip(x.schema.names, x.itercolumns(), strict=True)
        return _stacked((_arrow_column(column, f"column {name!r}") for name, column in columns), x.num_rows)
    if hasattr(x, "as_py"):
        import pyarrow as pa

        return _arrow_column(pa.array([x.as_py()], type=x.type), "an Arrow scalar").reshape(())
    if not hasattr(x, "null_count"):
        raise TypeError(f"A pyarrow {type(x).__name__} cannot be converted to a tensor.")
    return _arrow_column(x, "an Arrow array")


def _arrow_column(x: Any, what: str) -> np.ndarray[Any, Any]:
    import pyarrow as pa

    kind = x.type
    if pa.types.is_dictionary(kind):
        x, kind = x.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        x, kind = x.cast(pa.float64()), pa.float64()
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(f"The data type {kind} of {what} cannot be converted to a tensor.")
    if x.null_count and not pa.types.is_floating(kind):
        x = x.cast(pa.int8()) if pa.types.is_boolean(kind) else x
        x = x.cast(pa.float64(), safe=False)  # rounds integers beyond 2**53
    # Arrow converts nulls in float columns to NaN.
    values = x.to_numpy(zero_copy_only=False) if isinstance(x, pa.Array) else x.to_numpy()
    return _checked(values, what)
