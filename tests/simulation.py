"""A simulated bucket and the runs that share it: every call may fail, be late, or lose its answer, by a schedule from a seed.

The runs are the library's own code above the bucket: the store, the lease, the result and the receipts. Only the work of a
chunk is a stand-in of a few bytes. Each actor is a greenlet, and each call to the bucket is a place where another actor may go
on; so one process tries a hundred interleavings in a second, and a seed always gives the same one:

    python -m tests.simulation 123456
"""

from __future__ import annotations

import heapq
import json
import logging
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from greenlet import greenlet

from emberharmony.errors import DamagedError, DataError, EmberharmonyError, TransientError
from emberharmony.io.manifest import Manifest
from emberharmony.io.store import base, object_result, object_versions
from emberharmony.io.store import lease as lease_module
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.lease import Lease, Timing
from emberharmony.io.store.object_result import ObjectResult
from emberharmony.io.store.objects import ConditionFailedError
from emberharmony.pipeline import publish as publish_module
from emberharmony.pipeline import receipts as receipts_module
from emberharmony.pipeline.publish import is_committed, publish
from emberharmony.pipeline.receipts import Receipt, Receipts
from tests.stored import manifest_of
from tests.stores import MemoryObjects

PREFIX = BucketAddress("s3", "lake", "out")
N_CHUNKS = 2
RUN_NAMES = {text: f"{text * 16}-{N_CHUNKS}-00000000" for text in "ab"}
KEEP = 1
"""Earlier versions that the runs keep."""
_MAX_CALLS = 4_000


class Killed(BaseException):
    """Ends the code of an actor that was killed: nothing that it does afterwards has an effect."""


class BrokenLawError(AssertionError):
    """What must hold did not."""


@dataclass
class Actor:
    """Code that shares the bucket with others, and can be killed or stopped for a while at any call."""

    name: str
    work: Callable[[], object]
    glet: greenlet
    process: Process
    wakes: float = 0.0
    ended: bool = False


@dataclass
class Process:
    """Actors that die together."""

    number: int
    is_dead: bool = False
    paused_until: float = 0.0


@dataclass(order=True)
class Late:
    """A write whose sender has given up, and which is carried out later."""

    at: float
    number: int
    write: Callable[[], object] = field(compare=False)


@dataclass(frozen=True)
class Faults:
    """How likely each fault is, at each call."""

    fails: float = 0.0
    answer_lost: float = 0.0
    late: float = 0.0
    slow: float = 0.0
    killed: float = 0.0
    paused: float = 0.0


NO_FAULTS = Faults()


class CountedObjects(MemoryObjects):
    """A bucket that counts its writes."""

    n_writes = 0

    def put(self, key, content, *, only_if=None):
        self.n_writes += 1
        return super().put(key, content, only_if=only_if)

    def delete(self, keys):
        self.n_writes += 1
        super().delete(keys)


class World:
    """The clock, the bucket and the actors of one schedule."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.bucket = CountedObjects()
        self.actors: list[Actor] = []
        self.late: list[Late] = []
        self.faults = NO_FAULTS
        self.calls = 0
        self.main = greenlet.getcurrent()
        self.current: Actor | None = None
        self.log: list[str] | None = None
        self.published: list[tuple[str, str]] = []  # fingerprint and version of each commit, in order

    def start(self, name: str, work: Callable[[], object], process: Process) -> Actor:
        def body() -> None:
            try:
                work()
            except (Killed, EmberharmonyError) as error:
                self.note(name, "ended", repr(error)[:150])
            actor.ended = True

        actor = Actor(name, work, greenlet(body, parent=self.main), process, wakes=self.now)
        self.actors.append(actor)
        return actor

    def run(self, until: Callable[[], bool]) -> None:
        """Let the actors go on, one call at a time, until the condition holds."""
        while not until():
            self.actors = [actor for actor in self.actors if not actor.ended]
            if not self.actors:
                return
            able = [actor for actor in self.actors if actor.wakes <= self.now]
            if not able:
                self.now = min([actor.wakes for actor in self.actors])
                continue
            while self.late and self.late[0].at <= self.now:
                heapq.heappop(self.late).write()
            self.current = able[int(self.random.random() * len(able))]
            self.current.glet.switch()
            self.now += 0.001

    def sleep(self, seconds: float) -> None:
        """Let others go on for so many seconds."""
        actor = self.current
        assert actor is not None
        actor.wakes = self.now + seconds
        self.main.switch()
        while actor.process.paused_until > self.now and not actor.process.is_dead:
            actor.wakes = actor.process.paused_until
            self.main.switch()
        if actor.process.is_dead:
            raise Killed

    def note(self, name: str, *what: object) -> None:
        """Write a line of the schedule, if somebody reads it."""
        if self.log is not None:
            self.log.append(f"{self.now:9.3f} {name:14} {' '.join(map(str, what))}")


class SimulatedObjects(MemoryObjects):
    """The bucket as one actor sees it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _call(self, name: str, key: str, carry_out: Callable[[], Any], *, writes: bool = False) -> Any:
        world, actor = self.world, self.world.current
        assert actor is not None
        world.calls += 1
        if world.calls > _MAX_CALLS:
            raise BrokenLawError("the runs do not end")
        faults, chance = world.faults, world.random.random()
        world.sleep(0.01)
        for share, what, fault in (
            (faults.killed, "killed", self._kill),
            (faults.paused, "paused", self._pause),
            (faults.fails, "fails", self._fail),
            (faults.answer_lost if writes else 0, "answer lost", lambda: self._lose_answer(carry_out)),
            (faults.late if writes else 0, "late", lambda: self._be_late(carry_out)),
            (faults.slow, "slow", lambda: world.sleep(world.random.choice([1.0, 30.0]))),
        ):
            if chance < share:
                world.note(actor.name, name, key, what)
                fault()
                break
            chance -= share
        world.note(actor.name, name, key)
        return carry_out()

    def _kill(self) -> None:
        actor = self.world.current
        assert actor is not None
        actor.process.is_dead = True
        raise Killed

    def _pause(self) -> None:
        actor = self.world.current
        assert actor is not None
        actor.process.paused_until = self.world.now + self.world.random.choice([5.0, 60.0, 150.0])
        self.world.sleep(0.01)

    def _fail(self) -> None:
        raise TransientError("failed")

    def _lose_answer(self, carry_out: Callable[[], Any]) -> None:
        self._quietly(carry_out)
        raise TransientError("no answer")

    def _be_late(self, carry_out: Callable[[], Any]) -> None:
        world = self.world
        at = world.now + world.random.choice([0.05, 1.0, 20.0])
        heapq.heappush(world.late, Late(at, world.calls, lambda: self._quietly(carry_out)))
        raise TransientError("no answer yet")

    @staticmethod
    def _quietly(carry_out: Callable[[], Any]) -> None:
        with suppress(ConditionFailedError):
            carry_out()

    def put(self, key, content, *, only_if=None):
        data = bytes(content) if isinstance(content, bytes | memoryview) else content.read()

        def carry_out():
            revision = self.world.bucket.put(key, data, only_if=only_if)
            if key == f"{PREFIX.key}/manifest.json":
                self._note_commit(data)
            return revision

        return self._call("put", key, carry_out, writes=True)

    def _note_commit(self, data: bytes) -> None:
        manifest = Manifest.from_json(json.loads(data))
        commit = manifest.fingerprint[0], manifest.root.rpartition("/")[2]
        if self.world.published[-1:] != [commit]:
            self.world.published.append(commit)
        self.world.note("bucket", "published", commit)

    def get(self, key):
        return self._call("get", key, lambda: self.world.bucket.get(key))

    def get_range(self, key, start, stop, *, revision=None):
        return self._call("get", key, lambda: self.world.bucket.get_range(key, start, stop, revision=revision))

    def info(self, key):
        return self._call("info", key, lambda: self.world.bucket.info(key))

    def list(self, prefix):
        return iter(self._call("list", prefix, lambda: list(self.world.bucket.list(prefix))))

    def folders(self, prefix):
        return self._call("folders", prefix, lambda: self.world.bucket.folders(prefix))

    def delete(self, keys):
        keys = list(keys)
        if keys:
            self._call("delete", keys[0], lambda: self.world.bucket.delete(keys), writes=True)


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
                chunks = [SimpleNamespace(index=i) for i in range(N_CHUNKS)]
                receipts = Receipts(store, chunks)
                run = SimpleNamespace(store=store, receipts=receipts, result=result, sink=SimpleNamespace(publish=no_sink))
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


def compact_json(content: Any) -> bytes:
    """JSON on one line, which Python writes ten times as fast."""
    return json.dumps(content).encode()


def manifest_from_receipts(run: Any, stages: list[str]) -> Manifest:
    receipts = [run.receipts.find(stages[0], chunk) for chunk in range(N_CHUNKS)]
    if None in receipts:
        raise DamagedError("a receipt is gone")
    files = tuple(file for receipt in receipts for file in receipt.files)
    return manifest_of(run.fingerprint, files, created=run.store.objects.world.random.randrange(10_000), keep=KEEP)


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


@contextmanager
def simulated(world: World) -> Iterator[None]:
    """Let the library's code take its time, threads and random names from the world."""

    def renewed(lease: Lease) -> Callable[[], None]:
        actor, ended = world.current, []
        assert actor is not None

        def wait(seconds: float) -> bool:
            world.sleep(seconds)
            return bool(ended)

        world.start(f"lease of {actor.name}", lambda: lease_module.keep_renewing(lease, wait), actor.process)
        return lambda: ended.append(True)

    class Serial:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> Serial:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        map = staticmethod(map)

    def new_name() -> UUID:
        return UUID(int=world.random.getrandbits(128))

    with (
        patch.object(lease_module, "_renewed_in_background", renewed),
        patch.object(lease_module, "_machine", lambda: ""),
        patch("uuid.uuid4", new_name),
        patch.object(object_versions, "_now", lambda: f"{world.now:015.3f}-{world.calls:06}"),
        patch.object(receipts_module, "ThreadPoolExecutor", Serial),
        patch.object(publish_module, "manifest_of", manifest_from_receipts),
        patch.object(base, "as_json", compact_json),
        patch.object(object_result, "as_json", compact_json),
        patch.object(object_versions, "as_json", compact_json),
    ):
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
        deadline = world.now + choose([0.5, 5.0, 200.0])
        world.run(lambda deadline=deadline: world.now >= deadline)
    world.faults = NO_FAULTS
    others = [actor for actor in world.actors if actor.name != "reader"]
    if choose([True, False]):
        for actor in others:
            actor.process.is_dead = True
    world.run(lambda: all(actor.ended for actor in others))
    last = jobs[choose("ab")]
    last.done = False
    commits = len(world.published)
    for attempt in range(3):
        process = Process(100 + attempt)
        run = world.start(f"last {last.fingerprint}", lambda process=process: last.control(process, overwrite=True), process)
        world.run(lambda run=run: run.ended)
        if last.done:
            break
    if not last.done:
        raise BrokenLawError("the last run does not publish")
    reader.stopped = True
    for actor in world.actors:
        actor.process.is_dead = actor.name != "reader"
    world.run(lambda: all(actor.ended for actor in world.actors))
    _check_end(world, last, commits)


def _check_end(world: World, last: Job, commits: int) -> None:
    if not world.published[commits:]:
        raise BrokenLawError("a run with overwrite has published nothing")
    result = ObjectResult(world.bucket, PREFIX)
    snapshot = result.snapshot()
    check_content(snapshot.manifest, [snapshot.get(file).decode() for file in snapshot.manifest.files])


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
