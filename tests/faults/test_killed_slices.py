"""Law 3 for slices: a run that was killed while it replaced one, at any moment, has touched no other."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from emberharmony.io.store.opening import result_at
from tests.faults.victims import contents, contents_by_snapshot, run, run_here, small_job
from tests.jobs import write_table

WEEKS = ("2024-01-01", "2024-01-08", "2024-01-15")
N_POINTS = 20


def week_job(folder: Path, week: str, sink: str):
    return small_job(folder, sink=sink, slice=week, slices={"every": "week"}, runtime={"chunk_rows": 100})


def bytes_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Three weeks; the second is to be made again, of corrected rows."""
    folder = tmp_path_factory.mktemp("weeks")
    for week in WEEKS:
        assert run(week_job(folder, week, "weeks")) == 0
    old = contents(folder / f"weeks/slice={WEEKS[1]}")
    source = folder / "table.parquet"
    table = pq.read_table(source)
    write_table(
        table.set_column(table.column_names.index("flag"), "flag", table["flag"].fill_null(True)), source, group_rows=100
    )
    shutil.copytree(folder / "weeks", folder / "undisturbed")
    assert run(week_job(folder, WEEKS[1], "undisturbed"), told=folder / "changes") == 0
    new = contents(folder / f"undisturbed/slice={WEEKS[1]}")
    assert new != old
    return folder, old, new, int((folder / "changes").read_text())


@pytest.mark.parametrize("point", range(N_POINTS))
def test_killed_while_it_replaces_a_slice(published, point):
    folder, old, new, n_changes = published
    sink = folder / f"killed-{point}"
    shutil.copytree(folder / "weeks", sink)
    others = {week: bytes_of(sink / f"slice={week}") for week in (WEEKS[0], WEEKS[2])}
    job = week_job(folder, WEEKS[1], sink.name)
    assert run(job, die_at=1 + (n_changes - 1) * point // (N_POINTS - 1)) == -signal.SIGKILL
    replaced = sink / f"slice={WEEKS[1]}"
    assert contents_by_snapshot(result_at(replaced).snapshot()) in (old, new)
    run_here(job)
    assert contents(replaced) == new
    assert {week: bytes_of(sink / f"slice={week}") for week in others} == others
    shutil.rmtree(sink)
