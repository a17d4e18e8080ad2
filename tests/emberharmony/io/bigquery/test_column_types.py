"""Every Arrow type: written to BigQuery as a type that holds all of its values, or refused by name; no value changes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from emberharmony.io.bigquery.column_types import converted, is_exact, written_as

UTC = dt.UTC


def _local(*parts):
    return dt.datetime(*parts)  # noqa: DTZ001 - as DATETIME has none


# Type, the values at its limits, and the BigQuery type whose documented limits hold them.
HELD = [
    (pa.bool_(), [True, False, None], "BOOL"),
    (pa.int8(), [-(2**7), 2**7 - 1], "INT64"),
    (pa.uint32(), [0, 2**32 - 1], "INT64"),
    (pa.int64(), [-(2**63), 2**63 - 1, None], "INT64"),
    (pa.uint64(), [0, 2**63, 2**64 - 1, None], "NUMERIC"),
    (pa.float16(), [1.5, -65504.0, float("inf")], "FLOAT64"),
    (pa.float32(), [float(np.float32(0.1)), float("-inf")], "FLOAT64"),
    (pa.float64(), [0.1, 1e308], "FLOAT64"),
    (pa.decimal32(9, 2), [Decimal("9999999.99")], "NUMERIC"),
    (pa.decimal64(18, 9), [Decimal("-999999999.999999999")], "NUMERIC"),
    (pa.decimal128(38, 9), [Decimal("9" * 29 + "." + "9" * 9), None], "NUMERIC"),
    (pa.decimal128(29, 0), [Decimal("9" * 29)], "NUMERIC"),
    (pa.decimal128(30, 0), [Decimal("9" * 30)], "BIGNUMERIC"),
    (pa.decimal128(38, 10), [Decimal("-" + "9" * 28 + "." + "9" * 10)], "BIGNUMERIC"),
    (pa.decimal128(38, 38), [Decimal("0." + "9" * 38)], "BIGNUMERIC"),
    (pa.decimal256(76, 38), [Decimal("9" * 38 + "." + "9" * 38)], "BIGNUMERIC"),
    (pa.decimal128(5, -2), [Decimal("1234500")], "NUMERIC"),
    (pa.string(), ["a", "", None], "STRING"),
    (pa.large_string(), ["ä"], "STRING"),
    (pa.string_view(), ["longer than twelve bytes"], "STRING"),
    (pa.dictionary(pa.int8(), pa.large_string()), ["a", None, "a"], "STRING"),
    (pa.dictionary(pa.int8(), pa.uint64()), [2**64 - 1], "NUMERIC"),
    (pa.binary(), [b"\x00\xff"], "BYTES"),
    (pa.large_binary(), [b"x"], "BYTES"),
    (pa.binary_view(), [b"x" * 20], "BYTES"),
    (pa.binary(2), [b"xy"], "BYTES"),
    (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), None], "DATE"),
    (pa.date64(), [dt.date(1969, 12, 31)], "DATE"),
    (pa.time32("s"), [dt.time(23, 59, 59)], "TIME"),
    (pa.time64("us"), [dt.time(23, 59, 59, 999_999), dt.time(0)], "TIME"),
    (pa.time64("ns"), [dt.time(1, 2, 3, 4)], "TIME"),
    (pa.timestamp("s"), [_local(1, 1, 1), _local(9999, 12, 31, 23, 59, 59)], "DATETIME"),
    (pa.timestamp("us"), [_local(9999, 12, 31, 23, 59, 59, 999_999), None], "DATETIME"),
    (pa.timestamp("ns"), [_local(2026, 1, 1, 0, 0, 0, 1)], "DATETIME"),
    (pa.timestamp("ms", "UTC"), [dt.datetime(2026, 1, 1, tzinfo=UTC)], "TIMESTAMP"),
    (pa.timestamp("ns", "Asia/Tokyo"), [dt.datetime(2026, 1, 1, tzinfo=UTC)], "TIMESTAMP"),
    (pa.null(), [None], "STRING"),
]


@pytest.mark.parametrize(
    ("kind", "values", "expected"), HELD, ids=lambda value: str(value) if isinstance(value, pa.DataType) else ""
)
def test_values_arrive_unchanged(kind, values, expected):
    column = pa.chunked_array([pa.array(values, kind)])
    written = written_as(kind)
    result = converted(column, "x")
    assert written.bigquery == expected
    assert result.type == written.in_files
    assert result.to_pylist() == values
    assert result.cast(written.in_streams).to_pylist() == values


REFUSED = [
    pa.decimal128(38, -5),
    pa.decimal256(76, 0),
    pa.decimal256(76, 39),
    pa.duration("s"),
    pa.month_day_nano_interval(),
    pa.list_(pa.int64()),
    pa.struct({"a": pa.int64()}),
    pa.map_(pa.string(), pa.int64()),
    pa.dictionary(pa.int8(), pa.duration("s")),
    pa.uuid(),
]


@pytest.mark.parametrize("kind", REFUSED, ids=str)
def test_other_types_are_refused_by_name(kind):
    assert written_as(kind) is None
    with pytest.raises(DataError, match="'x' is of type"):
        converted(pa.chunked_array([], kind), "x")


def _of_integers(values, storage, kind):
    return pa.array(values, storage).view(kind)


LOST = [
    (pa.array([None, 2_000, 2_001], pa.timestamp("ns")), "1970-01-01 00:00:00.000002001"),
    (pa.array([2_001], pa.timestamp("ns")).dictionary_encode(), "1970-01-01 00:00:00.000002001"),
    (pa.array([2_001], pa.time64("ns")), "00:00:00.000002001"),
    (_of_integers([86_400_001], pa.int64(), pa.date64()), "1970-01-02"),
    (_of_integers([0, 2**62], pa.int64(), pa.timestamp("s")), str(2**62)),
    (_of_integers([None, -719_163], pa.int32(), pa.date32()), "0000-12-31"),
    (_of_integers([2_932_897], pa.int32(), pa.date32()), "10000-01-01"),
    (_of_integers([253_402_300_800], pa.int64(), pa.timestamp("s", "UTC")), "10000-01-01"),
    (_of_integers([-62_135_596_801], pa.int64(), pa.timestamp("s")), "0000-12-31 23:59:59"),
    (_of_integers([86_400], pa.int32(), pa.time32("s")), "86400"),
]


@pytest.mark.parametrize(("values", "shown"), LOST, ids=lambda value: value if isinstance(value, str) else str(value.type))
def test_values_that_would_change_are_refused_by_name(values, shown):
    with pytest.raises(DataError, match=f"'x' holds .*{shown}"):
        converted(pa.chunked_array([values]), "x")
    assert not is_exact(values.type)
