"""What travels with the plan: the same table, in another process, without a look at its files."""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.catalogue import Catalogue
from emberharmony.io.sources.parquet.listing import place_of
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.planning.chunks import Chunk
from tests.jobs import small_table

NAME = os.fsdecode(b"\x80.parquet") if sys.platform.startswith("linux") else "p.parquet"  # others know no such names


@pytest.fixture
def folder(tmp_path):
    """Files whose schemas differ, with columns in their folders' names, and a name that is not in UTF-8."""
    table = small_table(300, order="sorted").select(["t", "walk", "color", "count"])
    wide = table.set_column(3, "count", table["count"].cast(pa.int64()))
    for i, part in enumerate((table.slice(0, 100), wide.slice(100, 100), table.slice(200))):
        (tmp_path / f"t/city=S%C3%A3o {i}").mkdir(parents=True)
        pq.write_table(part, tmp_path / "written", row_group_size=30)
        (tmp_path / "written").rename(tmp_path / f"t/city=S%C3%A3o {i}" / NAME)
    pq.write_table(table.slice(0, 0), tmp_path / "t/empty.parquet")
    return tmp_path / "t"


def carried(source: ParquetSource) -> ParquetSource:
    content = source.describe().catalogue()
    return ParquetSource(source._table.spec).with_catalogue(content)


@pytest.mark.parametrize("places", [[""], ["city=S%C3%A3o 2", "city=*[01]"]])
def test_the_table_is_the_same(folder, places):
    source = ParquetSource(ParquetSourceSpec(tuple(str(folder / place) for place in places)))
    source.row_groups("t")
    other = carried(source)
    assert other.describe().schema.equals(source.describe().schema, check_metadata=True)
    assert other.describe().identity == source.describe().identity
    assert other.describe().bytes_per_row == source.describe().bytes_per_row
    time = source.time_range("t")
    for chunk in (Chunk(0, 10, 150), Chunk(0, 0, 60, (time.first, time.first + 60 * 1800 * 10**6))):
        columns = ["t", "walk", "color", "count", "city"]
        if len(places) == 1 or chunk.times is None:
            rows = [s.read(chunk, columns, time="t" if chunk.times else None) for s in (source, other)]
            assert rows[0].equals(rows[1])


def test_nothing_is_looked_up_until_rows_are_read(folder, monkeypatch):
    source = ParquetSource(ParquetSourceSpec(str(folder)))
    times = source._table.group_times("t")
    other = carried(source)
    shutil.rmtree(folder)
    assert all(map(np.array_equal, other._table.group_times("t"), times))
    assert other.row_groups("t").tolist() == source.row_groups("t").tolist()
    assert [group.first_row for group in other._table.groups_of_rows(100, 140)] == [100, 130]
    with pytest.raises(DataError, match=r"cannot be read as Parquet, at its row group 0: .*No such file"):
        other.read(Chunk(0, 0, 10), ["walk"], time=None)


def test_a_file_that_was_changed_since_is_refused(folder):
    other = carried(ParquetSource(ParquetSourceSpec(str(folder))))
    for path in folder.rglob("*.parquet"):
        os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="was changed after the job was planned"):
        other.read(Chunk(0, 0, 10), ["walk"], time=None)


def test_footers_of_many_files_take_little(tmp_path):
    """Footers of one table are alike; schemas that are equal are kept once, also in the process that opens it."""
    table = small_table(20)
    for i in range(200):
        pq.write_table(table, tmp_path / f"{i:03}.parquet")
    source = ParquetSource(ParquetSourceSpec(str(tmp_path)))
    content = source.describe().catalogue()
    assert len(content) < 0.25 * sum(len(file.footer.unpacked()) for file in source._table.files)
    files = Catalogue.from_bytes(content, [place_of(str(tmp_path))]).files
    assert len({id(file.schema) for file in files}) == 1
    assert files == source._table.files
