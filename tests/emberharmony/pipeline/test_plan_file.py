"""The plan as a file: what is written is read, and a plan of another format is refused by name."""

from __future__ import annotations

import json

import pytest

from emberharmony.errors import TerminalError
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline import plan_file
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.plan_file import StagedPlan
from flows.config.job import parse_job
from tests.jobs import small_table, write_table


@pytest.fixture
def plan(tmp_path):
    source = write_table(small_table(300), tmp_path / "t.parquet", group_rows=50)
    job = {
        "source": {"path": str(source)},
        "sink": {"path": str(tmp_path / "out")},
        "columns": {"time": "t", "target": "y", "passthrough": ["other"]},
        "split": {"gap": "PT1S"},
    }
    return make_plan(parse_job(job).spec, Resources(chunk_rows=40))


def test_what_is_written_is_read(plan, tmp_path):
    staged, store = StagedPlan.of(plan), LocalStore(tmp_path / "run")
    staged.write(store)
    read = StagedPlan.read(store)
    assert read == staged
    assert read.chunks == plan.chunks
    assert read.schema.equals(plan.table.schema, check_metadata=True)
    assert read.run_name == staged.run_name


def test_other_chunks_and_other_formats_have_folders_of_their_own(plan, monkeypatch):
    names = {StagedPlan.of(plan).run_name}
    names.add(StagedPlan.of(make_plan(plan.spec, Resources(chunk_rows=50))).run_name)
    monkeypatch.setattr(plan_file, "PLAN_VERSION", 1)
    names.add(StagedPlan.of(plan).run_name)
    assert len(names) == 3


def test_a_plan_of_another_version_is_refused_by_name(plan, tmp_path):
    store = LocalStore(tmp_path / "run")
    StagedPlan.of(plan).write(store)
    path = tmp_path / "run" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 1}))
    with pytest.raises(TerminalError, match=r"plan\.json has version 1, and this library reads version 5"):
        StagedPlan.read(store)
