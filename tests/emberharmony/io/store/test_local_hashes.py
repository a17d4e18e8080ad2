"""Hashes of files that this process has written: remembered while nobody touches them, never after that."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from emberharmony.io.store import local_hashes
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.local_hashes import WrittenHashes, file_hash

CONTENT = b"the rows of a chunk" * 100


@pytest.fixture
def hashed(monkeypatch):
    """The paths whose content was hashed."""
    paths = []

    def counted(path):
        paths.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(local_hashes, "file_hash", counted)
    return paths


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(7)
        file.write(b"!")


def flip_and_set_the_time_back(path: Path) -> None:
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(b"?" + path.read_bytes()[1:])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def test_what_was_written_is_not_read_again(tmp_path, hashed):
    store = LocalStore(tmp_path)
    record = store.keep("features/part.parquet", CONTENT)
    assert store.holds(record)
    assert store.sha256(record) == hashlib.sha256(CONTENT).hexdigest()
    assert not hashed
    assert LocalStore(tmp_path).holds(record)  # the process remembers, not the store
    assert not hashed


@pytest.mark.parametrize("damage", [flip, flip_and_set_the_time_back, replace])
def test_a_change_of_the_same_size_is_found(tmp_path, damage):
    store = LocalStore(tmp_path)
    record = store.keep("part", CONTENT)
    assert store.holds(record)
    time.sleep(0.02)  # older kernels stamp files with the time of their last tick
    damage(store.path(record))
    assert store.path(record).stat().st_size == record.n_bytes
    assert not store.holds(record)
    assert store.sha256(record) == hashlib.sha256(store.path(record).read_bytes()).hexdigest()


def test_a_file_that_was_moved_is_hashed(tmp_path, hashed):
    store = LocalStore(tmp_path)
    record = store.keep("part", CONTENT)
    time.sleep(0.02)
    store.path(record).replace(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").replace(store.path(record))
    assert store.holds(record)
    assert hashed == [store.path(record).name]


def test_a_file_that_another_writer_put_there_is_hashed(tmp_path, hashed):
    """Two writers of the same content write the same name; only the hash of one's own file is known."""
    path, own = tmp_path / "part", WrittenHashes()
    path.write_bytes(CONTENT)
    own.remember(path, "of another file", inode=path.stat().st_ino + 1)
    assert own.hash_of(path) == hashlib.sha256(CONTENT).hexdigest()
    own.remember(path, "of this one", inode=path.stat().st_ino)
    assert own.hash_of(path) == "of this one"
    assert hashed == ["part"]


def test_of_too_many_files_the_newest_are_remembered(tmp_path, hashed):
    own = WrittenHashes(most=2)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode())
        own.remember(tmp_path / name, name, inode=(tmp_path / name).stat().st_ino)
    assert [own.hash_of(tmp_path / name) for name in "bc"] == ["b", "c"]
    assert not hashed
    assert own.hash_of(tmp_path / "a") == hashlib.sha256(b"a").hexdigest()


def test_hash_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert file_hash(tmp_path / "file") == hashlib.sha256(CONTENT).hexdigest()
