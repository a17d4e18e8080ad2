"""How many rows a sample has, where they lie, and what they say."""

import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import MAX_BYTES, MAX_CELLS, MAX_ROWS, SampleSize
from flows.config.job import parse_job
from tests.jobs import small_table, write_table


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "1.5", "x", "%", "1e3"])
def test_a_size_that_is_none(text):
    with pytest.raises(PlanError, match=r"--sample takes a share of the rows, such as 1%"):
        SampleSize.parse(text)


@pytest.mark.parametrize(("text", "rows"), [("100%", 1000), (".5 %", 5), ("12.5%", 125), ("7", 7), ("1,000,000", 1000)])
def test_a_size(text, rows):
    assert SampleSize.parse(text).of(1000, row_bytes=8, n_columns=1) == rows


@pytest.mark.parametrize(
    ("row_bytes", "n_columns", "most"),
    [(1.0, 1, MAX_ROWS), (10_000.0, 1, MAX_BYTES // 10_000), (1.0, 5_000, MAX_CELLS // 5_000)],
)
def test_a_sample_is_bounded_whatever_the_table(row_bytes, n_columns, most):
    assert SampleSize(share=1.0).of(10**13, row_bytes=row_bytes, n_columns=n_columns) == most


def test_what_the_rows_say(tmp_path):
    table = pa.concat_tables([small_table(400, order="sorted")] * 2)
    source = {"path": str(write_table(table, tmp_path / "t.parquet", group_rows=50))}
    job = {"source": source, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t", "drop": ["name"]}}
    sample = plan_report(parse_job(job), SampleSize.parse("25%")).figures.sample
    assert (sample.rows, sample.is_whole) == (200, False)
    assert sample.columns.keys() == {"t", "walk", "count", "flag", "color", "other", "y"}
    assert sample.columns["color"].distinct == 5
    # Four groups of 50 rows, spread over the table: the first of each half, and the last.
    assert sample.columns["t"].distinct == 200
    assert sample.trial.rows == 200
    whole = plan_report(parse_job(job), SampleSize.parse("100%")).figures.sample
    assert (whole.rows, whole.is_whole) == (800, True)
    for name, column in whole.columns.items():
        assert column.null_share == pytest.approx(table[name].null_count / 800, abs=1e-6), name
