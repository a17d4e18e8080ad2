"""The comparisons of many series: which tables and jobs they make, and that the scripts beside them write the same rows."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks import series
from benchmarks.jobs import JobCost
from benchmarks.series import PARTS, main
from benchmarks.workbench import Workbench
from flows.config.job import parse_job

N_ROWS = 3_000


class Looking(Workbench):
    """Looks at the table of each job instead of running it."""

    def run_job(self, job):
        parse_job(job)
        rows = pq.read_table(job["source"]["path"])
        entity, chunk_rows = job["columns"].get("entity"), job["runtime"].get("chunk_rows")
        counts = sorted(rows[entity].value_counts().field("counts").to_pylist()) if entity else [rows.num_rows]
        n_runs = len(pc.run_end_encode(rows[entity].combine_chunks()).values) if entity else 0
        in_order = n_runs == len(counts) if entity else rows.sort_by("time").equals(rows)
        seen.append((in_order, chunk_rows, counts))
        return JobCost(3.0, 2.0, 500.0)


seen: list[tuple[bool, int | None, list[int]]] = []
"""Of each job: whether its rows are in order, the rows of a chunk, and those of its series, the shortest first."""


@pytest.fixture
def jobs(tmp_path, monkeypatch, capsys):
    """Return a function that runs the benchmark; it returns what was seen of all jobs but the first, and what was printed."""
    monkeypatch.setattr(series, "Workbench", Looking)

    def run(*arguments):
        seen.clear()
        main(["--rows", str(N_ROWS), "--folder", str(tmp_path), "--smoke", *arguments])
        assert seen[0] == (True, None, [N_ROWS])
        return seen[1:], capsys.readouterr().out

    return run


def test_shuffled_rows_are_in_as_many_chunks_as_those_in_order(jobs):
    found, _ = jobs("--only", "chunks", "--chunks", "7", "1000")
    assert found == [(in_order, rows, [N_ROWS]) for rows in (429, 3) for in_order in (True, False)]


def test_series_have_as_many_rows_each(jobs):
    found, printed = jobs("--only", "entities", "--entities", "1", "30", "1000")
    assert [counts for _, _, counts in found] == [[N_ROWS], [N_ROWS], [100] * 30, [100] * 30]
    assert [in_order for in_order, _, _ in found[2:]] == [True, False]
    assert "1,000 series of 3 rows: too few rows for windows of 5; left out" in printed


def test_one_of_the_series_holds_half_of_the_rows(jobs):
    ((in_order, _, counts),), _ = jobs("--only", "skewed")
    assert not in_order
    assert counts == [3] * 500 + [N_ROWS // 2]


def test_all_parts_run_unless_some_are_chosen(jobs):
    found, printed = jobs("--chunks", "2", "--entities", "10")
    assert len(found) == 5
    assert printed.count(" x CPU") == 5
    assert len(PARTS) == 3


def test_the_scripts_of_experts_write_the_same_rows(tmp_path, capsys):
    main(["--rows", str(N_ROWS), "--only", "skewed", "--peer", "--folder", str(tmp_path), "--smoke"])
    printed = capsys.readouterr().out
    for peer in ("polars", "pandas"):
        (line,) = [line for line in printed.splitlines() if f"the same by {peer} + scikit-learn" in line]
        assert " MB " in line
