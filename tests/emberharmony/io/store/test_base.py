"""What every store does with files: named by their content, arrays read one by one, damage found."""

from __future__ import annotations

import errno
import hashlib

import numpy as np
import pytest
import safetensors.numpy

from emberharmony.errors import DamagedError
from emberharmony.io.store.arrays import by_prefix, prefixed
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.local import LocalStore

RNG = np.random.default_rng(0)
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
ARRAYS = {
    **{name: RNG.integers(0, 2, (2, 3)).astype(name) for name in DTYPES},
    "empty": np.empty((0, 4)),
    "number": np.array(1.5),
    "turned": np.arange(6.0).reshape(2, 3).T,
}


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])


def test_arrays_are_read_as_the_library_reads_them(store):
    record = store.keep_arrays("a.safetensors", ARRAYS)
    assert_same(store.read_arrays(record), ARRAYS)
    assert_same(safetensors.numpy.load(store.get(record)), ARRAYS)


def test_only_the_arrays_of_a_prefix_are_read(store):
    states = {"1": {"x": np.arange(3), "y": np.ones(2)}, "10": {"x": np.zeros(1)}}
    record = store.keep_arrays("states.safetensors", prefixed(states))
    assert_same(store.read_arrays(record, prefix="1/"), states["1"])
    assert_same(store.read_arrays(record, prefix="10/"), states["10"])
    found = by_prefix(store.read_arrays(record))
    assert found.keys() == states.keys()
    for name, state in found.items():
        assert_same(state, states[name])


def test_a_file_that_ends_too_early_is_no_file_of_zeros(store):
    record = store.keep_arrays("a.safetensors", {"x": np.arange(100.0)})
    store.path(record).write_bytes(store.get(record)[:-8])
    with pytest.raises(Exception, match="the file ends too early") as told:
        store.read_arrays(record)
    cause = told.value if isinstance(told.value, OSError) else told.value.__cause__
    assert cause.errno == errno.EIO


def test_a_kept_file_is_named_by_its_content(store):
    record = store.keep("grams/00007.bin", b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    assert record == FileRecord("grams/00007.bin", 7, digest)
    assert record.kept_as == f"grams/00007-{digest[:16]}.bin"
    assert store.get(record) == b"content"
    assert store.keep("grams/00007.bin", b"other").kept_as != record.kept_as
    assert store.get(record) == b"content"


@pytest.mark.parametrize(
    "damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"CONTENT"), lambda p: p.write_bytes(b"cont")]
)
def test_damage_is_found(store, damage):
    record = store.keep("a.bin", b"content")
    assert store.holds(record)
    store.check(record)
    damage(store.path(record))
    assert not store.holds(record)
    with pytest.raises(DamagedError, match=r"is missing or was changed since this job wrote it"):
        store.check(record)


def test_json_of_the_first_writer_stays(store):
    store.write_json("a.json", {"n": 1, "ä": None}, once=True)
    store.write_json("a.json", {"n": 2}, once=True)
    assert store.read_json("a.json") == {"n": 1, "ä": None}
    store.write_json("a.json", {"n": 3})
    assert store.read_json("a.json") == {"n": 3}
    assert store.exists("a.json")
    assert not store.exists("b.json")
