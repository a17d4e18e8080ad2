"""Law 3 where rows go to Delta tables: a run that is killed while it publishes, and started again, commits each table once."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from emberharmony.io.sinks.delta.log import DeltaLog
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.ended import Changes, Killed, Noting
from tests.faults.victims import run, small_job
from tests.jobs import small_table, write_table

# A lock of a dead run is not closed in this process, but by it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

N_MOMENTS = 10
N_KILLS = 20
TABLES = ("windows_stride_1", "windows_stride_2", "features")


def delta_job(folder: Path, sink: str, table: str, **settings):
    return small_job(folder, sink=sink) | {
        "source": {"path": str(folder / table)},
        "sink": {"type": "delta", "path": str(folder / sink)} | settings,
        "runtime": {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": 80},
    }


def rows(table: Path, version: int | None = None) -> pa.Table:
    """Rows of the files in the log, with the columns of their partitions.

    `DeltaTable.to_pyarrow_table` takes twenty times as long, most of it for conditions on rows.
    """
    delta = DeltaTable(table, version=version)
    files, schema = pa.table(delta.get_add_actions(flatten=True)), pa.schema(delta.schema())
    of_partition = [name for name in files.column_names if name.startswith("partition.")]
    parts = []
    for file in files.select(["path", *of_partition]).to_pylist():
        part = pq.ParquetFile(table / file["path"]).read(use_threads=False)
        for name in of_partition:
            part = part.append_column(name.removeprefix("partition."), pa.repeat(file[name], part.num_rows))
        parts.append(part.select(schema.names).cast(schema))
    return in_order(table.name, pa.concat_tables(parts))


def by_deltalake(table: Path) -> pa.Table:
    return in_order(table.name, DeltaTable(table).to_pyarrow_table())


def in_order(name: str, table: pa.Table) -> pa.Table:
    return table.sort_by([("y", "ascending"), ("row_number" if name == "features" else "first_row", "ascending")])


class DeltaChanges(Changes):
    """Changes of the file system and commits of tables; the run may die before and after each."""

    def __init__(self, patch: pytest.MonkeyPatch, last: int | None = None) -> None:
        super().__init__(patch, last)
        committed = DeltaLog._try
        patch.setattr(DeltaLog, "_try", self._counted(committed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("delta")
    write_table(small_table(160), folder / "first.parquet", group_rows=40)
    write_table(small_table(160, seed=1), folder / "second.parquet", group_rows=40)
    run_job(parse_job(delta_job(folder, "earlier", "first.parquet")), LocalEngine(1))
    return folder


@pytest.fixture(scope="module", params=["replace", "append"])
def undisturbed(folder, request):
    """What the tables hold before and after a second job, when it began to publish, and when it ended."""
    sink, disposition = f"undisturbed-{request.param}", request.param
    shutil.copytree(folder / "earlier", folder / sink)
    with pytest.MonkeyPatch.context() as patch:
        engine = Noting(DeltaChanges(patch))
        job = delta_job(folder, sink, "second.parquet", write_disposition=disposition)
        run_job(parse_job(job), engine, overwrite=disposition == "replace")
    before, after = ({name: by_deltalake(folder / there / name) for name in TABLES} for there in ("earlier", sink))
    return disposition, before, after, engine.at["publish"], engine.changes.n


@pytest.mark.parametrize("moment", range(N_MOMENTS))
def test_killed_at_any_change_while_it_publishes(undisturbed, folder, moment, monkeypatch):
    disposition, before, after, begin, end = undisturbed
    out = folder / f"killed-{disposition}-{moment}"
    shutil.copytree(folder / "earlier", out)
    job = parse_job(delta_job(folder, out.name, "second.parquet", write_disposition=disposition))
    moments = np.linspace(begin + 1, end, N_MOMENTS).astype(int)
    assert len(np.unique(moments)) == N_MOMENTS
    with monkeypatch.context() as patch:
        DeltaChanges(patch, int(moments[moment]))
        with pytest.raises(Killed):
            run_job(job, LocalEngine(1), overwrite=disposition == "replace")
    committed = [DeltaTable(out / name).version() for name in TABLES]
    assert committed == sorted(committed, reverse=True), "features last"
    run_job(job, LocalEngine(1))
    for name in TABLES:
        assert DeltaTable(out / name).version() == 1, "one commit by each job"
        assert rows(out / name).equals(after[name])
        assert rows(out / name, version=0).equals(before[name])
    assert not list(out.glob(".staging/*-*"))
    assert not (out / ".unfinished").exists()
    shutil.rmtree(out)


def test_killed_again_and_again(folder):
    """Each run dies soon, so that the last ones die while they publish."""
    chosen, kills = random.Random(0), 0
    job = delta_job(folder, "random", "second.parquet")
    while (status := run(job, die_at=chosen.randint(15, 60))) != 0:
        assert status == -signal.SIGKILL
        kills += 1
        assert kills < 3 * N_KILLS
    run_job(parse_job(delta_job(folder, "whole", "second.parquet")), LocalEngine(1))
    assert kills >= N_KILLS / 4
    for name in TABLES:
        assert DeltaTable(folder / "random" / name).version() == 0
        assert rows(folder / "random" / name).equals(rows(folder / "whole" / name))


N_SLICE_MOMENTS = 4
WEEKS = ("2024-01-01", "2024-01-08", "2024-01-15")


def week_job(folder: Path, sink: str, week: str):
    job = delta_job(folder, sink, "weeks.parquet")
    return parse_job(job | {"slices": {"every": "week"}, "slice": week}).resolved()


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    """Three weeks, what their tables hold before and after the second was corrected, and when its run published, and ended."""
    folder = tmp_path_factory.mktemp("weeks")
    table = small_table(900)
    write_table(table, folder / "weeks.parquet", group_rows=300)
    for week in WEEKS:
        run_job(week_job(folder, "weeks", week), LocalEngine(1))
    corrected = table.set_column(table.column_names.index("flag"), "flag", table["flag"].fill_null(True))
    write_table(corrected, folder / "weeks.parquet", group_rows=300)
    shutil.copytree(folder / "weeks", folder / "undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        engine = Noting(DeltaChanges(patch))
        run_job(week_job(folder, "undisturbed", WEEKS[1]), engine)
    old, new = ({name: by_deltalake(folder / sink / name) for name in TABLES} for sink in ("weeks", "undisturbed"))
    return folder, old, new, engine.at["publish"], engine.changes.n


@pytest.mark.parametrize("moment", range(N_SLICE_MOMENTS))
def test_killed_while_a_slice_is_replaced(weeks, moment, monkeypatch):
    folder, old, new, begin, end = weeks
    out = folder / f"killed-{moment}"
    shutil.copytree(folder / "weeks", out)
    others = {path: path.read_bytes() for week in (WEEKS[0], WEEKS[2]) for path in out.rglob(f"*slice={week}/**/*.*")}
    assert len(others) > 2 * len(TABLES)
    moments = np.linspace(begin + 1, end, N_SLICE_MOMENTS).astype(int)
    with monkeypatch.context() as patch:
        DeltaChanges(patch, int(moments[moment]))
        with pytest.raises(Killed):
            run_job(week_job(folder, out.name, WEEKS[1]), LocalEngine(1))
    for name in TABLES:
        assert rows(out / name).equals((new if DeltaTable(out / name).version() == len(WEEKS) else old)[name])
    run_job(week_job(folder, out.name, WEEKS[1]), LocalEngine(1))
    for name in TABLES:
        assert DeltaTable(out / name).version() == len(WEEKS), "one commit by each job"
        assert rows(out / name).equals(new[name])
    assert {path: path.read_bytes() for path in others} == others
    shutil.rmtree(out)
