"""Flow runs are retried after failures that may pass, resume what they have begun, and are not retried when refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from emberharmony.errors import DataError, PlanError, TransientError
from flows.config.job import parse_job
from flows.engines.task_runs import PrefectEngine
from flows.prefect import retries
from flows.prefect.retries import resumed_or_begun
from tests.faults.victims import N_ROWS, small_job

pytestmark = pytest.mark.xdist_group("prefect")


class Work:
    """Notes how it is called; fails as often as it has errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.called = list(errors), list[bool]()

    def __call__(self, overwrite: bool) -> str:
        self.called.append(overwrite)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    ("is_retry", "overwrite", "called"), [(False, True, [True]), (True, False, [False]), (True, True, [False])]
)
def test_a_retry_does_not_start_over(monkeypatch, is_retry, overwrite, called):
    monkeypatch.setattr(retries, "is_retry", lambda: is_retry)
    work = Work()
    assert resumed_or_begun(work, overwrite=overwrite, is_planned=lambda: True) == "done"
    assert work.called == called


def test_a_retry_of_a_try_that_had_not_begun_may_replace_what_is_published(monkeypatch):
    monkeypatch.setattr(retries, "is_retry", lambda: True)
    work = Work(DataError("the result of another job"))
    assert resumed_or_begun(work, overwrite=True, is_planned=lambda: False) == "done"
    assert work.called == [False, True]
    for error, is_planned in ((DataError("bad values"), True), (TransientError("away"), False)):
        work = Work(error)
        with pytest.raises(type(error)):
            resumed_or_begun(work, overwrite=True, is_planned=lambda is_planned=is_planned: is_planned)
        assert work.called == [False]


def newest_flow_run() -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)[0]


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_run_that_fails_for_a_while_is_retried_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.extract import extract

    extract(parse_job(small_job(tmp_path, windows={"size": 4, "strides": [1]})))  # another result, to be replaced
    run_stage, begun = PrefectEngine.map, Counter[str]()

    def fail_once(self: PrefectEngine, stage: Any, ref: Any, chunks: Any) -> Any:
        begun[stage.name] += len(chunks)
        if stage.name == "project" and not begun["failed"]:
            begun["failed"] = 1
            raise TransientError("The bucket does not answer.")
        return run_stage(self, stage, ref, chunks)

    monkeypatch.setattr(PrefectEngine, "map", fail_once)
    job = parse_job(small_job(tmp_path, runtime={"engine": "threads", "workers": 1}))
    result = extract.with_options(retries=2, retry_delay_seconds=0)(job, overwrite=True)
    assert (result.did_work, result.manifest.source_rows) == (True, N_ROWS)
    n_chunks = begun["profile"]
    assert (begun["featurize"], begun["fit"]) == (n_chunks, 1), "no chunk is done again"
    run = newest_flow_run()
    assert (run.state.name, run.run_count) == ("Completed", 2)


@pytest.mark.usefixtures("prefect_server")
def test_a_refused_job_is_not_retried(tmp_path: Path) -> None:
    from flows.extract import extract

    retried = extract.with_options(retries=2, retry_delay_seconds=0)
    job = small_job(tmp_path, columns={"time": "when"}, runtime={"engine": "threads"})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    for parameters in (
        {"job": parse_job(job)},
        {"config": str(tmp_path / "job.yaml")},
        {"config": str(tmp_path / "none.yaml")},
    ):
        with pytest.raises(PlanError):
            retried(**parameters)
        run = newest_flow_run()
        assert (run.state.name, run.run_count) == ("Failed", 1)


def test_a_shard_is_not_retried_by_prefect(monkeypatch):
    """The run that waits for it hands its chunks out again, to another pool if there is one."""
    from flows.shard import shard

    assert shard.retries == 0
