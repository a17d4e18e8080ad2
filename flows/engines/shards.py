"""The chunks of a stage as shards in worker pools: flow runs of the `shard` deployments, a limited number for each pool.

A worker slot is a place for one shard in a pool. All slots take from one queue, so a fast host does more. The store says what
is done: however the flow run of a shard ended, its chunks without a receipt go back into the queue, for another pool if there
is one.

A worker reports the end of a shard to its server. If the worker vanishes together with the shard, nobody does, so a shard also
sends a heartbeat through the store.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
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

from emberharmony.errors import EmberharmonyError, TerminalError, in_context
from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.retry import with_retries
from emberharmony.pipeline.run import RunRef, open_run
from emberharmony.pipeline.stages import Stage
from emberharmony.planning.chunks import as_ranges
from flows.engines import shard_files
from flows.engines.task_runs import PrefectEngine
from flows.prefect.outages import through_outages

SHARDS_PER_SLOT = 4
"""Shards for each worker slot: so many that a slow host delays the end little, so few that starting them costs little."""
MAX_ATTEMPTS = 3
TAKE_OVER_S = 30.0
"""A shard that no worker has taken by then goes to another pool with an idle slot; workers ask every 10 s."""
POLL_S = 1.0
END_TIMEOUT_S = 15.0
"""Time in which a shard that was given up must end; after it the run goes on without an answer."""

_log = logging.getLogger(__name__)


@dataclass
class Shard:
    """Chunks that one flow run does, and how often that was tried."""

    chunks: tuple[int, ...]
    attempt: int = 0
    lost_by: str = ""  # deployment that had it last, and did not finish it


@dataclass(frozen=True)
class WorkerSlot:
    """A place for one shard at a time in the pool of a deployment."""

    deployment: str
    number: int

    def __str__(self) -> str:
        """Name of the slot as a worker."""
        return f"{self.deployment.partition('/')[2]}/{self.number + 1}"


@dataclass(frozen=True)
class Timeouts:
    """Seconds after which a shard that makes no progress is given up."""

    start_s: float = 180.0
    silence_s: float = 60.0


class PoolsEngine(PrefectEngine):
    """Runs the stages of chunks as shards in worker pools, and stages that run once in the current flow run."""

    def __init__(
        self,
        pools: Mapping[str, int],
        *,
        workers: int | None,
        shard_chunks: int | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        super().__init__("pools", workers=1, granularity="chunk")
        self._slots = [WorkerSlot(f"shard/{pool}", number) for pool, slots in pools.items() for number in range(slots)]
        self._workers_of_shard = workers
        self._shard_chunks = shard_chunks
        self._timeouts = timeouts or Timeouts()

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[ItemDone]:
        """Hand out a stage of the given chunks, and yield an event for each as its shard is done."""
        if stage.once or not chunks:
            yield from super().map(stage, ref, chunks)
            return
        size = self._shard_chunks or max(1, len(chunks) // (SHARDS_PER_SLOT * len(self._slots)))
        shards = [tuple(chunks[i : i + size]) for i in range(0, len(chunks), size)]
        work = _ShardQueue(stage.name, ref, shards, self._slots, self._workers_of_shard, self._timeouts)
        context = contextvars.copy_context()  # in it, the shards are subflows of this flow run
        thread = threading.Thread(target=context.run, args=(asyncio.run, work.empty()), daemon=True)
        thread.start()
        try:
            while (item := work.done.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield from item
        finally:
            work.stop()
            thread.join(timeout=20)


class _ShardQueue:
    """The shards of one stage, and the worker slots that take them."""

    def __init__(
        self,
        stage: str,
        ref: RunRef,
        shards: Sequence[tuple[int, ...]],
        slots: Sequence[WorkerSlot],
        workers: int | None,
        timeouts: Timeouts,
    ) -> None:
        self.done: queue.SimpleQueue[Sequence[ItemDone] | BaseException | None] = queue.SimpleQueue()
        self._stage, self._ref, self._workers, self._timeouts = stage, ref, workers, timeouts
        self._run = open_run(ref)
        self._waiting = deque(Shard(chunks) for chunks in shards)
        self._slots, self._open = slots, set(slots)
        self._idle = set[WorkerSlot]()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Have every slot cancel its shard."""
        self._stopped.set()

    async def empty(self) -> None:
        """Hand out all shards; puts the chunks that are done into `done`, and at the end ``None`` or an error."""
        try:
            async with get_client() as client:
                ends = await asyncio.gather(*(self._serve(slot, client) for slot in self._slots), return_exceptions=True)
            for error in filter(None, ends):
                raise error  # of the slot that failed, once all others have cancelled their shards
            if self._waiting and not self._stopped.is_set():
                pools = ", ".join(sorted({slot.deployment for slot in self._slots}))
                raise TerminalError(
                    f"No worker took a shard of {self._stage} within {self._timeouts.start_s:.0f} s, and none is online. "
                    f"Start one in the pools of {pools}: prefect worker start --pool NAME."
                )
            self.done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the flow's own thread
            self._stopped.set()
            self.done.put(error)

    async def _serve(self, slot: WorkerSlot, client: PrefectClient) -> None:
        """Have one shard after the other done in a slot, until none is left."""
        try:
            while not self._stopped.is_set():
                shard = self._next(slot)
                if shard is None:
                    self._idle.add(slot)
                    if self._idle == self._open and not self._waiting:
                        return
                    await asyncio.sleep(POLL_S)  # a shard of another slot may come back
                    continue
                self._idle.discard(slot)
                if not await self._try(shard, slot, client):
                    return
        except BaseException:
            self._stopped.set()
            raise
        finally:
            self._open.discard(slot)
            self._idle.discard(slot)

    def _next(self, slot: WorkerSlot) -> Shard | None:
        """Take a shard out of the queue. A shard that the slot's pool has lost is for another pool, while there is one."""
        others = {open_slot.deployment for open_slot in self._open} - {slot.deployment}
        for shard in self._waiting:
            if not others or shard.lost_by != slot.deployment:
                self._waiting.remove(shard)
                return shard
        return None

    async def _try(self, shard: Shard, slot: WorkerSlot, client: PrefectClient) -> bool:
        """Have a shard done; returns whether the slot may take another one."""
        shard.attempt += 1
        name = uuid4().hex  # of this attempt: only the request itself may be repeated
        await asyncio.to_thread(with_retries, partial(shard_files.request, self._run.store, name))
        begin = partial(
            arun_deployment,
            slot.deployment,
            client=client,
            parameters={
                "ref": self._ref.__dict__,
                "name": name,
                "stage": self._stage,
                "chunks": as_ranges(shard.chunks),
                "workers": self._workers,
            },
            flow_run_name=f"{self._stage}-{shard.chunks[0]}-to-{shard.chunks[-1]}-attempt-{shard.attempt}",
            idempotency_key=name,
            timeout=0,
        )
        flow_run = await through_outages(begin)
        flow_run, taken = await self._wait(flow_run, name, slot, client)
        pending = await asyncio.to_thread(with_retries, lambda: self._run.receipts.missing(self._stage))
        missing = {chunk.index for chunk in pending}
        finished = [chunk for chunk in shard.chunks if chunk not in missing]
        items = self._run.receipts.items(self._stage)
        left = tuple(chunk for chunk in shard.chunks if chunk in missing)
        if finished:
            self.done.put([ItemDone(chunk, items[chunk].n_rows, worker=str(slot)) for chunk in finished])
        if left and not self._stopped.is_set():
            if taken:
                error = await asyncio.to_thread(shard_files.error_of, self._run.store, name)
                self._check_end(flow_run, error, shard, slot)
            else:
                shard.attempt -= 1
                _log.warning("No worker took a shard of %s; the slot is closed for this stage.", slot.deployment)
            self._waiting.append(Shard(left, shard.attempt, slot.deployment))
        return taken

    async def _wait(self, flow_run: FlowRun, name: str, slot: WorkerSlot, client: PrefectClient) -> tuple[FlowRun, bool]:
        """Wait for the end of a flow run; returns whether a worker has begun it.

        It is given up if no worker begins it though its pool has no other work, if its heartbeat stops, or if this run stops.
        """
        store, watch = self._run.store, shard_files.HeartbeatWatch(self._run.store, name)
        silence_s = max(self._timeouts.silence_s, shard_files.MISSED_HEARTBEATS * store.heartbeat_s)
        seen, since = (False, ""), time.monotonic()
        while True:
            state = flow_run.state
            if state and state.is_final():
                return flow_run, True
            begun = state is not None and not (state.is_scheduled() or state.is_pending())
            now = begun, await asyncio.to_thread(watch.latest)
            if now != seen:
                seen, since = now, time.monotonic()
            timeout_s = silence_s if begun else self._timeouts.start_s
            if state and state.is_scheduled() and any(idle.deployment != slot.deployment for idle in self._idle):
                timeout_s = min(timeout_s, TAKE_OVER_S)
            late = time.monotonic() - since >= timeout_s
            if late and state and state.is_scheduled() and timeout_s == self._timeouts.start_s:
                late = not await self._is_served(flow_run, client)
                since = time.monotonic()
            if self._stopped.is_set() or late:
                await asyncio.to_thread(shard_files.withdraw, store, name)
                reason = f"No heartbeat for {timeout_s:.0f} s: its process or its host is gone."
                lost = begun and not self._stopped.is_set()
                return await self._end(flow_run, Crashed(message=reason) if lost else Cancelling(), client), begun
            await asyncio.sleep(POLL_S)
            asked = time.monotonic()
            flow_run = await through_outages(partial(client.read_flow_run, flow_run.id))
            since += time.monotonic() - asked  # the time in which the server was away does not count

    async def _is_served(self, flow_run: FlowRun, client: PrefectClient) -> bool:
        """Whether the pool of a flow run has a worker online: then the flow run waits for its turn."""
        pool = flow_run.work_pool_name or ""
        workers = await through_outages(partial(client.read_workers_for_work_pool, pool))
        online = any(worker.status == WorkerStatus.ONLINE for worker in workers)
        if online:
            _log.warning("The pool %s is busy: its workers are online, and %s waits for its turn.", pool, flow_run.name)
        return online

    async def _end(self, flow_run: FlowRun, state: State[Any], client: PrefectClient) -> FlowRun:
        """Give a flow run up, and wait until its worker has ended it, or does not answer in time."""
        await through_outages(partial(client.set_flow_run_state, flow_run.id, state))
        for _ in range(round(END_TIMEOUT_S / POLL_S)):
            flow_run = await through_outages(partial(client.read_flow_run, flow_run.id))
            if flow_run.state and flow_run.state.is_final():
                return flow_run
            await asyncio.sleep(POLL_S)
        given_up = Cancelled(message="Given up; no worker answered.")
        await through_outages(partial(client.set_flow_run_state, flow_run.id, given_up, force=True))
        return await through_outages(partial(client.read_flow_run, flow_run.id))

    def _check_end(self, flow_run: FlowRun, error: EmberharmonyError | None, shard: Shard, slot: WorkerSlot) -> None:
        """Raise if a shard failed in a way that every host would, or too often."""
        state = flow_run.state
        if error and not error.retryable:
            raise in_context(error, f"{self._stage} failed in {slot.deployment}")
        reason = error or (state and state.message) or f"its flow run ended as {state.name if state else 'unknown'}"
        if shard.attempt >= MAX_ATTEMPTS:
            raise TerminalError(
                f"Chunks {shard.chunks[0]} to {shard.chunks[-1]} of {self._stage} failed {shard.attempt} times, at last in "
                f"{slot.deployment}: {reason}. Run the same command again to go on where it stopped."
            )
        _log.warning("A shard of %s is queued again, after %s in %s.", self._stage, reason, slot.deployment)
