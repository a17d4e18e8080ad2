"""A plan and a result in one sentence."""

from __future__ import annotations

import dataclasses

import pytest

from emberharmony.io.manifest import WindowCounts
from emberharmony.pipeline.execute import plan_job
from emberharmony.report.sentences import plan_sentence, result_sentence
from flows.config.job import parse_job
from tests.emberharmony.report.test_summary import MANIFEST, RESULT
from tests.faults.victims import small_job
from tests.jobs import small_table, write_table

TWO = {"1": WindowCounts({"train": 1000, "test": 200}, 2, (0.5,)), "3": WindowCounts({"train": 34}, 2, (0.5,))}


def sentence(did_work=True, sink="out", **changes):
    manifest = dataclasses.replace(MANIFEST, **{"spec": {"kind": "extract"}, "strides": {}, **changes})
    return result_sentence(dataclasses.replace(RESULT, manifest=manifest, did_work=did_work, sink=sink))


def test_a_result_is_said_in_rows_and_windows():
    assert sentence() == "Published 997 rows in out."
    assert sentence(strides=TWO) == "Published 997 rows and 1,234 windows in out."
    assert sentence(spec={"kind": "fit"}) == "Published the state fitted on 800 training rows in out."


def test_nothing_to_do_is_said_and_no_options_are_shown():
    said = sentence(did_work=False, sink="s3://lake/out?endpoint=http://10.0.0.1")
    assert said == "Nothing to do: this result is published already, in s3://lake/out (fingerprint 0123)."


@pytest.mark.parametrize(("order", "words"), [("sorted", "in order"), ("shuffled", "arranged first")])
def test_a_plan_tells_whether_rows_are_arranged(tmp_path, order, words):
    write_table(small_table(1500, order=order), tmp_path / "table.parquet", group_rows=100)
    plan = plan_job(parse_job(small_job(tmp_path))).plan
    said = plan_sentence(plan, "numpy:cpu")
    assert said.startswith(f"1,500 rows in {len(plan.chunks)} chunks of up to ")
    assert f", {words}; backend numpy:cpu; at most " in said
