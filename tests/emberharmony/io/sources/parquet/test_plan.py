"""What planning asks of Parquet files: order and times, from footers or from the column."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.arrow import ticks
from emberharmony.errors import DataError
from emberharmony.planning.chunks import LAST_TICK, Chunk, cut_times, time_buckets
from tests.jobs import parquet_source, write_table


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("statistics", [True, False])
def test_footers_tell_times_to_the_tick(tmp_path, unit, statistics):
    first = 1_700_000_000 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit] + 1
    numbers = first + np.random.default_rng(0).permutation(100)
    table = pa.table({"t": pa.array(numbers, pa.timestamp(unit, "UTC"))})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=13, write_statistics=statistics)
    reader = parquet_source(tmp_path / "t.parquet")
    scale = 1000 if unit == "s" else 1  # Parquet has no seconds
    span = reader.time_range("t")
    assert (span.first, span.last) == (scale * first, scale * (first + 99))
    (found,) = reader.times_between("t", [(scale * first, scale * (first + 10))])
    assert len(found) == 10
    assert reader.count_times("t", scale * first, scale * 10, 10).tolist() == [10] * 10


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("type_", [pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32()], ids=str)
def test_times_that_python_does_not_have(tmp_path, type_, statistics):
    """Years before 1 and after 9999, and the smallest and largest integer, as other writers store NaT and infinity."""
    bits = type_.bit_width
    numbers = [2 ** (bits - 1) - 1, 5, -719_200, 2_932_897, -(2 ** (bits - 1)), 2 ** (bits - 1) - 2, 0]
    t = pa.array(numbers, pa.int32() if bits == 32 else pa.int64()).cast(type_)
    pq.write_table(pa.table({"t": t, "x": range(7)}), tmp_path / "t.parquet", row_group_size=2, write_statistics=statistics)
    reader = parquet_source(tmp_path / "t.parquet")
    scale = 86_400 if bits == 32 else 1
    span = reader.time_range("t")
    assert (span.first, span.last, span.n_null) == (scale * min(numbers), scale * max(numbers), 0)
    assert not reader.is_sorted_within("t", 1)
    resolution = reader.order("t").resolution
    count = partial(reader.count_times, "t")
    chunks = cut_times(list(time_buckets(count, span.first, span.last, max_rows=1, resolution=resolution)), 2)
    rows = pa.concat_tables([reader.read(chunk, ["t", "x"], time="t") for chunk in chunks])
    assert rows["x"].to_pylist() == np.argsort(numbers).tolist()
    assert rows["t"].combine_chunks().view(pa.int32() if bits == 32 else pa.int64()).to_pylist() == sorted(numbers)


def range_of_rows(reader, time, start, stop):
    return reader.times_of(Chunk(0, start, stop - start), time)


@pytest.mark.parametrize("type_", [pa.timestamp("ms"), pa.timestamp("ns", "UTC"), pa.date32()], ids=str)
def test_the_range_of_rows_is_that_of_their_groups(tmp_path, type_):
    numbers = np.random.default_rng(0).integers(-50, 50, 90).astype(np.int32 if pa.types.is_date(type_) else np.int64)
    t = pa.array(numbers).cast(type_)
    pq.write_table(pa.table({"t": t}), tmp_path / "t.parquet", row_group_size=13)
    reader, times = parquet_source(tmp_path / "t.parquet"), ticks(pa.chunked_array([t]))[0]
    for start, stop in ((0, 1), (12, 13), (13, 14), (12, 14), (0, 90), (78, 90), (40, 60)):
        of_groups = times[start // 13 * 13 : -(-stop // 13) * 13]
        assert range_of_rows(reader, "t", start, stop) == (of_groups.min(), of_groups.max() + 1)
    assert range_of_rows(reader, "t", 5, 5) is None
    assert reader.times_of(Chunk(0, 0, 90, (7, 9)), "t") == (7, 9)


def test_the_range_of_rows_is_unknown_without_statistics_or_with_nulls(tmp_path):
    table = pa.table(
        {"t": pa.array([1, 2, None, 4], pa.timestamp("us")), "last": pa.array([2**63 - 1] * 4, pa.timestamp("us"))}
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    reader = parquet_source(tmp_path / "t.parquet")
    assert range_of_rows(reader, "t", 0, 2) == (1, 3)
    assert range_of_rows(reader, "t", 1, 3) is None
    assert range_of_rows(reader, "last", 0, 4) == (LAST_TICK, LAST_TICK)  # without an end, see `in_range`
    pq.write_table(table, tmp_path / "bare.parquet", write_statistics=False)
    assert range_of_rows(parquet_source(tmp_path / "bare.parquet"), "t", 0, 2) is None


def test_null_times(tmp_path):
    table = pa.table({"t": pa.array([5, None, 3, None, 9, 1], pa.timestamp("us")), "x": range(6)})
    for group_rows in (1, 2, 6):
        reader = parquet_source(write_table(table, tmp_path / f"{group_rows}.parquet", group_rows=group_rows))
        assert reader.row_groups("t") is None
        assert (reader.time_range("t").first, reader.time_range("t").last, reader.time_range("t").n_null) == (1, 9, 2)
        got = reader.read(Chunk(0, 0, 4, (0, 10)), ["x"], time="t")
        assert got["row_number"].to_pylist() == got["x"].to_pylist() == [5, 2, 0, 4]


def test_no_time_at_all(tmp_path):
    table = pa.table({"t": pa.nulls(4, pa.timestamp("us"))})
    with pytest.raises(DataError, match="'t' holds no time in any of its rows"):
        parquet_source(write_table(table, tmp_path / "t.parquet")).time_range("t")


def test_nested_columns_before_the_time(tmp_path):
    table = pa.table({"s": [{"a": 1, "b": 2}] * 4, "l": [[1]] * 4, "t": pa.array([3, 1, 2, 4], pa.timestamp("us"))})
    reader = parquet_source(write_table(table, tmp_path / "t.parquet", group_rows=2))
    assert (reader.time_range("t").first, reader.time_range("t").last) == (1, 4)
    assert reader.describe().bytes_per_row["s_b"] >= 8


def test_footers_say_whether_a_column_is_null_in_all_rows(tmp_path):
    table = pa.table({"none": pa.nulls(6, pa.int64()), "one": [None] * 5 + [1], "nothing": pa.nulls(6)})
    for statistics in (True, False):
        path = tmp_path / f"{statistics}.parquet"
        pq.write_table(table, path, row_group_size=2, write_statistics=statistics)
        assert [parquet_source(path).is_all_null(name) for name in table.column_names] == [True, False, True]


def test_groups_that_overlap_a_range_of_times(tmp_path):
    times = pa.array([0, 1, 2, 3, 4, 5, 6, 7], pa.timestamp("us"))
    reader = parquet_source(write_table(pa.table({"t": times}), tmp_path / "t.parquet", group_rows=3))
    assert reader.rows_touched("t", [(0, 1), (2, 4), (8, 9)]) == 3 + 6 + 0
    found, first_row = reader.times_of_rows("t", 4, 5)
    assert (found.tolist(), first_row) == ([3, 4, 5], 3)
    assert [times.tolist() for times in reader.times_between("t", [(2, 4), (7, 9), (3, 5)])] == [[2, 3], [7], [3, 4]]
    assert reader.times_between("t", []) == []
