"""The figures of a plan, against what the job then does."""

from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_figures import SeriesFigures
from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import SampleSize
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table


def job_of(tmp_path, table, **sections):
    source = {"path": str(write_table(table, tmp_path / "t.parquet"))}
    return parse_job({"source": source, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}} | sections)


def test_splits_and_windows_are_those_of_the_run(tmp_path):
    job = job_of(tmp_path, small_table(400), split={"method": "sequential"}, windows={"size": 7, "strides": [2, 9]})
    figures = plan_report(job).figures
    manifest = run_job(job, LocalEngine()).manifest
    assert figures.split.rows == dict(manifest.rows)
    assert figures.split.are_exact
    assert {str(one.stride): one.windows for one in figures.windows} == {
        stride: dict(counts.windows) for stride, counts in manifest.strides.items()
    }
    assert not any(one.are_at_most for one in figures.windows)


def test_windows_of_many_series_are_bounded(tmp_path):
    table = small_table(400).append_column("id", [[f"id {i % 9}" for i in range(400)]])
    columns = {"time": "t", "entity": "id", "passthrough": ["name"]}
    job = job_of(tmp_path, table, columns=columns, windows={"size": 3, "strides": [1, 4]})
    figures = plan_report(job).figures
    manifest = run_job(job, LocalEngine()).manifest
    for one in figures.windows:
        assert one.are_at_most
        found = manifest.strides[str(one.stride)].windows
        assert all(one.windows[split] >= n for split, n in found.items())
    assert figures.series == SeriesFigures(("id",), None, None)
    assert plan_report(job, SampleSize(rows=400)).figures.series == SeriesFigures(("id",), 9, 44.4)
    assert figures.order.by == ("id", "t")
    assert figures.order.levels == 1


def test_every_column_has_roles_and_a_reason(tmp_path):
    columns = {"time": "t", "target": "y", "drop": ["name"], "passthrough": ["other"], "categorical": ["count"]}
    job = job_of(tmp_path, small_table(100), columns=columns)
    found = {c.name: (c.roles, c.kind, c.reason, c.most_features) for c in plan_report(job).figures.columns}
    assert found == {
        "t": (("time", "feature"), "datetime", "`columns.time`", 8),
        "walk": (("feature",), "numeric", "its type", 1),
        "count": (("feature",), "categorical", "`columns.categorical`", 102),
        "flag": (("feature",), "boolean", "its type", 1),
        "color": (("feature",), "categorical", "its type", 102),
        "other": (("passthrough",), None, "`columns.passthrough`", 0),
        "y": (("target",), None, "`columns.target`", 0),
        "name": (("dropped",), None, "dropped by the configuration", 0),
    }
