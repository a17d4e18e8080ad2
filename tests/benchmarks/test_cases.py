"""The cases' tables and jobs, and what is printed of them. The jobs themselves do not run."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from benchmarks import cases
from benchmarks.cases import CASES, Outcome, main, repeat, run, write_categories
from benchmarks.jobs import JobCost
from benchmarks.measure import FailedError
from benchmarks.workbench import Workbench
from flows.config.job import parse_job

BY_NAME = {case.name: case for case in CASES}
SCALE = 1e-4


class Looking(Workbench):
    """Reads the table of each job instead of running it."""

    def run_job(self, job):
        parse_job(job)
        assert job["runtime"]["max_memory_gb"] == 1.0
        n_rows = pq.read_table(job["source"]["path"]).num_rows
        return JobCost(3.0, 2.0, 500.0, job_seconds=1.5, planned_mb=900.0, n_rows=n_rows)


@pytest.fixture
def bench(tmp_path):
    return Looking(tmp_path / "work", smoke=True)


@pytest.mark.parametrize(("name", "n_rows"), [("windows", 700), ("categories", 1_000), ("series", 1_000)])
def test_rows_of_each_case(name, n_rows, bench):
    outcome = run(BY_NAME[name], bench, SCALE)
    assert (outcome.n_rows, outcome.seconds, outcome.peak_mb, outcome.planned_mb) == (n_rows, 1.5, 500.0, 900.0)
    assert outcome.n_bytes > 0


def test_bytes_are_those_that_one_worker_reads(bench):
    outcome = run(BY_NAME["bytes"], bench, SCALE)
    assert outcome.n_bytes == pytest.approx(24e9 * SCALE, rel=0.1)
    assert BY_NAME["bytes"].make(bench, SCALE)["runtime"]["workers"] == 1


def test_windows_are_long(bench):
    assert BY_NAME["windows"].make(bench, SCALE)["windows"]["size"] == 100


def test_each_category_occurs_equally_often(tmp_path):
    names = pq.read_table(write_categories(tmp_path / "c.parquet", n_rows=2_000, n_categories=500))["name"]
    counts = names.value_counts().field("counts").to_pylist()
    assert counts == [4] * 500


def test_copies_share_their_bytes(tmp_path):
    part = tmp_path / "part.parquet"
    part.write_bytes(b"rows")
    files = list(repeat(part, tmp_path / "folder", n_copies=3).iterdir())
    assert [file.read_bytes() for file in files] == [b"rows"] * 3
    assert len({file.stat().st_ino for file in files}) == 1


def test_a_job_that_fails_is_told(bench, monkeypatch, tmp_path, capsys):
    def fail(_self, _job):
        raise FailedError("python ended with 1:\nTraceback\nPlanError: needs 2.0 GiB, more than the 1.0 GiB allowed")

    monkeypatch.setattr(Looking, "run_job", fail)
    monkeypatch.setattr(cases, "Workbench", Looking)
    out = tmp_path / "cases.json"
    assert main(["--only", "windows", "--scale", str(SCALE), "--smoke", "--out", str(out)]) == 1
    assert "FAILED: PlanError: needs 2.0 GiB" in capsys.readouterr().out
    (told,) = json.loads(out.read_text())["cases"]
    assert told["error"].startswith("PlanError")


def test_memory_stands_beside_the_plan():
    line = str(Outcome("windows", 7_000_000, 10**9, 100.0, 180.0, 800.0, 1_000.0))
    assert "7,000,000 rows,   1.00 GB" in line
    assert "800 MB at most, 1,000 MB planned, 1,024 MB allowed" in line
