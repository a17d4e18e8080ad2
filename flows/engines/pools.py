"""Worker pools as the engine: shards of a stage handed to deployments, so many at a time for each pool.

A lane is a place in a pool for one shard at a time. All lanes take from one queue, so that a fast host does more. The store
says what was done: whatever became of a shard's flow run, the chunks without a receipt go back into the queue, for another
pool if there is one.

A worker tells its server of a shard that ended, in whatever way. Of one that vanished with its worker nobody tells, so a shard
also gives signs of life in the store.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkerStatus
from prefect.deployments import arun_deployment
from prefect.states import Cancelled, Cancelling, Crashed

from emberharmony.errors import DamagedError, TerminalError
from emberharmony.pipeline.retry import with_retries
from emberharmony.pipeline.run import RunRef, open_run
from emberharmony.pipeline.stages import Stage
from emberharmony.planning.chunks import as_ranges
from flows.engines.heartbeat import expect_signs, last_sign, mark_unwanted
from flows.engines.task_runs import PrefectEngine
from flows.prefect.outages import through_outages

SHARDS_PER_LANE = 4
"""Pieces for each lane: enough that a slow host keeps nobody waiting long, few enough that starting them costs little."""
MAX_ATTEMPTS = 3
TAKE_OVER_S = 30.0
"""A shard that no worker has taken by then goes to another pool whose lane has nothing to do; workers ask every 10 s."""
POLL_S = 1.0
END_TIMEOUT_S = 15.0
"""How long a shard that was given up may take to end, before the run that waits for it goes on without knowing."""

_FINAL_ERRORS = ("DataError", "PlanError", "TerminalError", "ParityError", "BackendUnavailableError")
_log = logging.getLogger(__name__)


@dataclass
class Shard:
    """Chunks that are done in one flow run, and how often that was tried."""

    chunks: tuple[int, ...]
    attempt: int = 0
    lost_by: str = ""  # deployment that had it last, and did not finish it


@dataclass(frozen=True)
class Lane:
    """A place for one shard at a time in the pool of a deployment."""

    deployment: str
    number: int


@dataclass(frozen=True)
class Patience:
    """How long a shard is waited for that does nothing."""

    start_s: float = 180.0
    silence_s: float = 60.0


class LanesEngine(PrefectEngine):
    """Runs the chunks' stages as shards in worker pools, and everything else in the current flow run."""

    def __init__(
        self,
        pools: Mapping[str, int],
        *,
        workers: int | None,
        shard_chunks: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        super().__init__("pools", workers=1, granularity="chunk")
        self._lanes = [Lane(f"shard/{pool}", number) for pool, lanes in pools.items() for number in range(lanes)]
        self._workers_of_shard = workers
        self._shard_chunks = shard_chunks
        self._patience = patience or Patience()

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[int]:
        """Hand out a stage of the given chunks, and yield them as their shards are done."""
        if stage.once or not chunks:
            yield from super().map(stage, ref, chunks)
            return
        size = self._shard_chunks or max(1, len(chunks) // (SHARDS_PER_LANE * len(self._lanes)))
        shards = [tuple(chunks[i : i + size]) for i in range(0, len(chunks), size)]
        work = _StageWork(stage.name, ref, shards, self._lanes, self._workers_of_shard, self._patience)
        context = contextvars.copy_context()  # the shards are to be seen as this flow run's own
        thread = threading.Thread(target=context.run, args=(asyncio.run, work.do()), daemon=True)
        thread.start()
        try:
            while (item := work.done.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield from item
        finally:
            work.stop()
            thread.join(timeout=20)


class _StageWork:
    """One stage's queue, and the lanes that empty it."""

    def __init__(
        self,
        stage: str,
        ref: RunRef,
        shards: Sequence[tuple[int, ...]],
        lanes: Sequence[Lane],
        workers: int | None,
        patience: Patience,
    ) -> None:
        self.done: queue.SimpleQueue[Sequence[int] | BaseException | None] = queue.SimpleQueue()
        self._stage, self._ref, self._workers, self._patience = stage, ref, workers, patience
        self._run = open_run(ref)
        self._waiting = deque(Shard(chunks) for chunks in shards)
        self._lanes, self._open = lanes, set(lanes)
        self._idle = set[Lane]()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Have the lanes cancel what they have under way."""
        self._stopped.set()

    async def do(self) -> None:
        """Empty the queue over all lanes."""
        try:
            expect_signs(self._ref)
            async with get_client() as client:
                ends = await asyncio.gather(*(self._follow(lane, client) for lane in self._lanes), return_exceptions=True)
            for error in filter(None, ends):
                raise error  # of the lane that failed, once all others have cancelled what they had under way
            if self._waiting and not self._stopped.is_set():
                pools = ", ".join(sorted({lane.deployment for lane in self._lanes}))
                raise TerminalError(
                    f"No worker took a shard of {self._stage} within {self._patience.start_s:.0f} s, and none is online. "
                    f"Start one in the pools of {pools}: prefect worker start --pool NAME."
                )
            self.done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the flow's own thread
            self._stopped.set()
            self.done.put(error)

    async def _follow(self, lane: Lane, client: PrefectClient) -> None:
        try:
            while not self._stopped.is_set():
                shard = self._next(lane)
                if shard is None:
                    self._idle.add(lane)
                    if self._idle == self._open and not self._waiting:
                        return
                    await asyncio.sleep(POLL_S)  # what another lane has may come back
                    continue
                self._idle.discard(lane)
                if not await self._try(shard, lane, client):
                    return
        except BaseException:
            self._stopped.set()
            raise
        finally:
            self._open.discard(lane)
            self._idle.discard(lane)

    def _next(self, lane: Lane) -> Shard | None:
        """Take a shard out of the queue; one that the lane's pool has lost is for another pool, while there is one."""
        others = {open_lane.deployment for open_lane in self._open} - {lane.deployment}
        for shard in self._waiting:
            if not others or shard.lost_by != lane.deployment:
                self._waiting.remove(shard)
                return shard
        return None

    async def _try(self, shard: Shard, lane: Lane, client: PrefectClient) -> bool:
        """Have a shard done; returns whether the lane may go on."""
        shard.attempt += 1
        begin = partial(
            arun_deployment,
            lane.deployment,
            client=client,
            parameters={
                "ref": self._ref.__dict__,
                "stage": self._stage,
                "chunks": as_ranges(shard.chunks),
                "workers": self._workers,
            },
            flow_run_name=f"{self._stage}-{shard.chunks[0]}-to-{shard.chunks[-1]}-attempt-{shard.attempt}",
            idempotency_key=uuid4().hex,  # of this attempt: only the request itself may be repeated
            timeout=0,
        )
        flow_run = await through_outages(begin)
        flow_run, taken = await self._wait(flow_run, lane, client)
        missing = {
            chunk.index for chunk in await asyncio.to_thread(with_retries, lambda: self._run.receipts.missing(self._stage))
        }
        finished = [chunk for chunk in shard.chunks if chunk not in missing]
        left = tuple(chunk for chunk in shard.chunks if chunk in missing)
        if finished:
            self.done.put(finished)
        if left and not self._stopped.is_set():
            if taken:
                self._judge(flow_run, shard, lane)
            else:
                shard.attempt -= 1
                _log.warning("Nobody took a shard of %s; the lane is closed for this stage.", lane.deployment)
            self._waiting.append(Shard(left, shard.attempt, lane.deployment))
        return taken

    async def _wait(self, flow_run: FlowRun, lane: Lane, client: PrefectClient) -> tuple[FlowRun, bool]:
        """Wait for the end of a flow run; returns whether a worker has begun it.

        If none does though its pool has no other work, if it falls silent, or if nobody wants it any more, it is given up.
        """
        name, seen, since = str(flow_run.id), (False, ""), time.monotonic()
        while True:
            state = flow_run.state
            if state and state.is_final():
                return flow_run, True
            begun = state is not None and not (state.is_scheduled() or state.is_pending())
            now = begun, last_sign(self._ref, name) or ""
            if now != seen:
                seen, since = now, time.monotonic()
            patience = self._patience.silence_s if begun else self._patience.start_s
            if state and state.is_scheduled() and any(idle.deployment != lane.deployment for idle in self._idle):
                patience = min(patience, TAKE_OVER_S)
            late = time.monotonic() - since >= patience
            if late and state and state.is_scheduled() and patience == self._patience.start_s:
                late = not await self._is_served(flow_run, client)
                since = time.monotonic()
            if self._stopped.is_set() or late:
                mark_unwanted(self._ref, name)
                told = f"No sign of life for {patience:.0f} s: its process or its host is gone."
                lost = begun and not self._stopped.is_set()
                return await self._end(flow_run, Crashed(message=told) if lost else Cancelling(), client), begun
            await asyncio.sleep(POLL_S)
            asked = time.monotonic()
            flow_run = await through_outages(partial(client.read_flow_run, flow_run.id))
            since += time.monotonic() - asked  # no shard is to blame for a server that was away

    async def _is_served(self, flow_run: FlowRun, client: PrefectClient) -> bool:
        """Whether the pool of a flow run has a worker: then what waits there waits for its turn."""
        pool = flow_run.work_pool_name or ""
        workers = await through_outages(partial(client.read_workers_for_work_pool, pool))
        online = any(worker.status == WorkerStatus.ONLINE for worker in workers)
        if online:
            _log.warning("The pool %s is busy: its workers are online, and %s waits for its turn.", pool, flow_run.name)
        return online

    async def _end(self, flow_run: FlowRun, state: State[Any], client: PrefectClient) -> FlowRun:
        """Give a flow run up, and wait until its worker has ended it, or is gone as well."""
        await through_outages(partial(client.set_flow_run_state, flow_run.id, state))
        for _ in range(round(END_TIMEOUT_S / POLL_S)):
            flow_run = await through_outages(partial(client.read_flow_run, flow_run.id))
            if flow_run.state and flow_run.state.is_final():
                return flow_run
            await asyncio.sleep(POLL_S)
        given_up = Cancelled(message="Given up; no worker answered.")
        await through_outages(partial(client.set_flow_run_state, flow_run.id, given_up, force=True))
        return await through_outages(partial(client.read_flow_run, flow_run.id))

    def _judge(self, flow_run: FlowRun, shard: Shard, lane: Lane) -> None:
        """Raise if a shard's failure would come again elsewhere."""
        state = flow_run.state
        told = (state.message if state else None) or f"its flow run ended as {state.name if state else 'unknown'}"
        damaged = re.search(re.escape(self._ref.staging) + r"/(\S+) is missing or was changed", told)
        if damaged:
            raise DamagedError(told, damaged[1])
        if state and state.is_failed() and any(f"{name}:" in told for name in _FINAL_ERRORS):
            raise TerminalError(f"{self._stage} failed in {lane.deployment}: {told}")
        if shard.attempt >= MAX_ATTEMPTS:
            raise TerminalError(
                f"Chunks {shard.chunks[0]} to {shard.chunks[-1]} of {self._stage} failed {shard.attempt} times, at last in "
                f"{lane.deployment}: {told}. Run the same command again to go on where it stopped."
            )
        _log.warning("A shard of %s is queued again, after %s in %s.", self._stage, told, lane.deployment)


def lanes_of(job: Any) -> LanesEngine:
    """The engine of a job that names worker pools."""
    runtime = job.runtime
    return LanesEngine(
        runtime.pools,
        workers=runtime.workers,
        shard_chunks=runtime.shard_chunks,
        patience=Patience(runtime.start_timeout_s, runtime.silence_timeout_s),
    )
