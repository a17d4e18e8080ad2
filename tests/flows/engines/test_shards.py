"""Shards in worker pools: another pool does what one has lost, and what would fail everywhere stops the run."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import WorkerStatus
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled

from emberharmony.errors import (
    BackendUnavailableError,
    DataError,
    EmberharmonyError,
    MissingLibraryError,
    ParityError,
    TerminalError,
    TransientError,
)
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.plan import make_plan
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.stages import PROFILE, STAGES, run_stage
from emberharmony.pipeline.staging import stage_plan
from emberharmony.planning.chunks import from_ranges
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from flows.engines.shard_files import reporting
from flows.engines.shards import MAX_ATTEMPTS, PoolsEngine, Timeouts
from tests.faults.victims import N_ROWS, contents, small_job
from tests.jobs import small_table, write_table

Shard = SimpleNamespace  # pool, stage, chunks, key, parameters of one flow run


class Pools:
    """Worker pools that are threads of this process; what becomes of a shard is up to the test."""

    def __init__(self, fate: Callable[[Shard], Any] | None = None) -> None:
        self.fate = fate or (lambda shard: None)  # an end, and after how many chunks; or nothing
        self.shards: list[Shard] = []
        self.states: dict[Any, Any] = {}
        self.cancelled: list[Shard] = []
        self.given_up: dict[Any, Any] = {}
        self.workers: list[SimpleNamespace] = []
        self._by_id: dict[Any, Shard] = {}
        self._threads: list[threading.Thread] = []

    async def arun_deployment(self, name, *, parameters, idempotency_key, **_):
        parameters = parameters | {"chunks": from_ranges(parameters["chunks"])}
        shard = Shard(pool=name.removeprefix("shard/"), key=idempotency_key, **parameters)
        flow_run = SimpleNamespace(id=uuid4(), state=Scheduled())
        self.shards.append(shard)
        self._by_id[flow_run.id], self.states[flow_run.id] = shard, flow_run.state
        self._threads.append(threading.Thread(target=self._work, args=(flow_run.id, shard)))
        self._threads[-1].start()
        return flow_run

    def _work(self, flow_run_id, shard):
        fate, n_done = self.fate(shard) or (Completed(), None)
        if fate is NEVER_TAKEN:
            return
        if fate is TAKEN_LATE:
            time.sleep(n_done)
            fate, n_done = Completed(), None
        self._set(flow_run_id, Running())
        if fate is HANGS:
            return
        ref = RunRef(**shard.ref)
        assert shard.key == shard.name, "a repeated request is of the same shard"
        try:
            with reporting(ref, shard.name):
                if fate is SLOW:
                    time.sleep(n_done)
                    fate, n_done = Completed(), None
                for chunk in shard.chunks[:n_done]:
                    run_stage(shard.stage, ref, chunk)
                if isinstance(fate, Exception):
                    raise fate
        except EmberharmonyError:
            fate = Failed(message="Flow run encountered an exception.")
        self._set(flow_run_id, fate)

    def _set(self, flow_run_id, state):
        if not self.states[flow_run_id].is_final():
            self.states[flow_run_id] = state

    def join(self):
        for thread in self._threads:
            thread.join()

    def shard_of(self, flow_run_id):
        return self._by_id[flow_run_id]

    @property
    def running(self):
        return [self._by_id[flow_run_id] for flow_run_id, state in self.states.items() if not state.is_final()]

    async def read_flow_run(self, flow_run_id):
        return SimpleNamespace(id=flow_run_id, name="shard", work_pool_name="cpu", state=self.states[flow_run_id])

    async def read_workers_for_work_pool(self, name):
        assert name == "cpu"
        return self.workers

    async def set_flow_run_state(self, flow_run_id, state, force=False):
        self.given_up[flow_run_id] = state
        self.cancelled.append(self._by_id[flow_run_id])
        self.states[flow_run_id] = Cancelled() if state.is_cancelling() else state

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


NEVER_TAKEN, TAKEN_LATE, HANGS, SLOW = object(), object(), object(), object()
TIMEOUTS = Timeouts(start_s=600.0, silence_s=2.0)
SOON = Timeouts(start_s=1.0, silence_s=600.0)
"""For tests in which a pool takes no shard."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("flows.engines.shards.POLL_S", 0.01)
    monkeypatch.setattr(LocalStore, "heartbeat_s", 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of a job of six chunks whose rows are in order, so that the first stage is the profile."""
    folder = tmp_path_factory.mktemp("shards")
    write_table(small_table(N_ROWS, order="sorted"), folder / "table.parquet", group_rows=N_ROWS)
    return folder


@pytest.fixture(scope="module")
def plain(folder) -> dict[str, str]:
    run_job(parse_job(small_job(folder, sink="plain")), LocalEngine())
    return contents(folder / "plain")


def in_this_process(stage):
    return lambda ref, first, last, granularity: [run_stage(stage, ref, first)]


@pytest.fixture
def through(monkeypatch, folder) -> Callable[..., dict[str, str]]:
    """Run the job through pools, and return what it published."""

    def run(pools: Pools, slots: dict[str, int] | None = None, timeouts: Timeouts = TIMEOUTS) -> dict[str, str]:
        monkeypatch.setattr("flows.engines.shards.arun_deployment", pools.arun_deployment)
        monkeypatch.setattr("flows.engines.shards.get_client", lambda: pools)
        sink = folder / "result"
        shutil.rmtree(sink, ignore_errors=True)
        engine = PoolsEngine(slots or {"cpu": 1, "gpu": 1}, workers=1, shard_chunks=2, timeouts=timeouts)
        # Stages that run once are task runs of a flow run, and there is none here.
        monkeypatch.setattr("flows.engines.task_runs.TASKS", {name: in_this_process(name) for name in STAGES})
        try:
            run_job(parse_job(small_job(folder, sink="result")), engine)
        finally:
            pools.join()
        return contents(sink)

    return run


def test_every_chunk_is_done_once_by_some_pool(through, plain):
    pools = Pools()
    assert through(pools) == plain
    done = Counter((shard.stage, chunk) for shard in pools.shards for chunk in shard.chunks)
    assert set(done.values()) == {1}
    assert Counter(stage for stage, _ in done) == {"profile": 6, "featurize": 6, "project": 6}
    assert {shard.pool for shard in pools.shards} == {"cpu", "gpu"}


@pytest.mark.parametrize(
    "end", [Crashed(message="the process is gone"), Failed(message="OSError: no such device"), Cancelled()]
)
def test_what_a_pool_loses_is_done_again_and_no_more_than_that(through, plain, end):
    """The first shard ends after one of its two chunks, in whatever way: the other one goes back into the queue."""
    pools = Pools()
    pools.fate = lambda shard: (end, 1) if shard is pools.shards[0] else None
    assert through(pools) == plain
    lost, *others = pools.shards
    again = [shard for shard in others if shard.stage == lost.stage and set(shard.chunks) & set(lost.chunks)]
    assert [shard.chunks for shard in again] == [lost.chunks[1:]], "what its receipt says is done is not done again"
    assert again[0].pool != lost.pool
    assert len({shard.key for shard in pools.shards}) == len(pools.shards), "a key used twice would give back the old run"


def test_a_host_that_loses_everything_is_made_up_for_by_the_other(through, plain):
    lost = Counter[tuple[str, int]]()

    def fate(shard: Shard) -> Any:
        name = shard.stage, shard.chunks[-1]
        if shard.pool == "gpu" and lost[name] < MAX_ATTEMPTS - 1:  # the queue may give a shard back to the same slot
            lost[name] += 1
            return Crashed(), 0
        return None

    assert through(Pools(fate)) == plain
    assert lost


def test_a_shard_that_falls_silent_is_done_by_another_pool(through, plain):
    """As when a host loses its power: nobody tells the server of it."""
    pools = Pools(lambda shard: (HANGS, 0) if shard is pools.shards[0] else None)
    assert through(pools) == plain
    lost, *others = pools.shards
    (again,) = [shard for shard in others if shard.chunks == lost.chunks and shard.stage == lost.stage]
    assert {lost.pool, again.pool} == {"cpu", "gpu"}
    ((given_up, state),) = [(pools.shard_of(flow_run), state) for flow_run, state in pools.given_up.items()]
    assert given_up is lost
    assert (state.name, state.message) == ("Crashed", "No heartbeat for 2 s: its process or its host is gone.")


def test_a_server_that_is_away_for_a_while_is_asked_again(monkeypatch, through, plain):
    monkeypatch.setattr("emberharmony.pipeline.retry.RETRY_DELAYS_S", (0.01, 0.01, 0.01))
    pools, failures = Pools(), iter(range(3))

    async def read_flow_run(flow_run_id):
        if next(failures, None) is not None:
            raise httpx.ConnectError("[Errno 111] Connection refused")
        return await Pools.read_flow_run(pools, flow_run_id)

    monkeypatch.setattr(pools, "read_flow_run", read_flow_run)
    assert through(pools) == plain
    assert next(failures, None) is None


def test_a_shard_that_sends_heartbeats_is_waited_for(through, plain):
    """The first one works twice as long as silence is borne."""
    pools = Pools(lambda shard: (SLOW, 4.0) if shard is pools.shards[0] else None)
    assert through(pools) == plain
    assert pools.given_up == {}


def test_what_nobody_has_begun_goes_to_a_pool_that_has_nothing_to_do(monkeypatch, through, plain):
    monkeypatch.setattr("flows.engines.shards.TAKE_OVER_S", 0.2)
    pools = Pools(lambda shard: (NEVER_TAKEN, 0) if shard.pool == "gpu" else None)
    began = time.monotonic()
    assert through(pools) == plain
    assert time.monotonic() - began < 300


def test_a_shard_that_no_host_can_do_stops_the_run(through, folder):
    pools = Pools(lambda shard: (Crashed(message="killed by the system"), 0) if 3 in shard.chunks else None)
    with pytest.raises(
        TerminalError, match=r"failed 3 times, at last in shard/\w+: killed by the system\. Run the same command"
    ):
        through(pools)
    assert sum(3 in shard.chunks for shard in pools.shards) == MAX_ATTEMPTS
    assert not (folder / "result/manifest.json").exists()


@pytest.mark.parametrize("error", [DataError, ParityError, BackendUnavailableError, MissingLibraryError])
def test_what_would_fail_everywhere_stops_the_run_at_once_and_everywhere(through, folder, error):
    wrong = error("Chunk 0, computed by torch:cuda on host h7, is wrong.")
    pools = Pools(lambda shard: (wrong, 0) if 0 in shard.chunks else (HANGS, 0))
    with pytest.raises(error, match=r"^profile failed in shard/\w+: Chunk 0, .* on host h7, is wrong\.$") as raised:
        through(pools)
    assert raised.type is error
    assert sum(0 in shard.chunks for shard in pools.shards) == 1, "it was not tried again"
    assert pools.running == [], "what other pools had under way works on for nothing"
    assert not (folder / "result/manifest.json").exists()


def test_what_another_host_may_not_meet_is_tried_there(through, plain):
    pools = Pools()
    pools.fate = lambda shard: (TransientError("The device is full."), 1) if shard is pools.shards[0] else None
    assert through(pools) == plain
    left = pools.shards[0].chunks[1]  # of whichever pool was asked first
    assert {shard.pool for shard in pools.shards if shard.stage == "profile" and left in shard.chunks} == {"cpu", "gpu"}


def test_a_pool_without_a_worker_is_closed_and_the_other_does_it_all(through, plain):
    pools = Pools(lambda shard: (NEVER_TAKEN, 0) if shard.pool == "gpu" else None)
    assert through(pools, timeouts=SOON) == plain
    assert {shard.pool for shard in pools.cancelled} == {"gpu"}, "else its worker would begin them once it comes"


def test_a_pool_whose_workers_have_other_work_is_waited_for(through, plain):
    pools = Pools(lambda shard: (TAKEN_LATE, 2 * SOON.start_s) if len(pools.shards) == 1 else None)
    pools.workers = [SimpleNamespace(status=WorkerStatus.OFFLINE), SimpleNamespace(status=WorkerStatus.ONLINE)]
    assert through(pools, slots={"cpu": 1}, timeouts=SOON) == plain
    assert not pools.given_up


def test_pools_without_any_worker_are_named(through):
    with pytest.raises(TerminalError, match=r"No worker took a shard of profile .* shard/cpu, shard/gpu: prefect worker"):
        through(Pools(lambda shard: (NEVER_TAKEN, 0)), timeouts=SOON)


def test_a_part_that_a_worker_finds_damaged_is_made_again(through, plain):
    """The worker's error names the file, and the run makes it again."""
    damaged = list[Path]()

    def fate(shard: Shard) -> None:
        if shard.stage == "project" and 0 in shard.chunks and not damaged:
            damaged.extend(Path(shard.ref["staging"]).glob("features/split=train/part-00000-*.parquet"))
            damaged[0].unlink()

    pools = Pools(fate)
    assert through(pools) == plain
    assert damaged
    featurized = [shard.chunks for shard in pools.shards if shard.stage == "featurize" and 0 in shard.chunks]
    assert featurized == [[0, 1], [0]], "only the chunk whose part it was"


def test_stopping_cancels_what_is_under_way(monkeypatch, folder):
    """Whoever leaves the loop, on a signal or an error, leaves nothing running in the pools."""
    job = parse_job(small_job(folder, sink="stopped"))
    ref = stage_plan(make_plan(job.spec, job.resources), result_at(folder / "stopped"), backend="numpy")
    pools = Pools(lambda shard: (HANGS, 0) if shard.pool == "gpu" else None)
    monkeypatch.setattr("flows.engines.shards.arun_deployment", pools.arun_deployment)
    monkeypatch.setattr("flows.engines.shards.get_client", lambda: pools)
    each = PoolsEngine({"cpu": 1, "gpu": 1}, workers=1, shard_chunks=2).map(PROFILE, ref, range(7))
    next(each)
    began = time.monotonic()
    each.close()
    assert time.monotonic() - began < 15
    pools.join()
    assert "gpu" in {shard.pool for shard in pools.cancelled}
    assert pools.running == []
