"""Laws 3 and 8 on a bucket whose calls fail, are late, or lose their answers, while runs are killed, paused and started again.

See `tests/simulation.py`. A seed that fails is printed, and replayed by ``python -m tests.simulation SEED``.
"""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from emberharmony.io.manifest import MANIFEST
from emberharmony.io.store.object_result import ObjectResult
from emberharmony.io.store.object_snapshot import ObjectSnapshot
from emberharmony.io.store.object_versions import ObjectVersions
from tests import simulation
from tests.simulation import BrokenLawError, simulate

N_SCHEDULES = 10_000
N_PARTS = 5
"""Parts of the schedules, for the processes that run the tests."""


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Thousands of schedules warn of thousands of faults."""
    caplog.set_level(logging.CRITICAL, "emberharmony")


@pytest.mark.parametrize("part", range(N_PARTS))
def test_the_laws_hold_under_every_schedule(part):
    seen = Counter()

    for seed in range(part, N_SCHEDULES, N_PARTS):
        world = simulate(seed)
        seen.update(commits=len(world.published), schedules=1)
    assert seen["schedules"] == N_SCHEDULES // N_PARTS
    assert seen["commits"] > 1.5 * seen["schedules"]  # most schedules publish more than once


def write_unconditionally(self, content, replaces):
    self._store.put(MANIFEST, content)
    return True


def remove_at_once(self, name):
    self.remove(name)


def key_of_the_current_version(self, file):
    return ObjectResult(self._objects, self._prefix).published._key(file)


BREAKS = {
    "a commit has no condition": (ObjectResult, "_written", write_unconditionally),
    "a run is removed instead of abandoned": (ObjectVersions, "abandon", remove_at_once),
    "a reader takes files from the current version": (ObjectSnapshot, "_key", key_of_the_current_version),
    "no earlier version is kept": (simulation, "KEEP", 0),
}
"""What makes the protocol safe, taken away: an object, its attribute, and what takes its place."""


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_protocol_is_found(monkeypatch, name):
    monkeypatch.setattr(*BREAKS[name])

    def play():
        for seed in range(1000):
            simulate(seed)

    with pytest.raises(BrokenLawError, match=r"seed \d+: .*; replay it by: python -m tests\.simulation \d+"):
        play()
