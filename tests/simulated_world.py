"""A simulated world: a clock, a bucket whose calls may fail, be late or lose their answer, and actors that share it.

Each actor is a greenlet, and each call to the bucket is a place where another actor may go on.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from greenlet import greenlet

from emberharmony.errors import EmberharmonyError, TransientError
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.objects import ConditionFailedError
from tests.stores import MemoryObjects

PREFIX = BucketAddress("s3", "lake", "out")
_MAX_CALLS = 4_000
_STEP_S = 0.001
"""Seconds that pass between two actors' turns."""


class Killed(BaseException):
    """Ends the code of an actor that was killed: nothing that it does afterwards has an effect."""


class BrokenLawError(AssertionError):
    """What must hold did not."""


class Player(greenlet):
    """Plays one actor after another."""

    role: Callable[[], greenlet]
    """Plays an actor to its end; returns who goes on then."""

    def run(self) -> None:
        while True:
            self.role().switch()


_idle: list[Player] = []
"""Players whose actors have ended, of any world: a new one costs as much as ten switches."""


@dataclass(eq=False)
class Actor:
    """Code that shares the bucket with others, and can be killed or stopped for a while at any call."""

    name: str
    player: Player
    process: Process
    wakes: float = 0.0
    ended: bool = False


@dataclass(eq=False)
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

    @cached_property
    def together(self) -> float:
        """How likely any of them is."""
        return self.fails + self.answer_lost + self.late + self.slow + self.killed + self.paused


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
        self._deadline = 0.0
        self._awaited = set[Actor | None]()

    def start(self, name: str, work: Callable[[], object], process: Process) -> Actor:
        def role() -> greenlet:
            try:
                work()
            except (Killed, EmberharmonyError) as error:
                if self.log is not None:
                    self.note(name, "ended", repr(error)[:150])
            actor.ended = True
            self.actors.remove(actor)
            self._awaited.discard(actor)
            self.now += _STEP_S
            _idle.append(actor.player)
            return self._next()

        actor = Actor(name, _idle.pop() if _idle else Player(parent=self.main), process, wakes=self.now)
        actor.player.role = role
        self.actors.append(actor)
        return actor

    def run_until(self, deadline: float) -> None:
        """Let the actors go on, one call at a time, until that time or until all have ended."""
        self._run(deadline, {None})

    def run_to_the_end_of(self, actors: Iterable[Actor]) -> None:
        """Let the actors go on, one call at a time, until these have ended."""
        self._run(math.inf, {actor for actor in actors if not actor.ended})

    def _run(self, deadline: float, awaited: set[Actor | None]) -> None:
        self._deadline, self._awaited = deadline, awaited
        while (following := self._next()) is not self.main:
            following.switch()  # comes back when there is nothing left to wait for

    def sleep(self, seconds: float) -> None:
        """Let others go on for so many seconds."""
        actor = self.current
        assert actor is not None
        process, actor.wakes = actor.process, self.now + seconds
        while True:
            self.now += _STEP_S
            following = self._next()
            if following is not actor.player:  # a switch costs more than all else that is done here
                following.switch()
            if process.is_dead:
                raise Killed
            if process.paused_until <= self.now:
                return
            actor.wakes = process.paused_until

    def note(self, name: str, *what: object) -> None:
        """Write a line of the schedule, if somebody reads it."""
        if self.log is not None:
            self.log.append(f"{self.now:9.3f} {name:14} {' '.join(map(str, what))}")

    def _next(self) -> greenlet:
        """Choose who goes on: one of the actors that are awake, or whoever waits for them, if there is no more to wait for."""
        actors, now = self.actors, self.now
        if not actors or not self._awaited or now >= self._deadline:
            return self.main
        able = [actor for actor in actors if actor.wakes <= now]
        if not able:
            self.now = now = min([actor.wakes for actor in actors])
            if now >= self._deadline:
                return self.main
            able = [actor for actor in actors if actor.wakes == now]
        while self.late and self.late[0].at <= now:
            heapq.heappop(self.late).write()
        self.current = able[int(self.random.random() * len(able))]
        return self.current.player


class SimulatedObjects(MemoryObjects):
    """The bucket as one actor sees it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _call(self, name: str, key: str, carry_out: Callable[[str], Any], *, writes: bool = False) -> Any:
        world, actor = self.world, self.world.current
        assert actor is not None
        world.calls += 1
        if world.calls > _MAX_CALLS:
            raise BrokenLawError("the runs do not end")
        faults, chance = world.faults, world.random.random()
        world.sleep(0.01)
        if chance < faults.together:
            self._strike(actor, faults, chance, name, key, lambda: carry_out(key), writes=writes)
        if world.log is not None:
            world.note(actor.name, name, key)
        return carry_out(key)

    def _strike(
        self, actor: Actor, faults: Faults, chance: float, name: str, key: str, carry_out: Callable[[], Any], *, writes: bool
    ) -> None:
        """Let the fault happen that `chance` falls on, if it falls on one."""
        world = self.world
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
                return
            chance -= share

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

        def carry_out(key):
            revision = self.world.bucket.put(key, data, only_if=only_if)
            if key == f"{PREFIX.key}/manifest.json":
                self._note_commit(data)
            return revision

        return self._call("put", key, carry_out, writes=True)

    def _note_commit(self, data: bytes) -> None:
        manifest = json.loads(data)
        commit = manifest["fingerprint"][0], manifest["root"].rpartition("/")[2]
        if self.world.published[-1:] != [commit]:
            self.world.published.append(commit)
        self.world.note("bucket", "published", commit)

    def get(self, key):
        return self._call("get", key, self.world.bucket.get)

    def get_range(self, key, start, stop, *, revision=None):
        return self._call("get", key, lambda key: self.world.bucket.get_range(key, start, stop, revision=revision))

    def info(self, key):
        return self._call("info", key, self.world.bucket.info)

    def list(self, prefix):
        return iter(self._call("list", prefix, lambda prefix: list(self.world.bucket.list(prefix))))

    def folders(self, prefix):
        return self._call("folders", prefix, self.world.bucket.folders)

    def delete(self, keys):
        keys = list(keys)
        if keys:
            self._call("delete", keys[0], lambda _: self.world.bucket.delete(keys), writes=True)
