"""Worker pools as the engine: shards of a stage handed to deployments, so many at a time for each pool.

A lane is a place in a pool for one shard at a time. All lanes take from one queue, so that a fast host does more. The store
says what was done: whatever became of a shard's flow run, the chunks without a receipt go back into the queue.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import arun_deployment
from prefect.states import Cancelling

from emberharmony.errors import DamagedError, TerminalError
from emberharmony.pipeline.run import RunRef, open_run
from flows.engine import PrefectEngine

SHARDS_PER_LANE = 4
"""Pieces for each lane: enough that a slow host keeps nobody waiting long, few enough that starting them costs little."""
MAX_ATTEMPTS = 3
START_TIMEOUT_S = 180.0
"""A shard that no worker has taken by then goes to another pool; starting one takes 7 to 12 s."""
POLL_S = 1.0

_FINAL_ERRORS = ("DataError", "PlanError", "TerminalError", "ParityError", "BackendUnavailableError")
_log = logging.getLogger(__name__)


@dataclass
class Shard:
    """Chunks that are done in one flow run, and how often that was tried."""

    number: int
    chunks: tuple[int, ...]
    attempt: int = 0


@dataclass(frozen=True)
class Lane:
    """A place for one shard at a time in the pool of a deployment."""

    deployment: str
    number: int


class LanesEngine(PrefectEngine):
    """Runs the chunks' stages as shards in worker pools, and everything else in the current flow run."""

    def __init__(self, pools: Mapping[str, int], *, workers: int | None, shard_chunks: int | None = None) -> None:
        super().__init__("pools", workers=1, granularity="chunk")
        self._lanes = [Lane(f"shard/{pool}", number) for pool, lanes in pools.items() for number in range(lanes)]
        self._workers_of_shard = workers
        self._shard_chunks = shard_chunks

    def each(self, stage: str, ref: RunRef, chunks: Sequence[int]) -> Iterator[int]:
        """Hand out a stage of the given chunks, and yield them as their shards are done."""
        if not chunks:
            return
        size = self._shard_chunks or max(1, len(chunks) // (SHARDS_PER_LANE * len(self._lanes)))
        shards = [tuple(chunks[i : i + size]) for i in range(0, len(chunks), size)]
        work = _StageWork(stage, ref, shards, self._workers_of_shard)
        context = contextvars.copy_context()  # the shards are to be seen as this flow run's own
        thread = threading.Thread(target=context.run, args=(asyncio.run, work.do(self._lanes)), daemon=True)
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

    def __init__(self, stage: str, ref: RunRef, shards: Sequence[tuple[int, ...]], workers: int | None) -> None:
        self.done: queue.SimpleQueue[Sequence[int] | BaseException | None] = queue.SimpleQueue()
        self._stage, self._ref, self._workers = stage, ref, workers
        self._run = open_run(ref)
        self._numbers = count()
        self._waiting = deque(Shard(next(self._numbers), chunks) for chunks in shards)
        self._under_way = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Have the lanes cancel what they have under way."""
        self._stopped.set()

    async def do(self, lanes: Sequence[Lane]) -> None:
        """Empty the queue over all lanes."""
        try:
            async with get_client() as client:
                ends = await asyncio.gather(*(self._follow(lane, client) for lane in lanes), return_exceptions=True)
            for error in filter(None, ends):
                raise error  # of the lane that failed, once all others have cancelled what they had under way
            if self._waiting and not self._stopped.is_set():
                raise TerminalError(
                    f"No worker took a shard of {self._stage} within {START_TIMEOUT_S:.0f} s. Start one in the pools of "
                    f"{', '.join(sorted({lane.deployment for lane in lanes}))}: prefect worker start --pool NAME."
                )
            self.done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the flow's own thread
            self._stopped.set()
            self.done.put(error)

    async def _follow(self, lane: Lane, client: PrefectClient) -> None:
        while not self._stopped.is_set():
            if not self._waiting:
                if not self._under_way:
                    return
                await asyncio.sleep(POLL_S)  # what another lane has may come back
                continue
            shard = self._waiting.popleft()
            self._under_way += 1
            try:
                if not await self._try(shard, lane, client):
                    return
            except BaseException:
                self._stopped.set()
                raise
            finally:
                self._under_way -= 1

    async def _try(self, shard: Shard, lane: Lane, client: PrefectClient) -> bool:
        """Have a shard done; returns whether the lane may go on."""
        shard.attempt += 1
        flow_run = await arun_deployment(
            lane.deployment,
            client=client,
            parameters={
                "ref": self._ref.__dict__,
                "stage": self._stage,
                "chunks": list(shard.chunks),
                "workers": self._workers,
            },
            flow_run_name=f"{self._stage}-{shard.chunks[0]}-to-{shard.chunks[-1]}-attempt-{shard.attempt}",
            # With the attempt in it: the same key would give back the run that failed.
            idempotency_key=f"{self._ref.token}-{self._stage}-{shard.chunks[0]}-{shard.number}-{shard.attempt}",
            timeout=0,
        )
        flow_run, taken = await self._wait(flow_run, client)
        missing = {chunk.index for chunk in self._run.missing(self._stage)}
        finished = [chunk for chunk in shard.chunks if chunk not in missing]
        left = tuple(chunk for chunk in shard.chunks if chunk in missing)
        if finished:
            self.done.put(finished)
        if left and not self._stopped.is_set():
            if taken:
                self._judge(flow_run, shard, lane)
            else:
                shard.attempt -= 1
                _log.warning("Nobody took a shard of %s in %.0f s; the lane is closed.", lane.deployment, START_TIMEOUT_S)
            self._waiting.append(Shard(next(self._numbers), left, shard.attempt))
        return taken

    async def _wait(self, flow_run: FlowRun, client: PrefectClient) -> tuple[FlowRun, bool]:
        """Wait for the end of a flow run, and cancel it if nobody begins it or nobody wants it any more."""
        waited = 0.0
        while True:
            state = flow_run.state
            if state and state.is_final():
                return flow_run, True
            begun = state is not None and not (state.is_scheduled() or state.is_pending())
            if self._stopped.is_set() or (not begun and waited >= START_TIMEOUT_S):
                await client.set_flow_run_state(flow_run.id, Cancelling())
                return flow_run, begun
            await asyncio.sleep(POLL_S)
            waited += POLL_S
            flow_run = await client.read_flow_run(flow_run.id)

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
    return LanesEngine(runtime.pools, workers=runtime.workers, shard_chunks=runtime.shard_chunks)
