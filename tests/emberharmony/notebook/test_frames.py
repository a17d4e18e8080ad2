"""Frames of every odd kind: a table of Arrow, or an error that names the column."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.notebook.frames import batches_of, write_batches

X = np.linspace(0, 1, 8)


def column_of(frame, path):
    """The column c as a file of the frame has it."""
    write_batches(batches_of(frame, 5), path)
    return pq.read_table(path)["c"].to_pylist()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.cut(pd.Series(X), [0, 0.5, 1]), [None, *["(0.0, 0.5]"] * 3, *["(0.5, 1.0]"] * 4]),
        (pd.Series(pd.arrays.IntervalArray.from_breaks(range(9))), [f"({i}, {i + 1}]" for i in range(8)]),
        (pd.get_dummies(pd.Series(["a", "b"] * 4), sparse=True)["a"], [True, False] * 4),
        (pd.Series(pd.arrays.SparseArray([0.0, 0, 0, 1] * 2)), [0, 0, 0, 1] * 2),
        (pd.Series(pd.period_range("2024-01", periods=8, freq="M")), [dt.datetime(2024, m, 1) for m in range(1, 9)]),  # noqa: DTZ001
        (pd.Series([Decimal("1.5")] * 8), [Decimal("1.5")] * 8),
        (pd.Series([None] * 8, dtype=object), [None] * 8),
        (pd.Series(pd.to_timedelta(range(8), unit="s")), [dt.timedelta(seconds=i) for i in range(8)]),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_what_pandas_has_and_arrow_has_not(tmp_path, column, expected):
    got = column_of(pd.DataFrame({"x": X, "c": column}), tmp_path / "t.parquet")
    assert got == expected


@pytest.mark.parametrize(
    "column",
    [
        X + 1j,
        X.astype(np.longdouble),
        pd.Series([2**70, 1] * 4, dtype=object),
        pd.Series(["\ud800", "b"] * 4, dtype=object),
        pd.Series([1, "x"] * 4, dtype=object),
        pd.Series([dt.date(2024, 1, 1), "x"] * 4, dtype=object),
        pd.Series([{}] * 8),
        pd.Series([object()] * 8),
        pl.Series([1, 2] * 4, dtype=pl.Int128),
        pl.Series([object()] * 8, dtype=pl.Object),
        pa.array([2**62] * 8).cast(pa.timestamp("s")),
        pa.array([{}] * 8, pa.struct([])),
        pa.array([(1, 2, 3)] * 8, pa.month_day_nano_interval()),
    ],
    ids=lambda column: f"{type(column).__module__} {getattr(column, 'dtype', getattr(column, 'type', ''))}",
)
def test_what_neither_holds_is_refused_by_name(tmp_path, column):
    if isinstance(column, pl.Series):
        frame = pl.DataFrame({"x": X, "c": column})
    elif isinstance(column, pa.Array):
        frame = pa.table({"x": X, "c": column})
    else:
        frame = pd.DataFrame({"x": X, "c": column})
    with pytest.raises(DataError, match="Column 'c' of the frame cannot be converted to Arrow and Parquet"):
        column_of(frame, tmp_path / "t.parquet")
    assert next(batches_of(frame, 8, without=["c"]))["c"].null_count == 8


def test_names():
    frame = pd.DataFrame(np.zeros((4, 3)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]))
    assert next(batches_of(frame, 9)).column_names == ["('a', 1)", "('a', 2)", "('b', 1)"]
    assert next(batches_of(pd.DataFrame(np.zeros((4, 2)), columns=[0, 1]), 9)).column_names == ["0", "1"]
    for twice in (pd.DataFrame(np.zeros((4, 2)), columns=[0, "0"]), pa.table([[1], [2]], names=["0", "0"])):
        with pytest.raises(DataError, match="more than one column called 0"):
            next(batches_of(twice, 9))
    with pytest.raises(DataError, match="not valid Unicode"):
        next(batches_of(pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)), 9))
    indexed = pd.DataFrame({"x": X}, index=pd.MultiIndex.from_product([[1, 2], list("abcd")], names=["i", None]))
    assert next(batches_of(indexed, 9)).column_names == ["x", "i", "__index_level_1__"]


@pytest.mark.parametrize("frame", [pd.DataFrame(), pl.DataFrame(), pa.table({})], ids=["pandas", "polars", "arrow"])
def test_a_frame_without_columns_is_refused(frame):
    with pytest.raises(DataError, match="no columns"):
        next(batches_of(frame, 9))
