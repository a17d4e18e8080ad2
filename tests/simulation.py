"""Simulated runs that share a bucket: every call may fail, be late, or lose its answer, by a schedule from a seed.

The runs are the library's own code above the bucket: the store, the lease, the result and the receipts. Only the work of a
chunk is a stand-in of a few bytes. One process tries two hundred interleavings in a second, and a seed always gives the same
one; see `tests/simulated_world.py`:

    python -m tests.simulation 123456
"""

from __future__ import annotations

import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest

from emberharmony.errors import DataError, TransientError
from emberharmony.io import manifest as manifest_module
from emberharmony.io.manifest import Manifest
from emberharmony.io.store import base, object_result, object_store, object_versions
from emberharmony.io.store import lease as lease_module
from emberharmony.io.store.lease import Lease, Timing
from emberharmony.io.store.object_result import ObjectResult
from emberharmony.pipeline import publish as publish_module
from emberharmony.pipeline import receipts as receipts_module
from emberharmony.pipeline.publish import is_committed, publish
from emberharmony.pipeline.receipts import Receipt, Receipts
from emberharmony.pipeline.totals import Totals
from tests.simulated_world import NO_FAULTS, PREFIX, Actor, BrokenLawError, Faults, Process, SimulatedObjects, World
from tests.stored import manifest_of

N_CHUNKS = 2
RUN_NAMES = {text: f"{text * 16}-{N_CHUNKS}-00000000" for text in "ab"}
KEEP = 1
"""Earlier versions that the runs keep."""
PLAN = SimpleNamespace(spec=SimpleNamespace(job=SimpleNamespace(publishes=("features",))))
"""What publishing asks the plan for."""


def text_of(fingerprint: str, chunk: int, flavour: int) -> bytes:
    """The part of a chunk: workers on different hardware make different ones."""
    return f"{fingerprint}{chunk}-{flavour}".encode()


class Job:
    """One job of the simulation: its control process and its workers, by the library's own code."""

    def __init__(self, world: World, fingerprint: str) -> None:
        self.world = world
        self.fingerprint = fingerprint
        self.done = False
        self.refused = False

    def result(self) -> ObjectResult:
        timing = Timing(watch_s=11.0, clock=lambda: self.world.now, sleep=self.world.sleep)
        return ObjectResult(SimulatedObjects(self.world), PREFIX, timing=timing)

    def control(self, process: Process, *, overwrite: bool) -> None:
        result = self.result()
        if result.find(self.fingerprint * 16, overwrite=overwrite) is not None:
            self.done = True
            return
        with result.lease():
            if result.find(self.fingerprint * 16, overwrite=overwrite) is None:
                store = result.stage(RUN_NAMES[self.fingerprint], discard=overwrite)
                chunks = [SimpleNamespace(index=i, n_rows=1) for i in range(N_CHUNKS)]
                receipts = Receipts(store, chunks)
                sink = SimpleNamespace(publish=no_sink, report=False)
                run = SimpleNamespace(store=store, receipts=receipts, result=result, sink=sink, plan=PLAN)
                if not is_committed(run):
                    receipts.drop_damaged()
                self._work(receipts, process)
                run.fingerprint = self.fingerprint * 16
                publish(run, ["featurize"])
        self.done = True

    def _work(self, receipts: Receipts, process: Process) -> None:
        """Hand the pending chunks to two workers, which may both get one."""
        if is_committed(SimpleNamespace(store=receipts.store)):
            return
        for _ in range(20):
            pending = receipts.missing("featurize")
            if not pending:
                return
            workers = [self._start_worker(receipts.store, chunk.index, process) for chunk in [*pending, pending[0]]]
            self.world.sleep(1.0)
            while any(not worker.ended and not worker.process.is_dead for worker in workers):
                if self.world.random.random() < 0.1:
                    break  # of what is late, another does the work
                self.world.sleep(1.0)
        raise TransientError("the work does not end")

    def _start_worker(self, store: Any, chunk: int, process: Process) -> Actor:
        own = process if self.world.random.random() < 0.5 else Process(process.number)
        flavour = self.world.random.randrange(3)

        def work() -> None:
            receipts = Receipts(type(store)(SimulatedObjects(self.world), store.prefix), [])
            if receipts.find("featurize", chunk) is None:
                part = receipts.store.keep(f"features/split=train/part-{chunk:05}", text_of(self.fingerprint, chunk, flavour))
                receipts.commit(Receipt("featurize", chunk, {}, (part,), "numpy", 0.0))

        return self.world.start(f"worker {self.fingerprint}{chunk}", work, own)


def no_sink(*_: Any, **__: Any) -> None:
    """A sink with nothing of its own to publish."""


def manifest_from_totals(run: Any, totals: Totals) -> Manifest:
    created = run.store.objects.world.random.randrange(10_000)
    return manifest_of(run.fingerprint, tuple(totals.files), created=created, keep=KEEP)


class Reader:
    """Opens the result again and again, and reads all of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = 0
        self.stopped = False

    def work(self) -> None:
        seen = -1
        while not self.stopped:
            if seen != self.world.bucket.n_writes:
                seen = self.world.bucket.n_writes
                with suppress(TransientError):
                    self._read()
            self.world.sleep(self.world.random.choice([0.1, 1.0, 10.0]))

    def _read(self) -> None:
        before = len(self.world.published)
        result = ObjectResult(SimulatedObjects(self.world), PREFIX)
        try:
            snapshot = result.snapshot()
        except DataError as error:
            if before:
                raise BrokenLawError(f"the result is gone: {error}") from error
            return
        try:
            texts = [snapshot.get(file).decode() for file in snapshot.manifest.files]
        except DataError as error:
            if len(self.world.published) - before < 2:  # one earlier version is kept
                raise BrokenLawError(f"a version was removed too early: {error}") from error
            return
        check_content(snapshot.manifest, texts)
        self.seen += 1


def check_content(manifest: Manifest, texts: list[str]) -> None:
    """One part of every chunk, all of the run that the manifest is of."""
    expected = [f"{manifest.fingerprint[0]}{chunk}" for chunk in range(N_CHUNKS)]
    if [text.partition("-")[0] for text in texts] != expected:
        raise BrokenLawError(f"the manifest of {manifest.fingerprint} names {texts}")


class Serial:
    """A pool of no threads."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


@contextmanager
def simulated(world: World) -> Iterator[None]:
    """Let the library's code take its time, threads and random names from the world, and write JSON in a quick way."""

    def renewed(lease: Lease) -> Callable[[], None]:
        actor, ended = world.current, []
        assert actor is not None

        def wait(seconds: float) -> bool:
            world.sleep(seconds)
            return bool(ended)

        world.start(f"lease of {actor.name}", lambda: lease_module.keep_renewing(lease, wait), actor.process)
        return lambda: ended.append(True)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lease_module, "_renewed_in_background", renewed)
        patched.setattr(lease_module, "_machine", str)
        patched.setattr(uuid, "uuid4", lambda: UUID(int=world.random.getrandbits(128)))
        patched.setattr(object_versions, "_now", lambda: f"{world.now:015.3f}-{world.calls:06}")
        patched.setattr(receipts_module, "ThreadPoolExecutor", Serial)
        patched.setattr(object_store.ObjectStore, "readers", 1)
        patched.setattr(publish_module, "manifest_of", manifest_from_totals)
        patched.setattr(json, "loads", orjson.loads)
        patched.setattr(json, "dumps", lambda data: orjson.dumps(data).decode())
        for module in (base, object_result, object_versions):
            patched.setattr(module, "as_json", orjson.dumps)
        patched.setattr(manifest_module, "asdict", lambda record: record)  # orjson writes a dataclass as its fields
        patched.setattr(Receipt, "to_json", lambda receipt: orjson.dumps(receipt))
        yield


def simulate(seed: int) -> World:
    """Play one schedule; returns its world.

    Raises
    ------
    BrokenLawError
        If a reader saw a mix or nothing, or what is published in the end is not the work of one run.
    """
    world = World(seed)
    with simulated(world):
        try:
            _play(world)
        except BrokenLawError as error:
            raise BrokenLawError(f"seed {seed}: {error}; replay it by: python -m tests.simulation {seed}") from error
    return world


def _play(world: World) -> None:
    choose = world.random.choice
    world.faults = Faults(
        fails=choose([0.0, 0.0, 0.01, 0.03]),
        answer_lost=choose([0.0, 0.0, 0.01, 0.05]),
        late=choose([0.0, 0.0, 0.01, 0.05]),
        slow=choose([0.0, 0.0, 0.0, 0.02]),
        killed=choose([0.0, 0.0, 0.005, 0.02]),
        paused=choose([0.0, 0.02, 0.05]),
    )
    jobs = {text: Job(world, text) for text in "ab"}
    reader = Reader(world)
    world.start("reader", reader.work, Process(-1))
    for number in range(3):
        # One or two control processes at a time, of the same job or of both; the earlier ones may be dead or only paused.
        for _ in range(choose([1, 2, 2])):
            job, process = jobs[choose("ab")], Process(number)
            overwrite = world.random.random() < 0.7
            world.start(
                f"run {job.fingerprint}{number}",
                lambda job=job, process=process, overwrite=overwrite: job.control(process, overwrite=overwrite),
                process,
            )
        world.run_until(world.now + choose([0.5, 5.0, 200.0]))
    world.faults = NO_FAULTS
    others = [actor for actor in world.actors if actor.name != "reader"]
    if choose([True, False]):
        for actor in others:
            actor.process.is_dead = True
    world.run_to_the_end_of(others)
    last = jobs[choose("ab")]
    last.done = False
    commits = len(world.published)
    for attempt in range(3):
        process = Process(100 + attempt)
        run = world.start(f"last {last.fingerprint}", lambda process=process: last.control(process, overwrite=True), process)
        world.run_to_the_end_of([run])
        if last.done:
            break
    if not last.done:
        raise BrokenLawError("the last run does not publish")
    reader.stopped = True
    for actor in world.actors:
        actor.process.is_dead = actor.name != "reader"
    world.run_to_the_end_of(world.actors)
    _check_end(world, last, commits)


def _check_end(world: World, last: Job, commits: int) -> None:
    if not world.published[commits:]:
        raise BrokenLawError("a run with overwrite has published nothing")
    result = ObjectResult(world.bucket, PREFIX)
    snapshot = result.snapshot()
    try:
        texts = [snapshot.get(file).decode() for file in snapshot.manifest.files]
    except DataError as error:
        raise BrokenLawError(f"what is published in the end is not there: {error}") from error
    check_content(snapshot.manifest, texts)


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    world = World(int(sys.argv[1]))
    world.log = []
    with simulated(world):
        try:
            _play(world)
            outcome = "all laws hold"
        except BrokenLawError as error:
            outcome = f"broken: {error}"
    print(*world.log, outcome, sep="\n")


if __name__ == "__main__":
    main()
