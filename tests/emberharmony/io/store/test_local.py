"""Files appear whole or not at all."""

import errno
import hashlib
import os
import shutil
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from emberharmony.errors import DamagedError, TerminalError, TransientError
from emberharmony.io.store.arrays import as_safetensors
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.local import LocalStore, sync_each


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_written_whole_or_not_at_all(tmp_path):
    store = LocalStore(tmp_path)
    store.put("a/b.bin", b"old")

    def interrupted():
        with store.keeping("a/b.bin") as file:
            file.write(b"half of the n")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        interrupted()
    assert store.get("a/b.bin") == b"old"
    assert files(tmp_path) == ["a/b.bin"]


def test_a_record_tells_size_and_hash(tmp_path):
    store = LocalStore(tmp_path)
    with store.keeping("a/x.bin") as file:
        file.write(b"one")
        file.write(memoryview(b"two"))
    digest = hashlib.sha256(b"onetwo").hexdigest()
    assert file.record == FileRecord("a/x.bin", 6, digest)
    assert store.get(file.record) == b"onetwo"
    assert files(tmp_path) == [f"a/x-{digest[:16]}.bin"]
    assert store.keep("y", b"onetwo").sha256 == digest


DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3)], ids=str)
def test_arrays_are_what_the_library_reads(tmp_path, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    arrays = {f"{dtype}/{letter}": (values + 1).astype(dtype) for dtype in DTYPES for letter in "ab"}
    store = LocalStore(tmp_path)
    record = store.keep_arrays("x.safetensors", arrays)
    got, expected = store.read_arrays(record), safetensors.numpy.load_file(store.path(record))
    assert got.keys() == expected.keys() == arrays.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(got[name], array)
        assert got[name].flags.writeable
    assert sorted(store.read_arrays(record, prefix="int8/")) == ["a", "b"]


def test_large_arrays_are_written_without_a_copy(tmp_path):
    arrays = {"a": np.arange(1_500_000.0), "b": np.arange(7, dtype=np.int8)}
    store = LocalStore(tmp_path)
    tracemalloc.start()
    try:
        record = store.keep_arrays("x.safetensors", arrays)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert store.get(record) == as_safetensors(arrays)
    assert store.holds(record)


def test_arrays_of_a_file_that_ends_too_early(tmp_path):
    store = LocalStore(tmp_path)
    store.put("x", as_safetensors({"a": np.arange(5)})[:-1])
    with pytest.raises(TransientError, match="x cannot be reached: the file ends too early"):
        store.read_arrays("x")


def test_json_and_arrays(tmp_path):
    store = LocalStore(tmp_path)
    content = {"ä": [1, 2.5, None], "float": 0.1 + 0.2}
    store.write_json("x.json", content)
    assert store.read_json("x.json") == store.read_json(store.keep_json("x.json", content)) == content
    arrays = {
        "1/a": np.arange(6.0).reshape(2, 3).T,  # not C-contiguous
        "1/b": np.empty((0, 4), np.float32),
        "11/a": np.array([2**62], np.int64),
        "2/text": np.frombuffer(b"abc", np.uint8),
    }
    record = store.keep_arrays("x.safetensors", arrays)
    for prefix, names in (("", set(arrays)), ("1/", {"a", "b"}), ("11/", {"a"}), ("3/", set())):
        got = store.read_arrays(record, prefix=prefix)
        assert set(got) == names
        for name, array in got.items():
            np.testing.assert_array_equal(array, arrays[prefix + name])
            assert array.dtype == arrays[prefix + name].dtype


def test_writing_again_replaces(tmp_path):
    store = LocalStore(tmp_path)
    store.put("x", b"long content")
    store.put("x", b"short")
    assert store.get("x") == b"short"
    assert store.exists("x")
    assert not store.exists("y")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_written_once_the_first_stays(tmp_path, monkeypatch, links):
    def refused(path, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    store = LocalStore(tmp_path)
    for content in (b"first", b"second"):
        store.put_if_absent("x", content)
    assert store.get("x") == b"first"
    assert files(tmp_path) == ["x"]


def test_kept_files_are_on_disk_when_they_are_made_durable_and_others_at_once(tmp_path, monkeypatch):
    store, synced, fsync = LocalStore(tmp_path), list[int](), os.fsync

    def noted(handle):
        synced.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    records = [store.keep(f"a/{i}", b"%d" % i) for i in range(3)]
    assert not synced, "each would be waited for, one after the other"
    store.make_durable(records)
    assert {*synced} == {path.stat().st_ino for path in (tmp_path / "a", *map(store.path, records))}
    for write in (store.put, store.put_if_absent):
        synced.clear()
        write("b", b"receipt")
        assert synced == [(tmp_path / "b").stat().st_ino]
        store.delete("b")


@pytest.mark.parametrize("n_items", [0, 1, 2, 30])
@pytest.mark.parametrize("is_slow", [False, True])
def test_each_is_synced_once_and_several_at_a_time_if_one_was_waited_for(monkeypatch, n_items, is_slow):
    monkeypatch.setattr("emberharmony.io.store.local._QUICK_S", -1.0 if is_slow else 120.0)
    begun, together, threads = [], threading.Barrier(2, timeout=120), set[int]()

    def sync(item):
        begun.append(item)
        threads.add(threading.get_ident())
        if is_slow and n_items > 2 and item in (1, 2):
            together.wait()

    sync_each(sync, range(n_items))
    assert sorted(begun) == list(range(n_items))
    assert is_slow or threads <= {threading.get_ident()}


@pytest.mark.parametrize(("error", "translated"), [(errno.ENOSPC, TerminalError), (errno.EIO, TransientError)])
def test_errors_of_a_disk_that_are_found_when_it_is_synced(tmp_path, monkeypatch, error, translated):
    """Disks and shares may refuse what was written before."""
    store = LocalStore(tmp_path)
    record = store.keep("a/x", b"1")

    def refused(handle):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(translated, match=str(store.path(record))):
        store.make_durable([record])


def test_a_kept_file_that_has_vanished_is_damaged(tmp_path):
    store = LocalStore(tmp_path / "run", within=tmp_path)
    store.root.mkdir()
    record = store.keep("a/x", b"1")
    store.path(record).unlink()
    with pytest.raises(DamagedError, match="is missing"):
        store.make_durable([record])
    shutil.rmtree(store.root)
    with pytest.raises(TransientError, match="has vanished"):
        store.make_durable([record])


def test_two_workers_of_one_part_leave_each_other_alone(tmp_path):
    """Whichever of them is late, and whatever it writes: a record always means what it was made of."""
    store = LocalStore(tmp_path)
    slow, quick = store.keeping("part"), store.keeping("part")
    begun = slow.__enter__()
    begun.write(b"by a GPU")
    with quick as file:
        file.write(b"by NumPy")
    slow.__exit__(None, None, None)
    assert store.holds(file.record)
    assert store.holds(begun.record)
    assert (store.get(file.record), store.get(begun.record)) == (b"by NumPy", b"by a GPU")
    damaged = store.path(file.record)
    damaged.write_bytes(bytes(8))
    assert not store.holds(file.record)
    assert store.keep("part", b"by NumPy") == file.record, "made again, it is whole again"
    assert store.holds(file.record)


@pytest.mark.parametrize("write", [lambda store: store.put("a/b/c", b""), lambda store: store.keep("a/b/c", b"")])
def test_a_late_writer_makes_no_folder_anew(tmp_path, write):
    sink, root = tmp_path / "sink", tmp_path / "sink/.staging/run"
    with pytest.raises(TransientError, match="has vanished"):
        write(LocalStore(root, within=sink))
    sink.mkdir()  # the mount point of a share that is away
    with pytest.raises(TransientError, match="has vanished"):
        write(LocalStore(root, within=sink))
    (sink / "manifest.json").touch()
    with pytest.raises(TerminalError, match="was removed: another process has published its run"):
        write(LocalStore(root, within=sink))
    assert files(tmp_path) == ["sink/manifest.json"]
    root.mkdir(parents=True)
    write(LocalStore(root, within=sink))
    assert (root / "a/b").is_dir()
    write(LocalStore(tmp_path / "new/one"))
    assert (tmp_path / "new/one/a/b").is_dir()
