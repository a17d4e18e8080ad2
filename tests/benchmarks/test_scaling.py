"""The sweeps: which tables and jobs they make, and what their charts and summaries show. The jobs themselves do not run."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from benchmarks import scaling
from benchmarks.jobs import JobCost
from benchmarks.measure import FailedError
from benchmarks.scaling import SWEEPS, Point, Sweep, draw, main, summary
from benchmarks.workbench import Workbench
from flows.config.job import parse_job

BY_NAME = {sweep.name: sweep for sweep in SWEEPS}


class Counting(Workbench):
    """Looks at the table of each job instead of running it."""

    def run_job(self, job):
        spec = parse_job(job)
        n_rows = pq.read_table(job["source"]["path"]).num_rows
        return JobCost(9.0, 9.0, 50.0, 1e-6 * n_rows, 2e-6 * n_rows, planned_mb=spec.windows.size, n_rows=n_rows)


@pytest.fixture
def bench(tmp_path):
    return Counting(tmp_path / "work", smoke=True)


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda it: it.name)
def test_each_point_has_the_rows_that_it_says(sweep, bench):
    points = sweep.run(bench, max_rows=4_000)
    assert [(point.variant, point.number) for point in points] == [(v, n) for v in sweep.variants for n in sweep.smoke]
    for point in points:
        assert point.time(False, per_row=True) == pytest.approx(1.0)
        assert point.time(True, per_row=False) == pytest.approx(2e-6 * point.n_rows)


def test_the_number_of_each_sweep_is_what_varies(bench):
    def case(name, number, variant="sorted"):
        job = BY_NAME[name].case(bench, number, variant, 4_000).job
        return job, pq.read_table(job["source"]["path"])

    assert case("rows", 1_000)[1].num_rows == 1_000
    assert case("features", 20)[1].num_columns == 1 + 20 - 8  # a time column makes eight features
    assert case("window", 4)[0]["windows"]["size"] == 4
    job, _ = case("files", 10)
    assert len(list(bench.folder.rglob("files-*/*/*.parquet"))) == 10
    assert "files-4000-10" in job["source"]["path"]
    for variant in ("sorted", "shuffled"):
        job, table = case("entities", 10, variant)
        assert job["columns"]["entity"] == "entity"
        assert len(table["entity"].unique()) == 10
        runs = table["entity"].combine_chunks().dictionary_encode().indices.to_numpy()
        assert bool((runs[1:] != runs[:-1]).sum() == 9) is (variant == "sorted")


def test_cases_with_too_many_rows_are_left_out(bench, capsys):
    assert [point.number for point in BY_NAME["rows"].run(bench, max_rows=1_000)] == [1_000, 1_000]
    assert "3,000 rows: needs more than 1,000 rows; left out" in capsys.readouterr().out
    assert BY_NAME["entities"].case(bench, 500, "sorted", 4_000) is None


def test_a_job_that_fails_costs_its_own_point_only(bench, monkeypatch, capsys):
    def run_job(self, job):
        if "table-1000" in job["source"]["path"]:
            raise FailedError("python ended with 1:\nTraceback\nMemoryError: 12 GB")
        return Counting.run_job(self, job)

    failing = type("Failing", (Counting,), {"run_job": run_job})(bench.folder, smoke=True)
    points = BY_NAME["rows"].run(failing, max_rows=4_000)
    assert [(point.variant, point.number) for point in points] == [("sorted", 3_000), ("shuffled", 1_000), ("shuffled", 3_000)]
    assert "sorted, 1,000 rows: FAILED: MemoryError: 12 GB" in capsys.readouterr().out


def test_a_sweep_without_points_has_no_chart(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "Workbench", Counting)
    main(["--only", "rows", "--figures", str(tmp_path / "figures"), "--max-rows", "10", "--smoke"])
    assert not (tmp_path / "figures").exists()
    assert "it has no point" in capsys.readouterr().out


def test_the_summary_compares_the_largest_with_the_smallest():
    sweep = Sweep("rows", "rows", (), (), lambda *_: None)
    points = [Point(1_000, "sorted", 1_000, 1.0, 2.0, 100.0, 0.0), Point(10_000, "sorted", 10_000, 15.0, 10.0, 110.0, 0.0)]
    assert summary(sweep, points) == "10,000 beside 1,000 rows, sorted: 1.50 x µs per row (0.50 x CPU), 1.10 x memory"
    whole = Sweep("files", "files", (), (), lambda *_: None, per_row=False)
    assert summary(whole, points) == "10,000 beside 1,000 files, sorted: 15.00 x s (5.00 x CPU), 1.10 x memory"


def test_charts_and_numbers_are_written_and_can_be_drawn_again(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(scaling, "Workbench", Counting)
    figures = tmp_path / "figures"
    command = ["--only", "rows", "--figures", str(figures), "--max-rows", "4000"]
    main([*command, "--smoke"])
    told = json.loads((figures / "scaling-rows.json").read_text())
    assert [point["number"] for point in told["points"]] == [1_000, 3_000] * 2
    chart = (figures / "scaling-rows.svg").read_bytes()
    assert b"shuffled, wall" in chart
    (figures / "scaling-rows.svg").unlink()
    main([*command, "--draw"])
    assert (figures / "scaling-rows.svg").read_bytes() == chart
    assert draw(BY_NAME["rows"], figures).stat().st_size < 60_000
