"""Both sides of the whole job write the same rows. The rows of the table are tested with all others, in `test_main.py`."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.whole_job import check_same_shape, n_rows


def write(folder, part, n):
    path = folder / part / "part-00000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": range(n)}), path)


@pytest.mark.parametrize("part", ["features/split=test", "windows/stride=3/split=train"])
def test_a_peer_that_writes_other_numbers_of_rows_is_refused(tmp_path, part):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        for name in ("features/split=test", "windows/stride=3/split=train"):
            write(folder, name, 4)
    check_same_shape(ours, theirs)
    write(theirs, part, 3)
    with pytest.raises(ValueError, match=f"{part}: ours has 4 rows, the peer's 3"):
        check_same_shape(ours, theirs)


def test_rows_of_all_parts_are_counted(tmp_path):
    write(tmp_path, "a", 4)
    pq.write_table(pa.table({"x": range(5)}), tmp_path / "a" / "part-00001.parquet")
    assert n_rows(tmp_path / "a") == 9
