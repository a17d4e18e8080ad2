"""Registries of states: which one a name stands for, in folders and buckets, and what a running job reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.store import opening
from emberharmony.io.store.address import child_address
from emberharmony.io.store.opening import open_files, result_at
from emberharmony.pipeline import execute
from emberharmony.pipeline.execute import plan_job, run_job
from emberharmony.pipeline.state_registry import MOST_BEFORE, read_registry, resolve_state, state_before, with_resolved_state
from emberharmony.report.plan_report import plan_report
from emberharmony.report.summary import summary_lines
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table
from tests.stored import publish_by_hand, stage_by_hand
from tests.stores import MemoryObjects

STATE = {"state/job.json": b"{}"}
RUNTIME = {"engine": "local", "backend": "numpy", "workers": 1}


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path, monkeypatch):
    """Path or address of a folder that may hold states."""
    if request.param == "local":
        return str(tmp_path / "states")
    objects = MemoryObjects()
    monkeypatch.setattr(opening, "Bucket", lambda _: objects)
    return "s3://memory/some/states?region=eu-west-1"


def publish(folder, *names):
    for name in names:
        publish_by_hand(child_address(folder, name), name, contents=STATE)


def test_the_newest_state_by_name(folder):
    publish(folder, "2026-11-23", "2026-11-30", "2026-11-16", "2026-12-07")
    stage_by_hand(child_address(folder, "2026-12-14"), "half", contents=STATE)  # its run has not published
    publish_by_hand(
        child_address(folder, "2026-12-21"), "rows", contents={"features/part": b"rows"}
    )  # a result without a state
    open_files(child_address(folder, "2026-12-28")).put("readme.txt", b"")

    def resolved(name):
        return resolve_state(child_address(folder, name))

    assert resolved("latest") == child_address(folder, "2026-12-07")
    assert resolved("@2026-11") == child_address(folder, "2026-11-30")
    assert resolved("@2026-11-2") == child_address(folder, "2026-11-23")
    assert resolved("@") == child_address(folder, "2026-12-07")
    for name in ("2026-11-16", "2027", "newest"):
        assert resolved(name) == child_address(folder, name)
    with pytest.raises(DataError, match="whose name begins with '2026-10'") as told:
        resolved("@2026-10")
    assert "It has: 2026-12-07, 2026-11-30, 2026-11-23, 2026-11-16. " in str(told.value)
    assert str(told.value).endswith("Without a published state: 2026-12-28, 2026-12-21, 2026-12-14.")
    assert "region" not in str(told.value)


def test_no_state_at_all(folder):
    with pytest.raises(DataError, match=r"holds no published state\. Fit one with `emberharmony fit`"):
        resolve_state(child_address(folder, "latest"))
    stage_by_hand(child_address(folder, "2026-12-14"), "half", contents=STATE)
    with pytest.raises(DataError, match=r"Without a published state: 2026-12-14\. Fit one"):
        resolve_state(child_address(folder, "latest"))


@pytest.mark.parametrize("name", ["latest", "@2026"])
def test_a_folder_of_that_name_is_read_as_such(folder, name):
    publish(folder, "2026-11-16", name)
    address = child_address(folder, name)
    assert resolve_state(address) == address
    if name == "latest":
        assert read_registry(folder).latest.name == "latest"
    result = child_address(folder, "unfinished/latest")
    stage_by_hand(result, "half", contents=STATE)
    assert resolve_state(result) == result  # where reading it says that its run has not ended


def test_names_that_begin_with_a_year_are_newer_than_others(folder):
    publish(folder, "trial", "slice=2026-11-23", "slice=2026-11-16", "b", "a", ".hidden")
    registry = read_registry(folder)
    assert [state.name for state in registry.states] == ["slice=2026-11-23", "slice=2026-11-16", "trial", "b", "a"]
    assert registry.latest.name == "slice=2026-11-23"
    assert registry.others == ()
    for begin in ("@2026-11-1", "@slice=2026-11-1"):
        assert resolve_state(child_address(folder, begin)) == child_address(folder, "slice=2026-11-16")
    assert resolve_state(child_address(folder, "@t")) == child_address(folder, "trial")


def test_the_state_before_one(folder):
    publish(folder, "2026-11-23", "2026-11-30", "2026-11-16", "trial")
    stage_by_hand(child_address(folder, "2026-11-25"), "half", contents=STATE)

    def before(name):
        found = state_before(child_address(folder, name))
        return None if found is None else found.name

    assert before("2026-11-30") == before("2026-11-24") == before("slice=2026-11-29") == "2026-11-23"
    assert before("2026-11-16") == "trial"
    assert before("trial") is before("a") is None
    found = state_before(child_address(folder, "2026-12"))
    assert (found.address, found.manifest.fingerprint) == (child_address(folder, "2026-11-30"), "2026-11-30")


def test_few_folders_are_looked_into_for_the_state_before(folder):
    publish(folder, "a")
    for number in range(MOST_BEFORE - 1):
        open_files(child_address(folder, f"b{number}")).put("other.txt", b"")
    assert state_before(child_address(folder, "c")).name == "a"
    open_files(child_address(folder, "b")).put("other.txt", b"")
    assert state_before(child_address(folder, "c")) is None


def test_what_applied_a_state_is_no_state(tmp_path):
    publish(str(tmp_path), "2026-11-16", "2026-11-23", "2026-11-30")
    manifest = tmp_path / "2026-11-23" / "manifest.json"
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(data | {"spec": data["spec"] | {"kind": "apply"}}))
    (tmp_path / "2026-11-30" / "manifest.json").write_text("{")
    assert [state.name for state in read_registry(str(tmp_path)).states] == ["2026-11-16"]
    assert state_before(str(tmp_path / "2027")).name == "2026-11-16"
    with pytest.raises(DataError, match=r"2026-11-30/manifest.json is damaged"):  # rather than an older state without a word
        resolve_state(str(tmp_path / "latest"))
    shutil.rmtree(tmp_path / "2026-11-30")
    assert resolve_state(f"{tmp_path}/latest/") == str(tmp_path / "2026-11-16")


def test_a_link_to_a_state_is_a_state(tmp_path):
    publish(str(tmp_path / "elsewhere"), "one")
    publish(str(tmp_path / "states"), "2026-11-16")
    (tmp_path / "states" / "latest").symlink_to(tmp_path / "elsewhere" / "one")
    assert resolve_state(str(tmp_path / "states" / "latest")) == str(tmp_path / "states" / "latest")


def test_folders_that_no_address_can_name_are_no_states(folder):
    publish(folder, "2026-11-16")
    in_bucket = folder.startswith("s3://")
    name = "z?x=1" if in_bucket else "z\udce9"  # a byte that is not UTF-8
    if in_bucket:
        opening.Bucket(None).put(f"some/states/{name}/file", b"")
    else:
        try:
            Path(folder, name).mkdir()
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
    assert resolve_state(child_address(folder, "latest")) == child_address(folder, "2026-11-16")
    assert read_registry(folder).others == (name,)


# ---- jobs -------------------------------------------------------------------------------------------------------------


def fit(folder, name, table, tmp_path):
    source = write_table(table, tmp_path / f"fitted-on-{name}.parquet")
    data = {
        "source": {"path": str(source)},
        "sink": {"path": child_address(folder, name)},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"size": 3, "strides": [1]},
        "runtime": RUNTIME,
    }
    return run_job(parse_job(data, model=FitJob), LocalEngine(1)).manifest


def applying(state, tmp_path, sink, **settings):
    source = tmp_path / "night.parquet"
    if not source.exists():
        write_table(small_table(90, seed=3), source)
    data = {"state": state, "source": {"path": str(source)}, "sink": {"path": str(tmp_path / sink)}, "runtime": RUNTIME}
    return parse_job(data | settings, model=ApplyJob)


def walks(result):
    files = sorted(result.glob("features/split=apply/*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files])["walk"].to_pylist()


class Disturbed(LocalEngine):
    """Has something done before its first chunk, and counts the stages that it runs."""

    def __init__(self, disturb=lambda: None, stop_at=None):
        super().__init__(1)
        self.disturb, self.stop_at, self.ran = disturb, stop_at, []

    def map(self, stage, ref, chunks):
        if stage.name == self.stop_at:
            raise KeyboardInterrupt
        if not self.ran:
            self.disturb()
        self.ran += [stage.name] * bool(chunks)
        return super().map(stage, ref, chunks)


@pytest.fixture
def states(tmp_path):
    """A registry of one state; another can be fitted on rows that lie elsewhere."""
    fit(str(tmp_path / "states"), "2026-11-16", small_table(200, seed=1), tmp_path)
    return str(tmp_path / "states")


def other_rows():
    table = small_table(200, seed=2)
    return table.set_column(1, "walk", pa.array([None if w is None else 7 * w + 1 for w in table["walk"].to_pylist()]))


def test_the_plan_the_manifest_and_the_summary_say_which_state(states, tmp_path):
    job = applying(f"{states}/latest", tmp_path, "out")
    fingerprint = result_at(f"{states}/2026-11-16").snapshot().manifest.fingerprint
    said = f"{states}/2026-11-16, fingerprint {fingerprint}"
    assert dict(plan_report(job).lines)["state"] == said
    result = run_job(job, LocalEngine(1))
    assert result.manifest.applied_state == {"address": f"{states}/2026-11-16", "fingerprint": fingerprint}
    assert dict(summary_lines(result))["state"] == said
    assert with_resolved_state(job).state_address == f"{states}/2026-11-16"
    assert not run_job(applying(f"{states}/@2026-11", tmp_path, "out"), LocalEngine(1)).did_work


@pytest.mark.xdist_group("stores")
def test_a_registry_in_a_bucket(s3, tmp_path):
    folder = child_address(s3, "some/states")
    fit(folder, "2026-11-16", small_table(200, seed=1), tmp_path)
    fit(folder, "2026-11-23", other_rows(), tmp_path)
    stage_by_hand(child_address(folder, "2026-11-30"), "half", contents=STATE)
    result = run_job(applying(child_address(folder, "latest"), tmp_path, "out"), LocalEngine(1))
    assert result.manifest.applied_state["address"] == child_address(folder, "2026-11-23")
    assert "endpoint=" in result.manifest.applied_state["address"]
    assert "endpoint" not in dict(summary_lines(result))["state"]


def test_a_job_that_fits_has_no_state_to_resolve(states, tmp_path):
    job = parse_job({"source": {"path": str(tmp_path)}, "sink": {"path": str(tmp_path / "o")}}, model=FitJob)
    assert with_resolved_state(job) is job


def test_the_state_is_looked_up_once_before_anything_is_planned(states, tmp_path, monkeypatch):
    """A job is planned twice where a server makes a copy of its table."""
    planned = []
    monkeypatch.setattr(
        execute, "plan_job", lambda job, **options: planned.append(job.state_address) or plan_job(job, **options)
    )
    monkeypatch.setattr(execute, "target_of", lambda job, *_, **__: planned.append(job.state_address))
    run_job(applying(f"{states}/latest", tmp_path, "out"), LocalEngine(1))
    assert len(planned) > 1
    assert {*planned} == {f"{states}/2026-11-16"}


def test_a_state_that_is_published_during_a_run_changes_nothing(states, tmp_path):
    """Also if the state that is applied is gone: workers read the copy that was staged when the job was planned."""
    run_job(applying(f"{states}/2026-11-16", tmp_path, "expected"), LocalEngine(1))

    def disturb():
        fit(states, "2026-11-23", other_rows(), tmp_path)
        shutil.rmtree(f"{states}/2026-11-16")

    settings = {"runtime": RUNTIME | {"chunk_rows": 30}}
    result = run_job(applying(f"{states}/latest", tmp_path, "out", **settings), Disturbed(disturb))
    assert result.manifest.applied_state["address"] == f"{states}/2026-11-16"
    assert walks(tmp_path / "out") == walks(tmp_path / "expected")
    run_job(applying(f"{states}/latest", tmp_path, "next"), LocalEngine(1))
    assert walks(tmp_path / "next") != walks(tmp_path / "expected")


def test_an_interrupted_run_goes_on_as_long_as_its_state_is_meant(states, tmp_path):
    latest = applying(f"{states}/latest", tmp_path, "out")
    with pytest.raises(KeyboardInterrupt):
        run_job(latest, Disturbed(stop_at="publish"))
    first = plan_job(latest).plan.fingerprint
    fit(states, "2026-11-23", other_rows(), tmp_path)
    assert plan_job(latest).plan.fingerprint != first
    resumed = Disturbed()
    run_job(applying(f"{states}/@2026-11-1", tmp_path, "out"), resumed)
    assert resumed.ran == ["publish"]
    afresh = Disturbed()
    with pytest.raises(DataError, match="--overwrite"):  # the newer state is another job's
        run_job(latest, afresh)
    result = run_job(latest, afresh, overwrite=True)
    assert "featurize" in afresh.ran
    assert result.manifest.applied_state["address"] == f"{states}/2026-11-23"
