"""The rows of a slice in Parquet files, against a filter of the whole table."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from emberharmony.io.sources.parquet import open_source
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.planning.chunks import Chunk

BEGIN = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def day(number: int) -> TimeRows:
    start = BEGIN + number * 24 * HOUR
    return TimeRows("t", start, start + 24 * HOUR)


@pytest.fixture
def table(tmp_path):
    """Four days of hours, a file for each."""
    for number in range(4):
        times = [BEGIN + (24 * number + hour) * HOUR for hour in range(24)]
        rows = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "x": np.arange(24.0) + 24 * number})
        pq.write_table(rows, tmp_path / f"{number}.parquet", row_group_size=10)
    return tmp_path


def opened(folder, rows):
    return open_source(ParquetSourceSpec(str(folder), rows=rows))


def test_files_that_hold_no_rows_of_a_slice_are_no_part_of_it(table):
    part = opened(table, day(2))
    found = part.describe()
    assert found.n_rows == 24
    assert [file[0] for file in found.identity["files"]] == ["2.parquet"]
    assert part.row_groups("t").tolist() == [10, 10, 4], "all rows belong to it: read as they are stored"
    identity = found.identity
    pq.write_table(pq.read_table(table / "0.parquet"), table / "9.parquet")
    assert opened(table, day(2)).describe().identity == identity, "another file changes another slice"


def test_rows_are_those_of_a_filter(table):
    start = BEGIN + 29 * HOUR
    rows = TimeRows("t", start, start + 30 * HOUR)
    part = opened(table, rows)
    whole = pq.read_table(table)
    wanted = whole.filter((pc.field("t") >= pa.scalar(start)) & (pc.field("t") < pa.scalar(rows.stop)))
    assert part.describe().n_rows == wanted.num_rows == 30
    assert part.row_groups("t") is None
    span = part.time_range("t")
    first, stop = rows.ticks(wanted["t"].type)
    assert (span.first, span.last, span.n_null) == (first, stop - 1, 0)
    tick = 3_600_000_000
    assert part.count_times("t", span.first - 2 * tick, tick, 40).tolist() == [0] * 2 + [1] * 30 + [0] * 8
    times = wanted["t"].cast(pa.int64()).to_pylist()
    whole, later = part.times_between("t", [(0, 2**62), (times[7], 2**62)])
    assert (sorted(whole.tolist()), sorted(later.tolist())) == (times, times[7:])
    for again in (part, part.with_catalogue(part.describe().catalogue())):
        read = again.read(Chunk(0, 0, 30, times=(span.first, span.last + 1)), ["x"], time="t")
        assert read["x"].to_pylist() == wanted["x"].to_pylist()


def test_a_slice_without_rows_has_columns(table):
    part = opened(table, day(40))
    found = part.describe()
    assert (found.n_rows, found.schema.names) == (0, ["t", "x"])


def test_rows_without_a_time_belong_to_no_slice(tmp_path):
    times = pa.array([None, BEGIN, None, BEGIN + HOUR], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"t": times}), tmp_path / "rows.parquet")
    part = opened(tmp_path, day(0))
    assert (part.describe().n_rows, part.time_range("t").n_null, part.row_groups("t")) == (2, 2, None)


def test_files_without_statistics_are_read(table):
    for file in table.iterdir():
        pq.write_table(pq.read_table(file), file, write_statistics=False)
    part = opened(table, day(1))
    assert (part.describe().n_rows, part.row_groups("t")) == (24, None)
    (times,) = part.times_between("t", [(0, 2**62)])
    assert times.min() == day(1).ticks(pa.timestamp("us", "UTC"))[0]
