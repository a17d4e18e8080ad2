"""A plan says everything and writes nothing."""

from __future__ import annotations

import re

import pytest

from emberharmony.errors import PlanError
from emberharmony.report.plan_report import plan_report
from flows.config.job import ApplyJob, parse_job
from tests.flows.applied import RUNTIME, fields, names
from tests.jobs import write_table
from tests.laws.test_apply import JOB


def test_a_plan_writes_nothing_and_says_everything(table, state, tmp_path):
    source = write_table(table, tmp_path / "t.parquet", group_rows=100)
    before = names(tmp_path)
    data = JOB | {
        "source": {"path": str(source)},
        "sink": {"path": str(tmp_path / "new")},
        "runtime": RUNTIME | {"chunk_rows": 100},
    }
    report = plan_report(parse_job(data))
    assert names(tmp_path) == before
    lines = dict(report.lines)
    assert lines["table"].startswith("600 rows; 8 of 8 columns are read")
    assert lines["order"] == "by t, arranged first: the table is in another order"
    assert re.fullmatch(r"1 piece of the table into 7 chunks; about \d+ KiB of disk until the job ends", lines["arrange"])
    assert "validation begins at 2024-01-11 00:00:00 UTC, test at 2024-01-12 06:00:00 UTC" in lines["split"]
    assert lines["sink"] == f"{tmp_path / 'new'}: empty"
    roles = {column.name: column.role for column in report.columns}
    assert list(roles) == table.column_names
    assert (roles["t"], roles["y"], roles["name"], roles["color"]) == (
        "time, datetime",
        "target",
        "passthrough",
        "categorical",
    )
    assert "| t | timestamp[us, tz=UTC] | time, datetime | 8 features |" in report.markdown()

    applied = plan_report(parse_job(fields(state, source, tmp_path / "new"), model=ApplyJob))
    assert dict(applied.lines)["split"] == "none: every row is in one series"
    assert dict(applied.lines)["job"].startswith("apply, ")
    there = plan_report(parse_job(data | {"sink": {"path": str(state)}}))
    assert "the job would be refused" in dict(there.lines)["sink"]
    assert names(tmp_path) == before


def test_a_plan_of_what_cannot_be_done_says_why(table, tmp_path):
    source = write_table(table, tmp_path / "t.parquet")
    data = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "new")}}
    with pytest.raises(PlanError, match="'tt' is not in the table"):
        plan_report(parse_job(data | {"columns": {"time": "tt"}}))
