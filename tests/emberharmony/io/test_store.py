"""Files appear whole or not at all."""

import hashlib

import numpy as np
import pytest

from emberharmony.io.store import Store, prefixed


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_written_whole_or_not_at_all(tmp_path):
    store = Store(tmp_path)
    store.write("a/b.bin", b"old")

    def interrupted():
        with store.writing("a/b.bin") as file:
            file.write(b"half of the n")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        interrupted()
    assert store.read("a/b.bin") == b"old"
    assert files(tmp_path) == ["a/b.bin"]


def test_a_record_tells_size_and_hash(tmp_path):
    store = Store(tmp_path)
    with store.writing("x") as file:
        file.write(b"one")
        file.write(memoryview(b"two"))
    record = file.record("x")
    assert (record.name, record.n_bytes) == ("x", 6)
    assert record.sha256 == hashlib.sha256(store.read("x")).hexdigest()
    assert store.write("y", b"onetwo").sha256 == record.sha256


def test_json_and_arrays(tmp_path):
    store = Store(tmp_path)
    content = {"ä": [1, 2.5, None], "float": 0.1 + 0.2}
    store.write_json("x.json", content)
    assert store.read_json("x.json") == content
    arrays = {
        "1/a": np.arange(6.0).reshape(2, 3).T,  # not C-contiguous
        "1/b": np.empty((0, 4), np.float32),
        "11/a": np.array([2**62], np.int64),
        "2/text": np.frombuffer(b"abc", np.uint8),
    }
    store.write_arrays("x.safetensors", arrays)
    for prefix, names in (("", set(arrays)), ("1/", {"a", "b"}), ("11/", {"a"}), ("3/", set())):
        got = store.read_arrays("x.safetensors", prefix=prefix)
        assert set(got) == names
        for name, array in got.items():
            np.testing.assert_array_equal(array, arrays[prefix + name])
            assert array.dtype == arrays[prefix + name].dtype


def test_writing_again_replaces(tmp_path):
    store = Store(tmp_path)
    store.write("x", b"long content")
    store.write("x", b"short")
    assert store.read("x") == b"short"
    assert store.exists("x")
    assert not store.exists("y")


def test_prefixed():
    assert set(prefixed({"a": {"x": np.ones(1)}, "b": {"x": np.ones(1)}})) == {"a/x", "b/x"}
