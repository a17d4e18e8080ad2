"""Apply as it is called: what is refused, what is taken up again, what a summary says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from emberharmony.errors import DataError, PlanError
from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from emberharmony.report.summary import summary_lines
from flows.config.job import ApplyJob, Job, load_any, load_job, parse_job
from flows.engines.local import LocalEngine
from tests.flows.applied import RUNTIME, fields
from tests.jobs import small_table, write_table
from tests.laws.test_apply import JOB, apply_to, parts


def with_nulls(table: pa.Table, columns: dict[str, pa.DataType]) -> pa.Table:
    for name, type_ in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.nulls(table.num_rows, type_))
    return table


def test_columns_without_a_value_may_have_no_type(state, table, tmp_path):
    """What pandas writes of a column of None."""
    typed = {name: table.schema.field(name).type for name in ("walk", "count", "flag", "color", "other", "y")}
    untyped = dict.fromkeys(typed, pa.null())
    for name, types in {"typed": typed, "untyped": untyped}.items():
        apply_to(write_table(with_nulls(table, types), tmp_path / f"{name}.parquet"), state, tmp_path / name)
    expected, found = (parts(tmp_path / name / "features/split=apply") for name in ("typed", "untyped"))
    assert found.drop_columns("y").equals(expected.drop_columns("y"))
    assert found["y"].null_count == len(table)
    times = write_table(with_nulls(table, {"t": pa.null()}), tmp_path / "times.parquet")
    with pytest.raises(DataError, match=r"'t' is null \(it was timestamp"):
        apply_to(times, state, tmp_path / "times")


# ---- schema and distribution -------------------------------------------------------------------------------------------


def test_schema_drift_names_every_column(state, table, tmp_path):
    changed = table.drop_columns(["walk", "name"])
    changed = changed.set_column(changed.column_names.index("count"), "count", changed["count"].cast(pa.string()))
    changed = changed.set_column(changed.column_names.index("t"), "t", changed["t"].cast(pa.timestamp("us")))
    with pytest.raises(DataError) as refused:
        apply_to(write_table(changed, tmp_path / "new.parquet"), state, tmp_path / "applied")
    for part in (
        "'walk' is missing (it was double)",
        "'name' is missing",
        "'count' is string (it was int32)",
        "'t' is timestamp[us] (it was timestamp[us, tz=UTC])",
    ):
        assert part in str(refused.value)
    assert not (tmp_path / "applied").exists()


def test_the_same_values_in_another_encoding_are_no_drift(state, table, tmp_path):
    same = table.set_column(4, "color", table["color"].cast(pa.large_string()).dictionary_encode())
    same = same.set_column(2, "count", same["count"].cast(pa.int64()))
    same = same.set_column(0, "t", same["t"].cast(pa.timestamp("ms", tz="UTC")))
    apply_to(write_table(same, tmp_path / "same.parquet"), state, tmp_path / "same")
    apply_to(write_table(table, tmp_path / "table.parquet"), state, tmp_path / "table")
    a, b = (parts(tmp_path / name / "features/split=apply") for name in ("same", "table"))
    for name in json.loads((state / "manifest.json").read_text())["features"]:
        assert a[name].equals(b[name]), name


def test_tomorrow_has_no_target_and_may_have_more_columns(state, table, tmp_path):
    tomorrow = table.drop_columns("y").append_column("new", pa.array(np.arange(600)))
    outcome = apply_to(write_table(tomorrow, tmp_path / "new.parquet"), state, tmp_path / "applied")
    features = parts(tmp_path / "applied/features/split=apply")
    assert "y" not in features.column_names
    assert "new" not in features.column_names
    assert features.num_rows == 600
    assert outcome.manifest.strides["1"].windows == {"apply": 597}


def test_fewer_rows_than_a_window_are_features_all_the_same(state, table, tmp_path):
    outcome = apply_to(write_table(table.slice(0, 3), tmp_path / "new.parquet"), state, tmp_path / "applied")
    assert parts(tmp_path / "applied/features/split=apply").num_rows == 3
    assert outcome.manifest.strides["1"].windows == {"apply": 0}
    assert {table.num_rows for _, table in published_tables(tmp_path / "applied", "windows")} == {0}


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_rows_without_a_time_are_refused_or_left_out(state, tmp_path, order):
    """The message names a setting that `apply` takes, and the other rows are those of a table without them."""
    rows = small_table(90, order=order)
    missing = np.arange(90) % 9 == 4
    times = pa.array(np.where(missing, None, rows["t"].to_pylist()).tolist(), rows["t"].type)
    source = write_table(rows.set_column(0, "t", times), tmp_path / "gaps.parquet", group_rows=20)
    job = fields(state, source, tmp_path / "gaps")
    with pytest.raises(DataError, match=r"10 rows have no time in 't'.*`columns.null_time: drop`"):
        run_job(parse_job(job, model=ApplyJob), LocalEngine())
    outcome = run_job(parse_job(job | {"columns": {"null_time": "drop"}}, model=ApplyJob), LocalEngine())
    assert (outcome.manifest.null_times, dict(outcome.manifest.rows)) == (10, {"apply": 80})
    assert ("left out", "10 rows without a time") in list(summary_lines(outcome))
    apply_to(write_table(rows.filter(pa.array(~missing)), tmp_path / "full.parquet"), state, tmp_path / "full")
    for folder in ("features/split=apply", "windows/stride=3/split=apply"):
        found, expected = (parts(tmp_path / name / folder) for name in ("gaps", "full"))
        numbers = [name for name in expected.column_names if name.endswith(("_row", "row_number"))]
        assert found.drop_columns(numbers).equals(expected.drop_columns(numbers))


def test_a_job_applies_what_was_fitted(state, tmp_path):
    with pytest.raises(PlanError, match=r"columns\.target is not a known key.*`apply` takes it from the fitted state"):
        parse_job(fields(state, tmp_path, tmp_path / "out") | {"columns": {"target": "y"}}, model=ApplyJob)
    source = write_table(small_table(60), tmp_path / "t.parquet")
    with pytest.raises(PlanError, match=r"or fit a state of smaller windows \(4 rows now\) or fewer features \(\d+ now\)"):
        run_job(parse_job(fields(state, source, tmp_path / "out", max_memory_gb=0.01), model=ApplyJob), LocalEngine())


@pytest.mark.parametrize("group_rows", [1, None], ids=["no row groups", "one row group"])
def test_a_day_of_no_rows_is_a_result_of_no_rows(state, table, tmp_path, group_rows):
    """Its parts hold the columns that those of any day hold, so that all days are read as one table."""
    day = table.slice(0, 0)
    if group_rows:
        pq.ParquetWriter(tmp_path / "day.parquet", day.schema).close()
    else:
        pq.write_table(day, tmp_path / "day.parquet")
    job = parse_job(fields(state, tmp_path / "day.parquet", tmp_path / "none"), model=ApplyJob)
    assert dict(plan_report(job).lines)["chunks"] == "1 of 0 to 0 rows"
    outcome = run_job(job, LocalEngine())
    apply_to(write_table(table, tmp_path / "full.parquet"), state, tmp_path / "full")
    for folder in ("features", "windows"):
        none, full = (dict(published_tables(tmp_path / name, folder)) for name in ("none", "full"))
        assert none.keys() == full.keys()
        assert {name: found.schema for name, found in none.items()} == {name: found.schema for name, found in full.items()}
        assert pq.read_table(tmp_path / "none" / folder).num_rows == 0
    assert dict(outcome.manifest.rows) == {"apply": 0}
    assert outcome.manifest.drift == {}
    summary = list(summary_lines(outcome))
    assert ("rows", "0 read; 0 apply") in summary
    assert "drift" not in dict(summary)
    assert not run_job(job, LocalEngine()).did_work


def published_tables(sink: Path, folder: str) -> list[tuple[str, pa.Table]]:
    """The rows of each folder of parts, by its name."""
    return [
        (str(path.relative_to(sink)), pq.read_table(path, partitioning=None))
        for path in sorted((sink / folder).rglob("split=*"))
    ]


def test_drift_is_measured_and_told(state, table, tmp_path):
    moved = table.set_column(1, "walk", pa.array(table["walk"].to_numpy() + 1000.0, from_pandas=True))
    moved = moved.set_column(4, "color", pa.array(["violet"] * 300 + [None] * 300))
    source = write_table(moved, tmp_path / "moved.parquet", group_rows=100)
    outcome = apply_to(source, state, tmp_path / "applied", chunk_rows=100)
    drift = outcome.manifest.drift
    assert drift["walk"]["mean_shift"] > 3
    assert drift["color"]["other_share"] == 0.5
    assert drift["color"]["null_share"] == 0.5
    assert abs(drift["flag"]["psi"]) < 0.1
    assert outcome.manifest.drift_verdicts["walk"] == "drifted far"
    text = dict(summary_lines(outcome))["drift"]
    assert text.startswith("2 of 6 columns have drifted far from the training rows: ")
    assert "walk (PSI" in text
    whole = apply_to(source, state, tmp_path / "whole")
    for name, found in drift.items():
        assert found == pytest.approx(whole.manifest.drift[name]), name
    for stride, counts in whole.manifest.strides.items():
        assert counts.applied_explained == pytest.approx(outcome.manifest.strides[stride].applied_explained)
        # Rows far off the mean in one direction: less is left to the other components than in the training rows.
        assert counts.applied_explained > counts.explained + 0.05
        told = dict(summary_lines(whole))[f"stride {stride}"]
        assert (
            f"components explain {counts.applied_explained:.1%} of their variance, {counts.explained:.1%} of the training"
            in told
        )


def test_jobs_are_told_apart_by_their_state(tmp_path):
    whole = {"source": {"path": "a"}, "sink": {"path": "b"}}
    for data, kind in ((whole, Job), (whole | {"state": "c"}, ApplyJob)):
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(data))
        assert type(load_any(tmp_path / "job.yaml")) is kind
    with pytest.raises(PlanError, match=r"windows\.size is not a known key\. `apply` takes it from the fitted state"):
        load_job(tmp_path / "job.yaml", ["windows.size=3"], ApplyJob)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(whole))
    with pytest.raises(PlanError, match=r"state is missing: where a job was published"):
        load_job(tmp_path / "job.yaml", (), ApplyJob)
    assert load_any(Path("configs/flights-apply.yaml").resolve()).state == "data/flights-features"


def test_the_console(table, tmp_path):
    source = write_table(table, tmp_path / "t.parquet")
    job = JOB | {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "fit")}, "runtime": RUNTIME}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    (tmp_path / "apply.yaml").write_text(yaml.safe_dump(fields(tmp_path / "fit", source, tmp_path / "applied")))

    def emberharmony(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from flows.cli.app import main; main()", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    planned = emberharmony("plan", str(tmp_path / "job.yaml"))
    assert planned.returncode == 0, planned.stderr
    assert "color   string                 categorical" in planned.stdout
    refused = emberharmony("apply", str(tmp_path / "apply.yaml"))
    assert refused.returncode == 1
    assert "is not the folder of a published result" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    fitted = emberharmony("fit", str(tmp_path / "job.yaml"), "-q")
    assert fitted.returncode == 0, fitted.stderr
    assert f"{tmp_path / 'fit'}/state" in fitted.stdout.replace("\n", "")
    assert "/features" not in fitted.stdout
    applied = emberharmony("apply", str(tmp_path / "apply.yaml"), "-q")
    assert applied.returncode == 0, applied.stderr
    assert "600 apply" in applied.stdout
    assert "drift" in applied.stdout
