"""The plan report: what a job would do, whatever its table holds."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.report.plan_report import plan_report
from flows.config.job import parse_job
from tests.stored import publish_by_hand
from tests.stores import memory_bucket, uploader


@pytest.mark.parametrize(
    ("type_", "last", "said"),
    [
        (pa.timestamp("us"), 253_402_300_800_000_000, "10000-01-01 00:00:00"),
        (pa.timestamp("us", "UTC"), 2**63 - 1, "294247-01-10 04:00:54 UTC"),
        (pa.timestamp("ms"), 2**63 - 1, "292278994-08-17 07:12:55"),
        (pa.timestamp("ns"), 2**63 - 1, "2262-04-11 23:47:16"),
        (pa.timestamp("us"), -(2**63), "-290308-12-21 19:59:05"),
        (pa.date32(), 2**31 - 1, "5881580-07-11 00:00:00"),
        (pa.date32(), -719_529, "-001-12-31 00:00:00"),
    ],
    ids=str,
)
def test_boundaries_of_far_times(tmp_path, type_, last, said):
    n = [0, 0, 0, 0, last, last] if last > 0 else [last] * 6
    times = pa.array(n, pa.int32() if type_.bit_width == 32 else pa.int64()).cast(type_)
    pq.write_table(pa.table({"t": times, "x": range(6)}), tmp_path / "t.parquet")
    job = parse_job(
        {
            "source": {"path": str(tmp_path / "t.parquet")},
            "sink": {"path": str(tmp_path / "out")},
            "columns": {"time": "t"},
            "windows": {"strides": []},
        }
    )
    lines = dict(plan_report(job).lines)
    assert f"validation begins at {said}, test at {said}" in lines["split"]


def test_a_job_of_many_series(tmp_path):
    table = pa.table(
        {
            "id": pa.array([f"id {i % 7}" for i in range(300)]),
            "t": pa.array([i * 37 % 300 for i in range(300)], pa.timestamp("s")),
            "x": pa.array([float(i) for i in range(300)]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    job = {
        "source": {"path": str(tmp_path / "t.parquet")},
        "sink": {"path": str(tmp_path / "out")},
        "columns": {"time": "t", "entity": "id"},
        "windows": {"size": 4, "strides": [1], "max_gap": "2h"},
        "runtime": {"chunk_rows": 150},
    }
    report = plan_report(parse_job(job))
    lines = dict(report.lines)
    assert lines["order"] == "by id, t, arranged first: the table is in another order"
    assert lines["arrange"] == "1 piece of the table into 3 chunks; about 23 KiB of disk until the job ends"
    assert lines["windows"] == "4 rows, strides 1; a series ends where the time jumps by more than 2:00:00"
    assert [(column.name, column.role) for column in report.columns] == [
        ("id", "entity"),
        ("t", "time, datetime"),
        ("x", "numeric"),
    ]
    pq.write_table(table.sort_by([("id", "ascending"), ("t", "ascending")]), tmp_path / "t.parquet")
    lines = dict(plan_report(parse_job(job | {"split": {"method": "hash"}})).lines)
    assert lines["order"] == "by id, t, already in this order"
    assert "arrange" not in lines
    assert "rows with equal keys must be adjacent" not in str(lines)


def test_states_that_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr("emberharmony.planning.merge_tree.LEAST_BYTES", 0)
    monkeypatch.setattr("emberharmony.planning.merge_tree.MOST_MERGED", 3)
    times, x = pa.array(range(400), pa.timestamp("s")), [float(i % 17) for i in range(400)]
    pq.write_table(pa.table({"t": times, "x": x}), tmp_path / "t.parquet", row_group_size=40)
    job = {
        "source": {"path": str(tmp_path / "t.parquet")},
        "sink": {"path": str(tmp_path / "out")},
        "columns": {"time": "t"},
        "runtime": {"chunk_rows": 40},
    }
    report = plan_report(parse_job(job))
    lines = dict(report.lines)
    for what in ("profiles", "Grams"):
        assert lines[f"merge {what}"] == "10 states in 4 groups of up to 3"
        assert lines[f"merge {what} again"] == "4 states in 2 groups of up to 3"
    assert report.figures.to_json()["merges"][1] == {"stage": "merge-profiles-2", "states": 4, "groups": 2, "fan_in": 3}
    monkeypatch.setattr("emberharmony.planning.merge_tree.LEAST_BYTES", 2**30)
    assert plan_report(parse_job(job)).figures.merges == ()


def test_how_many_numbers_a_job_judges(tmp_path):
    times = pa.array(range(90), pa.timestamp("s"))
    pq.write_table(pa.table({"t": times, "x": [i / 2 for i in range(90)], "c": ["a", "b"] * 45}), tmp_path / "t.parquet")
    job = {"source": {"path": str(tmp_path / "t.parquet")}, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}}
    expect = {
        "rows": {"min": 10, "max": 1000},
        "all": {"max_null_share": 0.1, "on_failure": "warn"},
        "columns": {"x": {"min": 0, "on_failure": "fail"}, "c": {}},
    }
    lines = dict(plan_report(parse_job({**job, "expect": expect})).lines)
    # Two of the table, two of x; one each of t and c.
    assert lines["expect"] == "6 bounds, judged before anything is published: 4 can fail the job, 2 only warn"
    warning = {"rows": {"max": 9, "on_failure": "warn"}}
    assert dict(plan_report(parse_job({**job, "expect": warning})).lines)["expect"].endswith("published: 1 only warn")
    assert "expect" not in dict(plan_report(parse_job(job)).lines)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (0, ""),
        (1, r", [\d.]+ KiB once 1 earlier result stays beside it \(`sink.keep_versions`\)"),
        (3, r", [\d.]+ KiB once 3 earlier results stay beside it \(`sink.keep_versions`\)"),
    ],
)
def test_bytes_of_the_result_and_of_those_that_are_kept(tmp_path, keep, kept):
    pq.write_table(pa.table({"x": [float(i) for i in range(300)]}), tmp_path / "t.parquet")
    places = {"source": {"path": str(tmp_path / "t.parquet")}, "sink": {"path": str(tmp_path / "out"), "keep_versions": keep}}
    lines = dict(plan_report(parse_job(places | {"windows": {"size": 2, "strides": [1]}})).lines)
    assert re.fullmatch(rf"at most about [\d.]+ KiB for the result{kept}", lines["disk"])
    publish_by_hand(tmp_path / "out", "other", contents={"features/part": bytes(2**20)}, keep=keep)
    lines = dict(plan_report(parse_job(places | {"runtime": {"engine": "local"}})).lines)
    assert ("MiB once" in lines["disk"]) is (keep > 0), "the published result is the first that stays"


@pytest.mark.parametrize(("spare_gb", "ahead"), [(8.0, 2), (0.14, 0)])
def test_chunks_that_are_read_or_written_meanwhile(tmp_path, monkeypatch, spare_gb, ahead):
    """A table in a bucket waits for requests; the plan says how many chunks that takes, and counts their memory."""
    in_use = 200 * 2**20
    monkeypatch.setattr("emberharmony.pipeline.plan.resident_bytes", lambda: in_use)
    table = pa.table({"t": pa.array(range(400), pa.timestamp("s")), "x": [float(i) for i in range(400)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    with memory_bucket() as bucket:
        there = uploader(bucket)(tmp_path / "t.parquet", "t")
        job = {
            "source": {"path": there},
            "sink": {"path": str(tmp_path / "out")},
            "columns": {"time": "t"},
            "windows": {"strides": []},
            "runtime": {
                "engine": "local",
                "workers": 1,
                "chunk_rows": 100,
                "max_memory_gb": spare_gb + in_use / 2**30,
            },
        }
        report = plan_report(parse_job(job))
    line, figures = dict(report.lines)["memory"], report.figures.memory
    assert ("(1 worker and 2 chunks read or written meanwhile, at" in line) == (ahead > 0)
    assert ("meanwhile" in line) == (ahead > 0)
    assert figures.ahead == ahead
    chunks = (1 + ahead) * figures.chunk_bytes
    assert figures.projected_bytes == figures.reserved_bytes + max(chunks, figures.fit_bytes)
