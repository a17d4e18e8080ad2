"""The flow on a real Prefect server: what its UI shows, and that it publishes what the local engine does."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emberharmony.errors import ExpectationError, PlanError
from flows.config.job import parse_job
from flows.prefect.names import ResultName, uri_of
from tests.jobs import assert_published_alike, read_published, run_small, small_table, write_table

if TYPE_CHECKING:
    from prefect.events import Event
    from prefect.events.filters import EventFilter

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.usefixtures("prefect_server")]

WINDOWS = {"size": 2, "strides": [1]}  # small enough that a chunk of some hundred rows is worth a window state


def extract(source: Path, sink: Path, sections: Mapping[str, Any] | None = None, /, **runtime: Any) -> Any:
    from flows.extract import extract

    job = parse_job(
        {
            "source": {"path": str(source)},
            "sink": {"path": str(sink)},
            "columns": {"time": "t", "target": "y", "drop": ["name"]},
            "windows": WINDOWS,
            "runtime": {"backend": "numpy", "workers": 2, **runtime},
            **(sections or {}),
        }
    )
    result = extract(job)
    assert result.engine == "threads", "the default, inside a flow"
    return result


async def task_runs(*, whole: Callable[[list[Any]], bool]) -> list[Any]:
    """Task runs of the newest flow run, once they are `whole`: the server records them some time after they have ended.

    On a busy machine that is seconds, and in no order: that there are no more of them for a while says nothing.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import FlowRunSort

    async with get_client() as client:
        (newest,) = await client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[newest.id]))
        for _ in range(120):
            runs: list[Any] = await client.read_task_runs(flow_run_filter=chosen, limit=200)
            if whole(runs) and all(run.state and run.state.is_final() for run in runs):
                return runs
            await asyncio.sleep(0.5)
    raise AssertionError(f"not all task runs were recorded as finished in time: {stages(runs)}")


def stages(runs: list[Any]) -> Counter[str]:
    """Task runs by the name of their task: what comes before the number of their chunk."""
    return Counter(re.split(r"-\d", run.name)[0] for run in runs)


def assert_small_and_without_data(runs: list[Any]) -> None:
    """What the server has recorded: inputs are names and other task runs' ids, results stay where they are."""
    for run in runs:
        inputs = {name: [each.model_dump(mode="json") for each in given] for name, given in run.task_inputs.items()}
        assert len(json.dumps(inputs)) < 2048, run.name
        assert {each["input_type"] for given in inputs.values() for each in given} <= {"task_run"}, run.name
        assert run.state.data is None, run.name


def test_every_step_of_a_chunk_is_a_task_run_of_its_own(tmp_path: Path) -> None:
    source = write_table(small_table(1000), tmp_path / "t.parquet")
    outcome = extract(source, tmp_path / "flow", chunk_rows=500, granularity="stage")
    columns = {"time": "t", "target": "y", "drop": ["name"]}
    expected = run_small(source, tmp_path / "loop", columns=columns, windows=WINDOWS)
    assert_published_alike(read_published(tmp_path / "flow", outcome), expected)
    named = {"encode-0", "encode-1", "PCA-0", "write-1-features-split-train", "fit", "publish"}
    of_chunks = ("profile", "featurize", "project")
    of_steps = ("chunk-read", "datetime-features", "encode", "split", "windowing", "PCA", "write")

    def whole(runs: list[Any]) -> bool:
        counts = stages(runs)
        each = all(counts[name] >= 3 for name in of_chunks) and all(counts[name] >= 1 for name in of_steps)
        return each and named <= {run.name for run in runs}

    runs = asyncio.run(task_runs(whole=whole))
    assert_small_and_without_data(runs)
    assert [stages(runs)[name] for name in of_chunks] == [3, 3, 3], "1,000 rows in chunks of up to 497"


def chunks_of(name: str) -> range:
    """The chunks after which a task run is named: `featurize-7`, `featurize-8-to-11`; none before it gets that name."""
    numbers = [int(word) for word in name.split("-") if word.isdecimal()]
    return range(numbers[0], numbers[-1] + 1) if numbers else range(0)


def test_quick_chunks_share_task_runs_where_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.engines.task_runs import PrefectEngine

    # All chunks are quick beside an hour, however slow the machine is.
    monkeypatch.setitem(PrefectEngine.__init__.__kwdefaults__, "task_run_s", 3600.0)
    source = write_table(small_table(400), tmp_path / "t.parquet")
    extract(source, tmp_path / "flow", chunk_rows=10)
    chunk_stages = ("profile", "featurize", "project")

    def portions(runs: list[Any], stage: str) -> list[range]:
        return [chunks_of(run.name) for run in runs if run.name.startswith(f"{stage}-")]

    # The server records task runs some time after they have ended, on a busy machine seconds.
    runs = asyncio.run(task_runs(whole=lambda runs: all(len([*chain(*portions(runs, of))]) >= 40 for of in chunk_stages)))
    assert_small_and_without_data(runs)
    assert stages(runs)["encode"] == 0
    for stage in chunk_stages:
        assert sorted(chain(*portions(runs, stage))) == list(range(40))
        assert len(portions(runs, stage)) <= 20  # four of one chunk, then a quarter of those that wait


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.0, 5.0])
def test_a_task_run_gets_what_takes_two_seconds_and_less_at_the_end(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    from flows.engines import task_runs as engine

    now, waiting, sizes = 0.0, 1000, []
    monkeypatch.setattr(engine.time, "monotonic", lambda: now)
    pace = engine._Pace(2.0, workers=2)
    while waiting:  # two workers, so that a chunk is done in half its time
        sizes.append(pace.size(waiting))
        waiting -= sizes[-1]
        now += sizes[-1] * seconds / 2
        pace.advance(sizes[-1])
    assert sizes[0] == sizes[-1] == 1
    assert max(sizes) == max(1, min(round(2 / seconds), 999 // 4))
    assert sizes[1:] == sorted(sizes[1:], reverse=True)


def test_chunks_of_one_task_run_follow_one_another() -> None:
    from flows.engines.task_runs import _take

    waiting = deque([0, 1, 2, 3, 7, 8])
    assert [_take(waiting, 3) for _ in range(3)] == [range(3), range(3, 4), range(7, 9)]


def test_the_run_leaves_progress_summary_and_explained_variance(tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import ArtifactSort

    source = write_table(small_table(400), tmp_path / "t.parquet")
    extract(source, tmp_path / "flow")

    async def newest() -> dict[str, Any]:
        async with get_client() as client:
            artifacts = await client.read_artifacts(sort=ArtifactSort.CREATED_DESC, limit=50)
            named.append((await client.read_flow_run(artifacts[0].flow_run_id)).name)
            return {artifact.key: artifact for artifact in reversed(artifacts)}

    named: list[str] = []
    artifacts = asyncio.run(newest())
    key = ResultName(uri_of(str(tmp_path / "flow"))).artifact_key
    assert artifacts[key("progress")].data == 100.0
    assert "400 read; 320 train" in artifacts[key("summary")].data
    assert '"stride": 1' in artifacts[key("explained-variance")].data
    assert named == ["extract flow"], "the flow and the sink"


def test_the_state_and_the_log_of_a_flow_run_say_what_it_did(tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import FlowRunSort

    async def newest(last: str = "") -> tuple[str, list[str]]:
        async with get_client() as client:
            (run,) = await client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
            for _ in range(60):  # the log arrives some time after the run
                logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])))
                if any(last in entry.message for entry in logs):
                    break
                await asyncio.sleep(0.5)
            return run.state.message, [entry.message for entry in logs]

    source = write_table(small_table(400), tmp_path / "t.parquet")
    extract(source, tmp_path / "flow")
    message, log = asyncio.run(newest("Stage publish: done in "))
    assert re.fullmatch(rf"Published 400 rows and \d+ windows in {tmp_path}/flow\.", message)
    assert any(line.startswith("Planned: 400 rows in 1 chunk ") and "; 1 chunk at a time" in line for line in log), log
    assert "Engine threads: the job runs inside a Prefect flow." in log
    assert any(re.fullmatch(r"Stage project: done in \d+\.\d s, .* rows/s, .* written\.", line) for line in log), log
    extract(source, tmp_path / "flow")
    message, _ = asyncio.run(newest())
    assert message.startswith(f"Nothing to do: this result is published already, in {tmp_path}/flow (fingerprint ")


def test_a_job_file_with_overrides_and_a_slice_is_run_as_a_whole_job_is(tmp_path: Path) -> None:
    from flows.extract import extract

    sections = {
        "source": {"path": str(write_table(small_table(200), tmp_path / "t.parquet"))},
        "sink": {"path": "elsewhere"},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": WINDOWS,
        "slices": {"every": "day"},
        "runtime": {"backend": "numpy", "workers": 1},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(sections))
    result = extract(config=str(tmp_path / "job.yaml"), overrides=[f"sink.path={tmp_path / 'night'}"], slice="2024-01-03")
    assert result.manifest.source_rows == 48, "one every half hour"
    assert result.sink == str(tmp_path / "night/slice=2024-01-03")
    assert newest_flow_run_name() == "extract night 2024-01-03"
    with pytest.raises(PlanError, match=r"job\.yaml cannot be read: no such file"):
        extract(config="job.yaml", slice="2024-01-04")
    assert newest_flow_run_name() == "extract job 2024-01-04"


def newest_flow_run_name() -> str:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        (newest,) = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
    return newest.name


@contextmanager
def events_passed_on(chosen: EventFilter, n: int) -> Iterator[Future[list[Event]]]:
    """Subscribe to the server's events: the first `n` that come after the block has begun."""
    from prefect.events.clients import get_events_subscriber

    subscribed = threading.Event()

    async def first_events() -> list[Event]:
        async with get_events_subscriber(filter=chosen) as events:
            subscribed.set()
            return [await anext(events) for _ in range(n)]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(copy_context().run, asyncio.run, asyncio.wait_for(first_events(), 120))
        assert subscribed.wait(60)
        yield first


def test_the_server_hears_of_results_and_refused_jobs(tmp_path: Path) -> None:
    from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter

    source = write_table(small_table(400), tmp_path / "t.parquet")
    sink, asset = f"emberharmony.sink.file://{tmp_path}/flow", f"file://{tmp_path}/flow"
    names = EventNameFilter(prefix=["emberharmony.", "prefect.asset.materialization."])
    with events_passed_on(EventFilter(event=names, resource=EventResourceFilter(id=[sink, asset])), 4) as first:
        with pytest.raises(ExpectationError):
            extract(source, tmp_path / "flow", {"expect": {"rows": {"min": 401}}})
        extract(source, tmp_path / "flow")
        with pytest.raises(PlanError):
            extract(source, tmp_path / "flow", chunk_rows=1_000_000_000, max_memory_gb=0.01)
        heard = {event.event: event for event in first.result()}
    gated, refused = heard["emberharmony.expectation-failed"], heard["emberharmony.refused"]
    published, made = heard["emberharmony.published"], heard["prefect.asset.materialization.succeeded"]
    assert gated.payload["n_failed"] == 1
    assert "rows.min" in gated.payload["message"]
    assert (published.payload["rows"], published.payload["sink"]) == (400, str(tmp_path / "flow"))
    assert refused.payload["error"] == "PlanError"
    for event in (published, refused, gated):
        assert event.resource.id == sink
        assert "flow-run" in {related.role for related in event.related}
    assert gated.occurred < published.occurred < refused.occurred
    assert made.resource.id == asset
    assert f"file://{source}" in {related.id for related in made.related}


def test_a_failed_plan_is_a_failed_flow_run_and_publishes_nothing(tmp_path: Path) -> None:
    source = write_table(small_table(100), tmp_path / "t.parquet")
    job = parse_job(
        {
            "source": {"path": str(source)},
            "sink": {"path": str(tmp_path / "flow")},
            "columns": {"time": "when"},
            "runtime": {"workers": 1},
        }
    )
    from flows.extract import extract

    with pytest.raises(PlanError, match="'when' is not in the table"):
        extract(job)
    assert not (tmp_path / "flow" / "manifest.json").exists()
