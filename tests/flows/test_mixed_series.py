"""Several series in one table, which windows would mix: counted by the run, and told by plan and summary."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from emberharmony.report.summary import summary_lines
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import run_small, small_table, write_table

SHARE = "rows share their time with another row: several series may be mixed, and windows run across them"
RUNTIME = {"workers": 1, "backend": "numpy", "engine": "local"}


def warnings_of(lines):
    return [text for label, text in lines if label == "warning"]


def shared(times) -> int:
    counts = Counter(times)
    return sum(n for n in counts.values() if n > 1)


@pytest.fixture
def sensors(request):
    """Three sensors that measure at the same times, one of them every other time; in time order or not."""
    table = small_table(120, order="sorted").select(["walk", "y"])
    hours = np.sort(np.concatenate([np.arange(48), np.arange(48), np.arange(0, 48, 2)]))
    if request.param == "shuffled":
        hours = np.random.default_rng(0).permutation(hours)
    return table.add_column(0, "t", pa.array(1_700_000_000 + hours * 3_600, pa.timestamp("s")))


@pytest.mark.parametrize("sensors", ["sorted", "shuffled"], indirect=True)
@pytest.mark.parametrize(
    ("split", "chunk_rows"), [({}, 1000), ({}, 7), ({"gap": "PT3H"}, 7), ({"method": "sequential"}, 7)], ids=str
)
def test_rows_of_one_time_are_counted(tmp_path, sensors, chunk_rows, split):
    """Of the rows of all splits, whichever chunks they are in."""
    source = write_table(sensors, tmp_path / "t.parquet", group_rows=30)
    published = run_small(source, tmp_path / "out", split=split, runtime={"chunk_rows": chunk_rows})
    times = [time for table in published.features.values() for time in table["t"].to_pylist()]
    assert published.manifest["shared_times"] == shared(times) > 100
    assert warnings_of(summary_lines(published.outcome)) == [
        f"{shared(times)} of {len(times)} {SHARE}; if so, name what tells them apart in `columns.entity`"
    ]


@pytest.mark.parametrize("sensors", ["shuffled"], indirect=True)
def test_the_rows_of_fit_and_apply(tmp_path, sensors):
    places = {"source": {"path": str(write_table(sensors, tmp_path / "t.parquet"))}, "runtime": RUNTIME}
    fitted = places | {"columns": {"time": "t", "target": "y"}, "sink": {"path": str(tmp_path / "fit")}}
    outcome = run_job(parse_job(fitted, model=FitJob), LocalEngine())
    train = np.sort(sensors["t"].cast(pa.int64()).to_numpy())[: outcome.manifest.rows["train"]]
    assert outcome.manifest.shared_times == shared(train.tolist())
    assert warnings_of(summary_lines(outcome)) == [
        f"{len(train)} of {len(train)} {SHARE}; if so, name what tells them apart in `columns.entity`"
    ]

    applied = places | {"state": str(tmp_path / "fit"), "sink": {"path": str(tmp_path / "applied")}}
    outcome = run_job(parse_job(applied, model=ApplyJob), LocalEngine())
    assert outcome.manifest.shared_times == 120


def test_one_series_is_not_warned_of(tmp_path):
    source = write_table(small_table(240), tmp_path / "t.parquet")
    published = run_small(source, tmp_path / "out")
    assert published.manifest["shared_times"] == 0
    assert warnings_of(summary_lines(published.outcome)) == []


@pytest.mark.parametrize("windows", [{"strides": []}, {"size": 1}], ids=str)
@pytest.mark.parametrize("sensors", ["sorted"], indirect=True)
def test_nothing_is_mixed_without_windows_of_several_rows(tmp_path, sensors, windows):
    source = write_table(sensors, tmp_path / "t.parquet")
    published = run_small(source, tmp_path / "out", windows=windows)
    assert warnings_of(summary_lines(published.outcome)) == []


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_the_plan_warns_where_metadata_tells(tmp_path, order):
    """There are fewer days than rows; of seconds, nobody knows before the rows are read."""
    days = np.arange(240) // 4
    if order == "shuffled":
        days = np.random.default_rng(0).permutation(days)
    table = small_table(240).select(["walk", "y"]).add_column(0, "t", pa.array(days, pa.int32()).cast(pa.date32()))
    job = {"source": {"path": str(write_table(table, tmp_path / "t.parquet", group_rows=40))}, "runtime": RUNTIME}
    job |= {"sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}}
    (told,) = [w.text for w in plan_report(parse_job(job)).figures.warnings if w.code == "shared_times"]
    at_least, rest = told.split(" of ", maxsplit=1)
    assert 100 < int(at_least.removeprefix("at least ")) <= 240
    assert rest.startswith(f"240 {SHARE}")
    without = plan_report(parse_job(job | {"windows": {"strides": []}}))
    assert "shared_times" not in {warning.code for warning in without.figures.warnings}


def test_the_summary_says_where_the_keys_of_a_split_change(tmp_path):
    table = small_table(240, order="sorted").append_column("site", pa.array([f"site {i // 12}" for i in range(240)]))
    split = {"method": "hash", "keys": ["site"], "fractions": [0.5, 0.25, 0.25]}
    columns = {"time": "t", "target": "y", "passthrough": ["site"]}
    published = run_small(write_table(table, tmp_path / "t.parquet"), tmp_path / "out", columns=columns, split=split)
    n_changes = sum(max(len(set(rows["site"].to_pylist())) - 1, 0) for rows in published.features.values())
    assert warnings_of(summary_lines(published.outcome)) == [
        f"site changes {n_changes} times within the splits: windows across a change hold rows of both series"
    ]
