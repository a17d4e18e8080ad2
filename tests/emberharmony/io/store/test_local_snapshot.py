"""A snapshot is one whole result: at any step of a commit, and after it, as long as its version is kept."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from emberharmony.errors import DataError, TransientError
from emberharmony.io.store import local_commit, local_snapshot
from emberharmony.io.store.local_snapshot import LocalSnapshot, open_snapshot
from emberharmony.io.store.local_versions import kept_versions, name_of
from emberharmony.io.store.opening import result_at
from tests.stored import publish_by_hand, stage_by_hand


def texts(snapshot: LocalSnapshot) -> set[str]:
    """What the files say, and which run their manifest is of."""
    return {snapshot.manifest.fingerprint, *(snapshot.get(file).decode() for file in snapshot.manifest.files)}


def test_a_snapshot_reads_its_version_until_that_is_removed(tmp_path):
    publish_by_hand(tmp_path, "first")
    snapshot = open_snapshot(tmp_path)
    publish_by_hand(tmp_path, "second")
    assert texts(snapshot) == {"first"}
    assert texts(open_snapshot(tmp_path)) == {"second"}
    publish_by_hand(tmp_path, "third")
    with pytest.raises(DataError, match=rf"Version {snapshot.version} of {tmp_path} was removed while it was read"):
        texts(snapshot)


def test_a_version_is_opened_by_its_name(tmp_path):
    names = []
    for text in ("first", "second", "third"):
        publish_by_hand(tmp_path, text, keep=2)
        names.append(name_of(tmp_path))
    for text, name in zip(("first", "second", "third"), names, strict=True):
        snapshot = open_snapshot(tmp_path, name)
        assert texts(snapshot) == {text}
        assert snapshot.version == name
    with pytest.raises(DataError, match=r"has no version '20261128'.* `emberharmony show` lists them"):
        open_snapshot(tmp_path, "20261128")


@pytest.mark.parametrize("other", [None, "features", "state"], ids=["both have all", "no features", "no state"])
@pytest.mark.parametrize("removed_from", ["old", "new"])
def test_at_any_step_of_a_commit(tmp_path, monkeypatch, other, removed_from):
    """One of the two results may lack a folder."""

    def publish(text, *, without):
        run, manifest = stage_by_hand(tmp_path, text)
        files = tuple(file for file in manifest.files if not file.name.startswith(f"{without}/"))
        manifest = local_commit.Manifest(**{**vars(manifest), "files": files})
        run.write_json("manifest.json", manifest.to_json())
        result.commit(run, manifest)
        result.tidy()

    result, seen = result_at(tmp_path), []

    def looking(change):
        def changes(*args, **kwargs):
            seen.append(texts(open_snapshot(tmp_path)))
            change(*args, **kwargs)
            seen.append(texts(open_snapshot(tmp_path)))

        return changes

    publish("old", without=other if removed_from == "old" else None)
    earlier = open_snapshot(tmp_path)
    for name in ("exchange", "_swap", "_keep_foreign"):
        monkeypatch.setattr(local_commit, name, looking(getattr(local_commit, name)))
    for name in ("rename", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, looking(getattr(os, name)))
    publish("new", without=other if removed_from == "new" else None)
    monkeypatch.undo()
    assert {*map(frozenset, seen)} == {frozenset({"old"}), frozenset({"new"})}
    assert seen == sorted(seen, key=lambda found: found == {"new"}), "the old one until the new one is there"
    assert texts(earlier) == {"old"}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_after_a_commit_that_was_killed(tmp_path, monkeypatch, number):
    publish_by_hand(tmp_path, "old")
    calls, swap = [], local_commit._swap

    def dying(*args):
        calls.append(args)
        if len(calls) == number:
            raise KeyboardInterrupt
        swap(*args)

    monkeypatch.setattr(local_commit, "_swap", dying)
    with pytest.raises(KeyboardInterrupt):
        publish_by_hand(tmp_path, "new")
    monkeypatch.undo()
    held = open_snapshot(tmp_path)
    assert texts(held) == {"old"}
    result_at(tmp_path).recover(fingerprint="")
    assert texts(held) == texts(open_snapshot(tmp_path)) == {"old"}


def test_a_result_that_changes_while_it_is_opened_is_opened_again(tmp_path, monkeypatch):
    publish_by_hand(tmp_path, "first")
    places, left = local_snapshot._places, ["second", "third"]

    def disturbed(sink):
        found = places(sink)
        if left:
            publish_by_hand(tmp_path, left.pop(0))
        return found

    monkeypatch.setattr(local_snapshot, "_places", disturbed)
    assert texts(open_snapshot(tmp_path)) == {"third"}


def test_a_result_that_changes_all_the_time_is_not_waited_for(tmp_path, monkeypatch):
    publish_by_hand(tmp_path, "first")
    monkeypatch.setattr(local_snapshot, "_open_published", lambda sink: None)
    with pytest.raises(TransientError, match="is replaced again and again"):
        open_snapshot(tmp_path)


def test_a_copy_in_another_process_reads_the_same_version(tmp_path):
    publish_by_hand(tmp_path, "first")
    snapshot = open_snapshot(tmp_path)
    assert texts(pickle.loads(pickle.dumps(snapshot))) == {"first"}
    publish_by_hand(tmp_path, "second")
    assert texts(pickle.loads(pickle.dumps(snapshot))) == {"first"}


def test_a_result_that_was_copied_elsewhere(tmp_path):
    publish_by_hand(tmp_path / "here", "first")
    publish_by_hand(tmp_path / "here", "second")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    (kept,) = kept_versions(tmp_path / "there")
    assert texts(open_snapshot(tmp_path / "there")) == {"second"}
    assert texts(open_snapshot(tmp_path / "there", kept.name)) == {"first"}


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("shorter or longer")])
def test_a_damaged_file_is_named(tmp_path, damage):
    publish_by_hand(tmp_path, "first")
    damage(tmp_path / "features/part")
    with pytest.raises(DataError, match=r"features/part is missing or damaged in version .* Publish again"):
        texts(open_snapshot(tmp_path))


@pytest.mark.parametrize("version", [None, "20261128T031500Z-0123abcd"])
def test_nothing_is_published(tmp_path, version):
    with pytest.raises(DataError, match="Nothing is published" if version is None else "It has none"):
        open_snapshot(tmp_path / "nowhere", version)
    assert not (tmp_path / "nowhere").exists()


def open_below(folder):
    """What this process has open below a folder; other threads of it come and go with files of their own."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was that of the listing
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells what is open")
def test_folders_are_closed_with_their_snapshot(tmp_path):
    publish_by_hand(tmp_path, "first")
    snapshot = open_snapshot(tmp_path)
    assert texts(snapshot) == {"first"}
    assert open_below(tmp_path)
    del snapshot
    gc.collect()
    assert open_below(tmp_path) == []
