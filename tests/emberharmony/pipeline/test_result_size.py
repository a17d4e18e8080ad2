"""The size of a result, as planned, against the files that are published."""

from __future__ import annotations

import pytest

from emberharmony.io.store.snapshot import Version
from emberharmony.pipeline.execute import plan_job
from emberharmony.pipeline.result_size import kept_bytes, result_bytes
from flows.config.job import FitJob, parse_job
from tests.jobs import run_small, small_table, write_table

N_ROWS = 20_000
COLUMNS = {"time": "t", "target": "y", "passthrough": ["name"]}


def planned(source, sink, model=None, **job):
    data = {"source": {"path": str(source)}, "sink": {"path": str(sink)}, "runtime": {"engine": "local"}} | job
    plan, _ = plan_job(parse_job(data, **({"model": model} if model else {})), make=False)
    return result_bytes(plan)


@pytest.mark.parametrize(
    ("drop", "least"),
    [
        (["color", "other"], 0.7),  # numbers, stored as they are; all but the cyclical features of the time
        (["walk", "count", "flag"], 0.3),  # fewer categories than the plan has to allow for, and more cyclical features
    ],
    ids=["numbers", "few values"],
)
def test_the_plan_bounds_the_bytes_of_the_files(tmp_path, drop, least):
    source = write_table(small_table(N_ROWS), tmp_path / "t.parquet")
    job = {
        "columns": COLUMNS | {"drop": drop},
        "windows": {"size": 3, "strides": [1, 4]},
        "categories": {"max_categories": 20},
    }
    published = run_small(source, tmp_path / "out", **job)
    n_bytes = sum(file["n_bytes"] for file in published.manifest["files"] if not file["name"].startswith("state/"))
    assert least < n_bytes / planned(source, tmp_path / "out", **job) < 1.02  # footers are not counted
    assert planned(source, tmp_path / "fit", FitJob, **job) == 0, "a state alone"


@pytest.mark.parametrize(("keep", "expected"), [(0, 100), (1, 130), (2, 150), (4, 350)])
def test_results_that_are_kept_and_those_to_come(keep, expected):
    versions = [Version(str(size), "", "", size, is_current) for size, is_current in ((30, True), (20, False))]
    assert kept_bytes(100, versions, keep=keep) == expected
