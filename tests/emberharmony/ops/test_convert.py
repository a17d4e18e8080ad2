"""Tensors from lists, frames, Arrow and other libraries' arrays."""

from __future__ import annotations

import datetime as dt
import decimal

import mlx.core as mx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from emberharmony import ops
from emberharmony.ops import convert_to_tensor, convert_to_tensor_safe, random_generator, tensor_to_numpy_safe, to_numpy

NAN = float("nan")

NUMBERS = {
    "scalar": (1.5, 1.5),
    "bool": (True, True),
    "list": ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    "list with None": ([1, None, 3], [1.0, NAN, 3.0]),
    "list of numpy scalars": ([np.float64(1), np.float64(2)], [1.0, 2.0]),
    "list of torch scalars": ([torch.tensor(1.0), torch.tensor(2.0)], [1.0, 2.0]),
    "numpy": (np.arange(3), [0, 1, 2]),
    "numpy reversed": (np.arange(3)[::-1], [2, 1, 0]),
    "numpy float16": (np.array([1, 2], dtype=np.float16), [1.0, 2.0]),
    "numpy masked": (np.ma.array([1, 2, 3], mask=[False, True, False]), [1.0, NAN, 3.0]),
    "numpy masked floats": (np.ma.array([[1.5, 2.5]], mask=[[True, False]]), [[NAN, 2.5]]),
    "numpy masked without a mask": (np.ma.array([1, 2]), [1, 2]),
    "range": (range(3), [0, 1, 2]),
    "numpy big-endian": (np.array([1, 2], dtype=">i4"), [1, 2]),
    "pandas series": (pd.Series([1, 2]), [1, 2]),
    "pandas Int64": (pd.Series([1, None], dtype="Int64"), [1.0, NAN]),
    "pandas Int64 without nulls": (pd.Series([1, 2**60 + 1], dtype="Int64"), [1, 2**60 + 1]),
    "pandas boolean": (pd.Series([True, None], dtype="boolean"), [1.0, NAN]),
    "pandas boolean without nulls": (pd.Series([True, False], dtype="boolean"), [True, False]),
    "pandas Float64": (pd.Series([1.5, None], dtype="Float64"), [1.5, NAN]),
    "pandas Arrow": (pd.Series([1, None], dtype="int64[pyarrow]"), [1.0, NAN]),
    "pandas Arrow without nulls": (pd.Series([1, 2], dtype="int64[pyarrow]"), [1, 2]),
    "pandas Arrow float": (pd.Series([1.5, None], dtype="double[pyarrow]"), [1.5, NAN]),
    "pandas objects": (pd.Series([1, None, 2.5], dtype=object), [1.0, NAN, 2.5]),
    "pandas objects with NA and decimals": (pd.Series([decimal.Decimal("1.5"), pd.NA], dtype=object), [1.5, NAN]),
    "pandas Arrow decimals": (
        pd.Series(pd.array([decimal.Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2)))),
        [1.5, NAN],
    ),
    "pandas Arrow nulls": (pd.Series([None, None], dtype="null[pyarrow]"), [NAN, NAN]),
    "pandas Arrow booleans": (pd.Series([True, None], dtype="bool[pyarrow]"), [1.0, NAN]),
    "pandas sparse": (pd.Series(pd.arrays.SparseArray([1.5, 0.0])), [1.5, 0.0]),
    "pandas index": (pd.Index([1, 2]), [1, 2]),
    "pandas frame": (pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), [[1.0, 0.5], [2.0, 1.5]]),
    "pandas frame with nulls": (
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [1, 2]}),
        [[1.0, 1.0], [NAN, 2.0]],
    ),
    "empty frame": (pd.DataFrame(index=range(2)), [[], []]),
    "polars series": (pl.Series([1, None]), [1.0, NAN]),
    "polars nulls": (pl.Series([None, None]), [NAN, NAN]),
    "polars large integers with nulls": (pl.Series([2**60 + 1, None]), [2.0**60, NAN]),
    "polars boolean": (pl.Series([True, False]), [True, False]),
    "polars frame": (pl.DataFrame({"a": [1, 2], "b": [0.5, None]}), [[1.0, 0.5], [2.0, NAN]]),
    "arrow array": (pa.array([1, 2], pa.int32()), [1, 2]),
    "arrow nulls": (pa.array([1, None]), [1.0, NAN]),
    "arrow large integers with nulls": (pa.array([2**63 + 1, None], pa.uint64()), [2.0**63, NAN]),
    "arrow booleans": (pa.array([True, None]), [1.0, NAN]),
    "arrow chunks": (pa.chunked_array([[1.0], [None, 3.0]]), [1.0, NAN, 3.0]),
    "arrow dictionary": (pa.array([5, 6, 5]).dictionary_encode(), [5, 6, 5]),
    "arrow decimal": (pa.array([decimal.Decimal("1.25"), None]), [1.25, NAN]),
    "arrow table": (pa.table({"a": [1, None], "b": [3, 4]}), [[1.0, 3.0], [NAN, 4.0]]),
    "arrow batch": (pa.record_batch({"a": [1, 2]}), [[1], [2]]),
    "arrow scalar": (pa.scalar(3), 3),
    "arrow scalar null": (pa.scalar(None, pa.int64()), NAN),
    "arrow scalar decimal": (pa.scalar(decimal.Decimal("1.5")), 1.5),
    "torch": (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
    "torch float16": (torch.tensor([1.5, 6e-8], dtype=torch.float16), [1.5, 2.0**-24]),
    "torch bfloat16": (torch.tensor([1.5, 3e38], dtype=torch.bfloat16), [1.5, 226 * 2.0**120]),
    "torch float8": (torch.tensor([1.5]).to(torch.float8_e4m3fn), [1.5]),
    "torch parameter": (torch.nn.Parameter(torch.ones(2)), [1.0, 1.0]),
    "list of torch halves": ([torch.tensor(1.5, dtype=torch.bfloat16)], [1.5]),
    "mlx": (mx.array([1.0, 2.0]), [1.0, 2.0]),
    "mlx float16": (mx.array([1.5, 6e-8], dtype=mx.float16), [1.5, 2.0**-24]),
    "mlx bfloat16": (mx.array([1.5, 3e38], dtype=mx.bfloat16), [1.5, 226 * 2.0**120]),
    "arrow float16": (pa.array(np.array([1.5], np.float16)), [1.5]),
    "numpy objects of large integers": (np.array([2**60 + 1, 2**63], dtype=object), np.array([2**60 + 1, 2**63], np.uint64)),
}


@pytest.mark.parametrize("what", sorted(NUMBERS))
def test_numbers(backend, what):
    given, wanted = NUMBERS[what]
    x = convert_to_tensor(given, backend=backend)
    assert x.backend == backend
    np.testing.assert_array_equal(x.numpy(), np.array(wanted))
    assert x.numpy().dtype.kind == np.array(wanted).dtype.kind
    np.testing.assert_array_equal(tensor_to_numpy_safe(given), np.array(wanted))
    assert convert_to_tensor_safe(given, backend=backend, dtype=ops.float32).dtype is ops.float32


NOT_NUMBERS = {
    "text": ("abc", "str"),
    "list of text": (["a"], "<U1"),
    "numpy objects": (np.array([1, "a"], dtype=object), "object.*str"),
    "times": (np.array(["2020-01-01"], dtype="datetime64[s]"), r"datetime64\[s\].*ticks"),
    "pandas times": (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64"),
    "pandas text": (pd.Series(["a"], name="carrier"), "carrier"),
    "pandas time": (pd.Timestamp("2020-01-01"), "Timestamp"),
    "pandas no time": (pd.NaT, "NaT"),
    "pandas categories": (pd.Series(["a"], dtype="category"), "category"),
    "pandas frame": (pd.DataFrame({"carrier": ["UA"]}), "carrier"),
    "polars text": (pl.Series("carrier", ["UA"]), "String.*carrier"),
    "polars wide integers": (pl.Series("wide", [1], dtype=pl.Int128), "Int128.*wide"),
    "polars lazy": (pl.LazyFrame({"a": [1]}), "collect"),
    "arrow text": (pa.table({"carrier": ["UA"]}), "string.*carrier"),
    "arrow times": (pa.array([dt.date(2020, 1, 1)]), "date32"),
    "set": ({1, 2}, "set"),
    "torch sparse": (torch.eye(2).to_sparse(), "sparse.*to_dense"),
    "list with no time": ([1, pd.NaT], "NaTType"),
    "numpy no time": (np.array(["NaT"], "M8[ns]"), "datetime64"),
    "pandas no durations": (pd.Series([pd.NaT], dtype="m8[ns]"), "timedelta64"),
}


@pytest.mark.parametrize("what", sorted(NOT_NUMBERS))
def test_what_is_no_number_is_named(backend, what):
    given, named = NOT_NUMBERS[what]
    with pytest.raises(TypeError, match=named):
        convert_to_tensor(given)


LOSSES = {
    "uint64 as int64": (
        np.array([1, 2**63], np.uint64),
        "int64",
        OverflowError,
        "9223372036854775808 is out of the range of int64",
    ),
    "int64 as int8": (np.array([-129, 1]), "int8", OverflowError, "-129 is out of the range of int8"),
    "negative as unsigned": ([-1], "uint64", OverflowError, "-1 is out of the range of uint64"),
    "number as int8": (300, "int8", OverflowError, "300 is out of the range of int8"),
    "float as int32": ([3e10], "int32", OverflowError, "30000000000 is out of the range of int32"),
    "float at the end of int64": ([2.0**63], "int64", OverflowError, "out of the range of int64"),
    "infinity as int64": ([np.inf], "int64", ValueError, "int64 cannot represent inf"),
    "NaN as bool": ([np.nan], "bool", ValueError, "bool cannot represent nan"),
    "complex as float": ([1j], "float64", TypeError, r"ops\.real"),
    "null among integers": (pd.Series([1, None], dtype="Int64"), "int64", ValueError, "int64 cannot represent nan"),
    "null among booleans": (pd.Series([True, None], dtype="boolean"), "bool", ValueError, "bool cannot represent nan"),
    "null of Arrow": (pa.array([1, None]), "int64", ValueError, "int64 cannot represent nan"),
    "null of polars": (pl.Series([1, None]), "int32", ValueError, "int32 cannot represent nan"),
    "null of a list": ([1, None], "uint8", ValueError, "uint8 cannot represent nan"),
    "masked": (np.ma.array([1, 2], mask=[True, False]), "int64", ValueError, "int64 cannot represent nan"),
    "frame with nulls": (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "int64", ValueError, "cannot represent"),
    "tensor of torch": (torch.tensor([np.nan]), "int64", ValueError, "int64 cannot represent nan"),
    "tensor of mlx": (mx.array([300]), "uint8", OverflowError, "300 is out of the range of uint8"),
    "more than 64 bits": (2**64, None, OverflowError, "18446744073709551616 .* 64 bits"),
    "list of more than 64 bits": ([2**70, 1], None, OverflowError, "64 bits"),
    "objects of more than 64 bits": (np.array([-(2**63) - 1, None], object), None, OverflowError, "64 bits"),
    "neither signed nor unsigned": ([2**63, -1], None, OverflowError, "No integer type"),
    "ragged": ([[1, 2], [3]], None, ValueError, "differ in length"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_what_cannot_be_converted_is_not_wrapped_round(backend, what):
    given, dtype, error, message = LOSSES[what]
    for target in (None, backend):
        with pytest.raises(error, match=message):
            convert_to_tensor(given, dtype=dtype, backend=target)


def test_conversions_that_lose_nothing(backend):
    assert convert_to_tensor([2.0**63 - 1024, -(2.0**63)], dtype=ops.int64).tolist() == [2**63 - 1024, -(2**63)]
    assert convert_to_tensor([-0.9, 255.9], dtype=ops.uint8).tolist() == [0, 255]  # cut off, as everywhere
    assert convert_to_tensor(np.array([2**63 - 1], np.uint64), dtype=ops.int64).tolist() == [2**63 - 1]
    assert convert_to_tensor([0.0, 0.5], dtype=ops.bool).tolist() == [False, True]
    assert convert_to_tensor(np.array([], np.float64), dtype=ops.int8).tolist() == []


class TaggedTensor(torch.Tensor):
    """A subclass outside torch, which overrides what its operators return."""


@pytest.mark.parametrize("make", [torch.nn.Parameter, lambda x: x.as_subclass(TaggedTensor)], ids=["parameter", "subclass"])
def test_subclasses_of_tensors_compute_like_them(make):
    for values in (torch.tensor([1.0, 4.0]), torch.tensor([1.0, 4.0], dtype=torch.float64)):
        x = make(values)
        for tensor in (convert_to_tensor(x), ops.asarray(x)):
            assert type(tensor._array) is torch.Tensor
            assert (tensor + 1).tolist() == [2.0, 5.0]
            assert (tensor - x).tolist() == [0.0, 0.0]
            assert ops.maximum(x, tensor * 2).tolist() == [2.0, 8.0]
        assert ops.sqrt(x).tolist() == [1.0, 2.0]
        assert to_numpy(x).tolist() == [1.0, 4.0]


def test_subclasses_of_numpy_arrays_compute_like_them():
    with pytest.warns(PendingDeprecationWarning):
        x = np.asmatrix([[1.0, 2.0], [3.0, 4.0]])
    for tensor in (ops.multiply(x, x), convert_to_tensor(x, backend="numpy") * x):
        assert tensor.tolist() == [[1.0, 4.0], [9.0, 16.0]]
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    for use in (lambda: ops.asarray(masked), lambda: ops.sin(masked)):
        with pytest.raises(TypeError, match="Masked"):
            use()
    assert ops.asarray(np.ma.array([1.0])).tolist() == [1.0]


@pytest.mark.parametrize("half", [torch.ones(1, dtype=torch.bfloat16), mx.ones(1, dtype=mx.float16)], ids=str)
def test_half_precision_is_converted_not_computed_with(half):
    with pytest.raises(TypeError, match="convert_to_tensor converts half precision"):
        ops.sin(half)


def test_backend_is_kept_or_changed(backend):
    x = ops.asarray([1.0, 2.0])
    assert convert_to_tensor(x).backend == backend
    for other in ("numpy", "torch", "mlx"):
        y = convert_to_tensor(x, backend=other)
        assert (y.backend, y.dtype, y.tolist()) == (other, x.dtype, [1.0, 2.0])


def test_arrow_reaches_numpy_without_a_copy():
    column = pa.array(np.arange(1000.0))
    assert np.shares_memory(convert_to_tensor(column, backend="numpy").numpy(), column.to_numpy())


class Exporter:
    """An array of a library that nobody has heard of."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_any_dlpack_exporter(backend):
    x = convert_to_tensor(Exporter(np.arange(3.0)))
    assert (x.backend, x.tolist()) == (backend, [0.0, 1.0, 2.0])


def test_mixing_backends_is_refused():
    a, b = convert_to_tensor([1.0], backend="numpy"), convert_to_tensor([1.0], backend="torch")
    c = mx.array([1.0])
    for left, right in [(a, b), (b, a), (a, c), (c, b), (np.ones(1, np.float32), b)]:
        with pytest.raises(TypeError, match="not moved between backends"):
            ops.add(left, right)
    with pytest.raises(TypeError, match="not moved between backends"):
        _ = a + b
    with pytest.raises(TypeError, match="not moved between backends"):
        ops.concat([a, b])
    with pytest.raises(TypeError, match="not moved between backends"):
        _ = a[ops.convert_to_tensor([0], backend="torch")]


def test_to_numpy(backend):
    assert to_numpy(ops.asarray([1, 2])).tolist() == [1, 2]


def test_random_generator():
    assert random_generator(3).uniform(size=4).tolist() == random_generator(3).uniform(size=4).tolist()
