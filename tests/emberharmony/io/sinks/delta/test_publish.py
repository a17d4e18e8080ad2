"""Whole jobs that publish to Delta tables: what readers find, however often and in whatever way a job is run."""

from __future__ import annotations

import json
import shutil
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from emberharmony.errors import DataError, MissingLibraryError, PlanError, TerminalError
from emberharmony.io.manifest import read_manifest
from emberharmony.io.sinks.delta.log import DeltaLog
from emberharmony.io.store.local import LocalStore
from emberharmony.loader import WindowLoader
from emberharmony.pipeline.execute import check_credentials, plan_job, run_job
from emberharmony.pipeline.job import Job as AnyJob
from emberharmony.published.duckdb_dataset import DuckDBDataset
from emberharmony.published.published_result import open_result
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table

TABLES = {"features": "features", "windows_stride_1": "windows/stride=1", "windows_stride_2": "windows/stride=2"}
RUNTIME = {"workers": 1, "backend": "numpy", "engine": "local", "chunk_rows": 90}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_table(small_table(240), tmp_path_factory.mktemp("source") / "t.parquet", group_rows=40)


def job_of(source, out, **sink) -> AnyJob:
    return parse_job(
        {
            "source": {"path": str(source)},
            "sink": {"type": "delta", "path": str(out)} | sink,
            "columns": {"time": "t", "target": "y", "passthrough": ["name"]},
            "windows": {"size": 3, "strides": [1, 2]},
            "runtime": RUNTIME,
        }
    )


def applying(state, source, out, **sink) -> AnyJob:
    job = {"state": str(state), "source": {"path": str(source)}, "sink": {"type": "delta", "path": str(out)} | sink}
    return parse_job(job | {"runtime": RUNTIME}, model=ApplyJob)


def run(job, **options):
    return run_job(job, LocalEngine(1), **options)


def rows_of(table, version=None):
    """Rows of a Delta table, in the order of the source."""
    return in_order(DeltaTable(table, version=version).to_pyarrow_table())


def in_order(table):
    keys = [name for name in ("night", "first_row", "row_number") if name in table.column_names]
    return table.sort_by([(key, "ascending") for key in keys])


def run_ids(out):
    return [DeltaTable(out / name).history(1)[0]["emberharmony.run"] for name in TABLES]


@pytest.fixture(scope="module")
def published(source, tmp_path_factory):
    """The same job as Parquet files, and as Delta tables."""
    folder = tmp_path_factory.mktemp("published")
    run(job_of(source, folder / "parquet", type="parquet"))
    result = run(job_of(source, folder / "delta"))
    return folder / "parquet", folder / "delta", result


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_the_rows_of_the_parquet_result(published, name):
    parquet, delta, _ = published
    expected = in_order(pq.read_table(parquet / TABLES[name]))
    found = rows_of(delta / name)
    assert found.num_rows > 0
    columns = [column for column in expected.column_names if column != "split"]
    assert found.column_names == [*columns, "split"]
    assert found.select(columns).cast(expected.select(columns).schema).equals(expected.select(columns))
    assert found["split"].to_pylist() == expected["split"].cast(pa.string()).to_pylist()


@pytest.mark.parametrize("name", TABLES)
def test_polars_and_duckdb_read_what_deltalake_reads(published, name):
    table = published[1] / name
    expected = rows_of(table)
    key = "row_number" if name == "features" else "first_row"
    by_polars = pl.scan_delta(str(table)).filter(pl.col("split") == "test").collect().sort(key)
    test = expected.filter(pa.compute.equal(expected["split"], "test"))
    assert by_polars.to_arrow().cast(test.schema).equals(test)
    with duckdb.connect() as db:
        by_duckdb = db.from_arrow(DuckDBDataset.of(DeltaTable(table).to_pyarrow_dataset())).order(key).to_arrow_table()
    assert by_duckdb.cast(expected.schema).equals(expected)


def test_parts_are_registered_without_being_written_again(published):
    parquet, delta, result = published
    manifest = result.manifest
    assert {file.name.split("/")[0] for file in manifest.files} == {"state"}
    assert {file.name.split("/")[0] for file in manifest.registered} == {"features", "windows"}
    by_name = {file.name: file for file in read_manifest(LocalStore(parquet)).files}
    assert all(file.sha256 == by_name[file.name].sha256 for file in manifest.registered)  # of these types, the same bytes
    actions = pa.table(DeltaTable(delta / "features").get_add_actions(flatten=True)).to_pylist()
    assert sum(action["num_records"] for action in actions) == sum(manifest.rows.values())
    assert all(action["min.t"] <= action["max.t"] and action["null_count.name"] == 0 for action in actions)
    assert not list(delta.glob(".staging/*")) or not list(delta.glob(".staging/*-*"))
    assert not (delta / ".unfinished").exists()
    assert not (delta / "windows").exists()


def test_files_that_a_condition_excludes_are_not_read(published, source):
    table = published[1] / "features"
    times = rows_of(table)["t"]
    middle = times[120].as_py()
    expected = sum(time.as_py() > middle for time in times)
    assert pl.scan_delta(str(table)).filter(pl.col("t") > middle).collect().height == expected
    assert DeltaTable(table).to_pyarrow_dataset().count_rows(pa.compute.field("t") > middle) == expected


def test_outputs_are_named_and_the_run_is_in_every_table(published):
    _, delta, result = published
    assert result.outputs == tuple(f"{delta}/{name}" for name in (*TABLES, "state", "manifest.json"))
    assert set(run_ids(delta)) == {result.manifest.fingerprint}


def test_a_published_job_has_nothing_to_do_until_its_tables_are_gone(published, source, tmp_path):
    delta = tmp_path / "copy"
    shutil.copytree(published[1], delta)
    assert not run(job_of(source, delta)).did_work
    shutil.rmtree(delta / "windows_stride_2")
    with pytest.raises(PlanError, match="tables are gone: windows_stride_2"):
        run(job_of(source, delta))


def test_readers_of_files_are_sent_to_the_tables(published):
    there, result = r"its rows are in the tables that state/bigquery\.json names", open_result(published[1])
    with pytest.raises(DataError, match=there):
        WindowLoader(published[1], split="train", stride=1)
    with pytest.raises(DataError, match=there):
        result.windows(stride=1)
    with pytest.raises(DataError, match=there):
        result.features()
    assert result.state.fingerprint == published[2].manifest.fingerprint
    assert sorted(json.loads((published[1] / "state/bigquery.json").read_text())) == sorted(TABLES)


def test_a_job_that_only_fits_makes_no_table(source, tmp_path):
    fields = job_of(source, tmp_path / "out").model_dump(mode="json")
    run(parse_job(fields, model=FitJob))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "state"]


def test_without_the_library_a_job_is_refused_before_anything_starts(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'emberharmony\[delta\]'"):
        check_credentials(job_of(source, tmp_path / "out"))


def test_a_replacement_is_one_version_and_the_old_one_stays(source, tmp_path):
    out = tmp_path / "out"
    first = run(job_of(source, out))
    other = write_table(small_table(120, seed=1), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="result of another job"):
        run(job_of(other, out))
    second = run(job_of(other, out), overwrite=True)
    assert first.manifest.fingerprint != second.manifest.fingerprint
    assert set(run_ids(out)) == {second.manifest.fingerprint}
    assert (rows_of(out / "features").num_rows, rows_of(out / "features", version=0).num_rows) == (120, 240)
    assert DeltaTable(out / "features").version() == 1
    again = run(job_of(other, out), overwrite=True)  # the same rows, published anew
    assert again.did_work
    assert (DeltaTable(out / "features").version(), rows_of(out / "features").num_rows) == (2, 120)


def test_vacuum_removes_what_no_version_to_keep_needs_and_nothing_else(source, tmp_path):
    out = tmp_path / "out"
    run(job_of(source, out))
    run(job_of(source, out), overwrite=True)
    expected = rows_of(out / "features")
    table = DeltaTable(out / "features")
    removed = table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    assert len(removed) == len(list(out.glob("features/**/*.parquet")))
    assert rows_of(out / "features").equals(expected)
    assert not run(job_of(source, out)).did_work


def test_nights_are_appended_once_each_and_one_is_replaced(published, tmp_path):
    (fitted, *_), out = published, tmp_path / "out"
    nights = {}
    for day in (1, 2, 3):
        path = write_table(small_table(40 + day, seed=day), tmp_path / f"{day}.parquet")
        nights[day] = applying(fitted, path, out, write_disposition="append", partition={"night": f"2026-11-0{day}"})
        assert run(nights[day]).did_work
    features = rows_of(out / "features")
    assert {row["night"] for row in features.select(["night"]).to_pylist()} == {f"2026-11-0{day}" for day in (1, 2, 3)}
    assert features.num_rows == 41 + 42 + 43
    version = DeltaTable(out / "features").version()
    run(nights[1])  # the folder holds another night's manifest; its rows are in the table already
    assert (DeltaTable(out / "features").version(), rows_of(out / "features").num_rows) == (version, 41 + 42 + 43)
    path = write_table(small_table(7, seed=9), tmp_path / "late.parquet")
    late = applying(fitted, path, out, write_disposition="replace_partitions", partition={"night": "2026-11-02"})
    assert run(late).did_work
    by_night = pl.scan_delta(str(out / "features")).group_by("night").len().sort("night").collect().rows()
    assert by_night == [("2026-11-01", 41), ("2026-11-02", 7), ("2026-11-03", 43)]
    windows = pl.scan_delta(str(out / "windows_stride_1")).group_by("night").len().sort("night").collect().rows()
    assert windows == [("2026-11-01", 39), ("2026-11-02", 5), ("2026-11-03", 41)]
    assert {*rows_of(out / "features")["split"].to_pylist()} == {"apply"}
    assert rows_of(out / "features", version=0).num_rows == 41


def test_splits_are_replaced_and_others_stay(source, tmp_path):
    out = tmp_path / "out"
    run(job_of(source, out, write_disposition="replace_partitions"))
    applied = applying(out, write_table(small_table(30, seed=2), tmp_path / "new.parquet"), tmp_path / "elsewhere")
    run(applied)
    assert rows_of(tmp_path / "elsewhere/features").num_rows == 30
    assert rows_of(out / "features").num_rows == 240


def test_rows_of_other_features_are_refused_in_the_plan_or_when_they_are_fitted(source, tmp_path):
    fitted, out = tmp_path / "fitted", tmp_path / "out"
    run(job_of(source, out))
    other = small_table(120, seed=3).append_column("more", pa.array(range(120)))
    path = write_table(other, tmp_path / "other.parquet")
    run(job_of(path, fitted, type="parquet"))
    with pytest.raises(DataError, match=r"it has no more.*replace"):
        plan_job(applying(fitted, path, out, write_disposition="append"))
    with pytest.raises(DataError, match="it has no more"):
        run(job_of(path, out, write_disposition="append"))
    assert DeltaTable(out / "features").version() == 0


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"length": pa.array([1, 2], pa.duration("s"))}, "'length' is of type duration.*no lengths of time"),
        ({"Split": pa.array(["a", "b"])}, "'split' and 'Split'"),
        ({"Night": pa.array(["a", "b"])}, "'night' and 'Night'"),
        ({"name": pa.array(["a", "b"]), "Name": pa.array(["a", "b"])}, "'name' and 'Name'"),
    ],
)
def test_carried_columns_that_delta_cannot_hold_are_refused_in_the_plan(tmp_path, column, said):
    path = write_table(pa.table({"x": [1.0, 2.0], **column}), tmp_path / "t.parquet")
    job = {
        "source": {"path": str(path)},
        "sink": {"type": "delta", "path": str(tmp_path / "out"), "partition": {"night": "a"}},
        "columns": {"passthrough": list(column)},
        "windows": {"strides": []},
    }
    with pytest.raises(PlanError, match=said):
        plan_job(parse_job(job))


def test_features_that_differ_in_case_alone_are_refused_when_they_are_fitted(tmp_path):
    rows = pa.table({"c": ["a", "A"] * 30, "x": [float(i) for i in range(60)]})
    job = {
        "source": {"path": str(write_table(rows, tmp_path / "t.parquet"))},
        "sink": {"type": "delta", "path": str(tmp_path / "out")},
        "windows": {"strides": []},
        "runtime": RUNTIME,
    }
    with pytest.raises(PlanError, match="'c_A' and 'c_a'"):
        run(parse_job(job))


def test_a_carried_time_that_would_be_rounded_is_refused(tmp_path):
    times = pa.array([1_000 * i + (i == 50) for i in range(60)], pa.timestamp("ns"))
    path = write_table(pa.table({"t": times, "x": [float(i) for i in range(60)]}), tmp_path / "t.parquet")
    job = {"source": {"path": str(path)}, "columns": {"time": "t"}, "windows": {"size": 2}, "runtime": RUNTIME}
    with pytest.raises(DataError, match=r"'t' holds 1970-01-01 00:00:00\.000050001"):
        run(parse_job(job | {"sink": {"type": "delta", "path": str(tmp_path / "out")}}))
    whole = pa.array([1_000 * i for i in range(60)], pa.timestamp("ns"))
    write_table(pa.table({"t": whole, "x": [float(i) for i in range(60)]}), path)
    run(parse_job(job | {"sink": {"type": "delta", "path": str(tmp_path / "fine")}}))
    assert str(rows_of(tmp_path / "fine/features").schema.field("t").type) == "timestamp[us]"


def test_a_folder_of_files_is_no_table(source, tmp_path):
    out = tmp_path / "out"
    run(job_of(source, out, type="parquet"))
    with pytest.raises(PlanError, match=r"features holds files and is no Delta table"):
        run(job_of(source, out), overwrite=True)
    run(job_of(source, tmp_path / "delta"))
    with pytest.raises(DataError, match="no run of emberharmony published"):
        run(job_of(source, tmp_path / "delta", type="parquet"), overwrite=True)


@pytest.mark.parametrize("step", range(6))
def test_a_run_that_failed_at_any_step_of_publishing_goes_on(published, source, tmp_path, monkeypatch, step):
    """Fail before and after the commit of each of the three tables, in two runs after each other."""
    out, commit, calls = tmp_path / "out", DeltaLog.commit, []

    def failing(self, change):
        for after in (False, True):
            calls.append(self.address)
            if len(calls) == step + 1:
                raise TerminalError("the network is gone")
            done = after or commit(self, change)
        return done

    for attempt in (1, 2):
        calls.clear()
        with monkeypatch.context() as patched:
            patched.setattr(DeltaLog, "commit", failing)
            with pytest.raises(TerminalError, match="network"):
                run(job_of(source, out), overwrite=attempt == 2)
        assert not (out / "manifest.json").exists() or attempt == 2
        assert run(job_of(source, out)).did_work
        for name in TABLES:
            assert DeltaTable(out / name).version() == attempt - 1, "committed once by each run"
            assert rows_of(out / name).equals(rows_of(published[1] / name))


def test_a_part_that_was_damaged_is_made_again(published, source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(DeltaLog, "commit", lambda *_: (_ for _ in ()).throw(TerminalError("gone")))
        with pytest.raises(TerminalError):
            run(job_of(source, out))
    part = next(iter(sorted(out.glob("features/*/split=test/*.parquet"))))
    part.write_bytes(b"x" * part.stat().st_size)
    assert run(job_of(source, out)).did_work
    assert rows_of(out / "features").equals(rows_of(published[1] / "features"))


def test_a_table_that_others_changed_keeps_their_rows_when_rows_are_appended(source, tmp_path):
    out = tmp_path / "out"
    run(job_of(source, out, write_disposition="append"))
    DeltaTable(out / "features").delete("row_number < 100")
    DeltaTable(out / "features").optimize.compact()
    path = write_table(small_table(60, seed=5), tmp_path / "more.parquet")
    run(applying(out, path, tmp_path / "applied"))
    assert rows_of(out / "features").num_rows == 140
    assert not run(job_of(source, out, write_disposition="append")).did_work
    assert rows_of(tmp_path / "applied/features").num_rows == 60
