"""Staging: the same work is taken up again, other work is not."""

from __future__ import annotations

import json

import pytest

from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.staging import stage_plan, staged_chunk_rows
from flows.config.job import parse_job
from tests.jobs import small_table, write_table


@pytest.fixture
def job(tmp_path):
    source = write_table(small_table(200, order="sorted"), tmp_path / "t.parquet", group_rows=50)
    return parse_job({"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}})


@pytest.fixture
def result(tmp_path):
    return result_at(tmp_path / "out")


def planned(job, chunk_rows):
    return make_plan(job.spec, Resources(chunk_rows, 4.0, 1, "numpy"))


def test_the_same_plan_is_staged_in_the_same_place(job, result):
    first, second = (stage_plan(planned(job, 50), result, backend="numpy") for _ in range(2))
    assert first.staging == second.staging
    assert first.token != second.token  # a worker that has opened the first run opens the second
    other = stage_plan(planned(job, 100), result, backend="numpy")
    assert other.staging != first.staging


def test_what_an_interrupted_run_left_is_kept_or_discarded(job, result):
    ref = stage_plan(planned(job, 50), result, backend=None)
    (left,) = result.staged(planned(job, 50).fingerprint, "plan.json")
    left.put("receipts/profile/00000.json", b"{}")
    stage_plan(planned(job, 50), result, backend=None)
    assert left.exists("receipts/profile/00000.json")
    again = stage_plan(planned(job, 50), result, backend=None, discard=True)
    assert again.staging == ref.staging
    assert not left.exists("receipts/profile/00000.json")
    assert left.exists("plan.json")


def test_a_resumed_run_keeps_its_chunk_size(job, result):
    fingerprint = planned(job, 50).fingerprint
    assert staged_chunk_rows(result, fingerprint) is None
    stage_plan(planned(job, 50), result, backend=None)
    assert staged_chunk_rows(result, fingerprint) == 50
    assert staged_chunk_rows(result, "0" * 16) is None
    (left,) = result.staged(fingerprint, "plan.json")
    left.put("plan.json", json.dumps({"facts": None}).encode())
    assert staged_chunk_rows(result, fingerprint) is None
