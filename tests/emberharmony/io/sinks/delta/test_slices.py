"""Nights that are published one by one to the same Delta tables."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from emberharmony.errors import DataError, PlanError
from emberharmony.io.sinks.delta.spec import DeltaSinkSpec
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.published_slices import published_slices
from emberharmony.slices import SlicesSpec, SliceTimes
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.emberharmony.io.sinks.delta.test_publish import RUNTIME, in_order, job_of
from tests.jobs import small_table, write_table

NIGHTS = ("2024-01-02", "2024-01-03", "2024-01-04")
TABLES = {"features": "features", "windows_stride_1": "windows/stride=1", "windows_stride_2": "windows/stride=2"}


def night_job(folder, sink, night, **settings):
    data = {"state": str(folder / "state"), "source": {"path": str(folder / "t.parquet")}, "slice": night}
    data |= {"sink": {"path": str(folder / sink)} | settings, "windows": {"lookback": "PT6H"}, "runtime": RUNTIME}
    return parse_job(data, model=ApplyJob).resolved()


def publish(folder, sink, night, **settings):
    return run_job(night_job(folder, sink, night, **settings), LocalEngine(1))


def delta(folder, night, **settings):
    return publish(folder, "delta", night, type="delta", **settings)


def rows_of(table, night=None):
    filters = None if night is None else [("slice", "=", night)]
    return in_order(DeltaTable(table).to_pyarrow_table(filters=filters))


def files_of(table, night):
    """Files of a slice, with their contents."""
    actions = pa.table(DeltaTable(table).get_add_actions(flatten=True))
    names = [row["path"] for row in actions.to_pylist() if row["partition.slice"] == night]
    assert names
    return {name: (table / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A state, and three nights published with it."""
    folder = tmp_path_factory.mktemp("nights")
    write_table(small_table(240), folder / "t.parquet", group_rows=40)
    run_job(job_of(folder / "t.parquet", folder / "state", type="parquet"), LocalEngine(1))
    for night in NIGHTS:
        assert delta(folder, night).did_work
    return folder


@pytest.fixture
def folder(published, tmp_path):
    """Them, to be changed."""
    return shutil.copytree(published, tmp_path / "nights")


def correct(folder, keep=lambda table: table):
    """Other values in the rows of the second night."""
    table = pq.read_table(folder / "t.parquet")
    night = pc.equal(pc.strftime(table["t"], "%Y-%m-%d"), NIGHTS[1])
    walk = pc.if_else(night, pc.add(table["walk"], 1000.0), table["walk"])
    table = table.set_column(table.column_names.index("walk"), "walk", walk)
    write_table(keep(table), folder / "t.parquet", group_rows=40)


def test_the_nights_are_those_of_parquet_files(folder):
    for night in NIGHTS:
        publish(folder, "files", night)
        for name, below in TABLES.items():
            parts = sorted((folder / f"files/slice={night}" / below).rglob("*.parquet"))
            wanted = in_order(pa.concat_tables(pq.ParquetFile(part).read() for part in parts))
            found = rows_of(folder / "delta" / name, night)
            assert found.num_rows > 0
            assert set(found.column_names) == {*wanted.column_names, "slice", "split"}
            assert found.select(wanted.column_names).equals(wanted.cast(found.select(wanted.column_names).schema))
            assert found["slice"].unique().to_pylist() == [night]
    assert DeltaTable(folder / "delta/features").metadata().partition_columns == ["slice", "split"]
    assert [part.name for part in published_slices(str(folder / "delta"))] == list(NIGHTS)
    assert [part.n_rows for part in published_slices(str(folder / "delta"))] == [48, 48, 48]


def test_readers_filter_by_slice(folder):
    table = DeltaTable(folder / "delta/features")
    wanted = rows_of(folder / "delta/features", NIGHTS[1])["y"].to_pylist()
    by_polars = pl.scan_delta(str(folder / "delta/features")).filter(pl.col("slice") == NIGHTS[1]).collect()
    assert sorted(by_polars["y"]) == sorted(wanted)
    data = table.to_pyarrow_dataset()
    by_duckdb = duckdb.sql(f"SELECT y FROM data WHERE slice = '{NIGHTS[1]}'").fetchall()
    assert data.schema.field("slice").type == pa.string()
    assert sorted(y for (y,) in by_duckdb) == sorted(wanted)


def test_a_night_that_is_run_again_changes_nothing(folder):
    before = {name: DeltaTable(folder / "delta" / name).version() for name in TABLES}
    assert not any(delta(folder, night).did_work for night in NIGHTS)
    assert {name: DeltaTable(folder / "delta" / name).version() for name in TABLES} == before


def test_a_corrected_night_replaces_its_own_rows(folder):
    tables = [folder / "delta" / name for name in TABLES]
    others = [files_of(table, night) for table in tables for night in (NIGHTS[0], NIGHTS[2])]
    old = [rows_of(table, NIGHTS[1]) for table in tables]
    manifests = [(folder / f"delta/slice={night}/manifest.json").read_bytes() for night in (NIGHTS[0], NIGHTS[2])]
    correct(folder)
    assert delta(folder, NIGHTS[1]).did_work
    assert [files_of(table, night) for table in tables for night in (NIGHTS[0], NIGHTS[2])] == others
    new = [rows_of(table, NIGHTS[1]) for table in tables]
    assert [len(rows) for rows in new] == [len(rows) for rows in old]
    assert all(one["y"].equals(other["y"]) for one, other in zip(new, old, strict=True))
    assert not any(one.equals(other) for one, other in zip(new, old, strict=True))
    publish(folder, "files", NIGHTS[1])
    part = pq.ParquetFile(*(folder / f"files/slice={NIGHTS[1]}/features").rglob("*.parquet")).read()
    assert new[0]["walk"].equals(in_order(part)["walk"].cast(new[0]["walk"].type))
    assert [(folder / f"delta/slice={night}/manifest.json").read_bytes() for night in (NIGHTS[0], NIGHTS[2])] == manifests


def test_a_night_without_rows_replaces_those_that_were_there(folder):
    begin = dt.datetime.fromisoformat(NIGHTS[1]).replace(tzinfo=dt.UTC)
    correct(folder, lambda table: table.filter(pc.less(table["t"], begin)))
    assert delta(folder, NIGHTS[1]).manifest.rows == {"apply": 0}
    for name in TABLES:
        found = set(rows_of(folder / "delta" / name)["slice"].to_pylist())
        assert found == {NIGHTS[0], NIGHTS[2]}


def test_a_night_of_other_features_is_refused(folder):
    job = job_of(folder / "t.parquet", folder / "state", type="parquet")
    columns = replace(job.columns, drop=("count",))
    run_job(job.model_copy(update={"columns": columns}), LocalEngine(1), overwrite=True)
    with pytest.raises(DataError, match="other columns than this run's: this run has no count"):
        delta(folder, NIGHTS[1])
    assert "count" in rows_of(folder / "delta/features", NIGHTS[1]).column_names


@pytest.mark.parametrize("path", ["lake", "lake/{slice}"])
def test_slices_share_the_tables_of_the_path(path):
    spec = SlicesSpec()
    night = spec.named("2026-11-28")
    times = SliceTimes(spec, night, night.start)
    sink = DeltaSinkSpec(path).of_slice(times)
    assert sink.of_slice(times) is sink
    if path == "lake":
        assert (sink.path, sink.folder_of_tables) == ("lake/slice=2026-11-28", "lake")
    else:
        assert (sink.path, sink.folder_of_tables) == ("lake/2026-11-28", "lake/2026-11-28")
    assert sink.partition_values("apply") == {"slice": "2026-11-28", "split": "apply"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"write_disposition": "append"}, "a slice replaces its own rows"),
        ({"write_disposition": "replace_partitions"}, "a slice replaces its own rows"),
        ({"partition": {"region": "eu"}}, "`sink.partition` names region"),
    ],
)
def test_what_a_slice_cannot_mean_is_refused(tmp_path, settings, said):
    with pytest.raises(PlanError, match=said):
        night_job(tmp_path, "delta", NIGHTS[0], type="delta", **settings)


def test_a_column_of_the_slice_s_name_is_refused(folder):
    table = pq.read_table(folder / "t.parquet")
    write_table(table.append_column("Slice", table["y"]), folder / "t.parquet", group_rows=40)
    job = job_of(folder / "t.parquet", folder / "other")
    job = job.model_copy(update={"slice": NIGHTS[0]}).resolved()
    with pytest.raises(PlanError, match="'slice' and 'Slice'"):
        run_job(job, LocalEngine(1))
