"""Runs and versions below a prefix: which may be resumed, which are dead, and in which order they are removed."""

from __future__ import annotations

import pytest

from emberharmony.io.manifest import MANIFEST
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import as_json
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.object_versions import ABANDONED, PUBLISHED, ObjectVersions
from tests.stores import MemoryObjects

FIRST, SECOND = (f"{digit * 16}-4-00000000-00000000" for digit in "12")


class Recorded(MemoryObjects):
    """A bucket that notes what was removed, in order."""

    def __init__(self):
        super().__init__()
        self.removed = []

    def delete(self, keys):
        self.removed += keys
        super().delete(keys)


@pytest.fixture
def versions():
    return ObjectVersions(Recorded(), BucketAddress("s3", "lake", "out"))


def begin(versions, *names):
    for name in names:
        versions.version(name).put("run.json", b"{}")


def point_to(versions, name, serial=0):
    manifest = {"root": f".versions/{name}", "serial": serial}
    ObjectStore(versions.objects, versions.prefix).put(MANIFEST, as_json(manifest))


def test_an_abandoned_run_is_dead_when_the_manifest_is_another_one(versions):
    begin(versions, FIRST, SECOND)
    point_to(versions, "x")
    versions.abandon(FIRST)
    assert (versions.look().resumable, versions.look().unfinished, versions.look().dead) == ([SECOND], [FIRST, SECOND], [])
    point_to(versions, "y")
    assert versions.look().dead == [FIRST]


def test_a_run_that_was_committed_after_all_is_not_dead(versions):
    begin(versions, FIRST)
    versions.abandon(FIRST)
    assert versions.look().dead == []  # nothing is published: it may still be the first
    point_to(versions, FIRST)
    assert versions.look().dead == []
    versions.note_published(versions.current())
    point_to(versions, SECOND)
    assert (versions.look().dead, versions.look().earlier) == ([], [FIRST])


def test_runs_that_must_not_be_committed_are_too_late_at_once(versions):
    begin(versions, FIRST, SECOND)
    point_to(versions, "x", serial=7)
    versions.abandon_all([FIRST])
    assert (versions.look().dead, versions.look().resumable) == ([FIRST], [SECOND])
    assert versions.current() == as_json({"root": ".versions/x", "serial": 8})


def test_what_marks_a_run_is_removed_last(versions):
    """A removal that is interrupted leaves nothing that could be resumed or published."""
    begin(versions, FIRST)
    for name in (MANIFEST, ABANDONED, PUBLISHED, "features/part"):
        versions.version(FIRST).put(name, b"{}")
    versions.remove(FIRST)
    names = [key.partition(f"{FIRST}/")[2] for key in versions.objects.removed]
    assert names == [MANIFEST, "features/part", "run.json", ABANDONED, PUBLISHED]
    assert versions.look().unfinished == []


def test_folders_of_others_are_left_alone(versions):
    begin(versions, FIRST)
    versions.objects.put("out/.versions/notes/readme.txt", b"")
    assert versions.look().unfinished == [FIRST]


def test_a_look_is_of_one_state_of_the_manifest(versions, monkeypatch):
    begin(versions, FIRST, SECOND)
    point_to(versions, FIRST)
    get = MemoryObjects.get

    def replaced_meanwhile(objects, key):
        found = get(objects, key)
        if key.endswith(f"{FIRST}/{PUBLISHED}"):
            monkeypatch.delattr(Recorded, "get")
            versions.note_published(versions.current())
            point_to(versions, SECOND)
        return found

    monkeypatch.setattr(Recorded, "get", replaced_meanwhile, raising=False)
    look = versions.look()
    assert (look.current_name, look.unfinished, look.earlier) == (SECOND, [], [FIRST])
