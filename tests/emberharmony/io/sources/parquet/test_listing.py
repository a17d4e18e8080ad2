"""Several places are one table, each of whose files counts once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.io.sources.parquet.listing import list_files, place_of
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec


def names(folder: Path, *places: str) -> list[str]:
    return [str(Path(f.address).relative_to(folder)) for f in list_files([place_of(str(folder / place)) for place in places])]


@pytest.fixture
def tree(tmp_path):
    for name in ("a.parquet", "deep/er/c.parquet", "day=1/d.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": [1.0]}), tmp_path / name)
    return tmp_path


def test_a_list_is_its_places_in_their_order(tree):
    assert names(tree, "deep", "a.parquet", "day=*") == ["deep/er/c.parquet", "a.parquet", "day=1/d.parquet"]
    with pytest.raises(DataError, match=r"names .*a\.parquet twice"):
        names(tree, "a.parquet", "?.parquet")
    both = ParquetSourceSpec((str(tree / "a.parquet"), str(tree / "deep")))
    assert ParquetSource(both).describe().n_rows == 2
    assert str(both) == f"{tree / 'a.parquet'} and 1 more"
    with pytest.raises(PlanError, match="the list of paths is empty"):
        ParquetSourceSpec(())
