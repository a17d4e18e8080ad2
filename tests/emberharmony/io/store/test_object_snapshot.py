"""A version of a result in a bucket: read through its manifest, found again in another process."""

from __future__ import annotations

import hashlib
import pickle

import pytest

from emberharmony.errors import DataError
from emberharmony.io.store.object_snapshot import open_object_snapshot
from emberharmony.io.store.opening import result_at
from tests.stored import publish_by_hand

pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture
def sink(s3):
    return s3.replace("?", "/out?")


def test_another_process_reads_the_same_version(sink):
    publish_by_hand(sink, "first")
    snapshot = result_at(sink).snapshot()
    publish_by_hand(sink, "second")
    again = pickle.loads(pickle.dumps(snapshot))
    assert (again.version, again.manifest.fingerprint) == (snapshot.version, "first")
    assert {again.get(file) for file in again.manifest.files} == {b"first"}


def test_a_large_file_is_read_by_ranges(sink, monkeypatch):
    monkeypatch.setattr("emberharmony.io.store.object_snapshot.WHOLE_BYTES", 10)
    text = "0123456789" * 100
    publish_by_hand(sink, text)
    snapshot = result_at(sink).snapshot()
    with snapshot.open(snapshot.manifest.files[0]) as handle:
        assert handle.size() == 1000
        handle.seek(990)
        assert handle.read() == b"0123456789"
        handle.seek(0)
        assert hashlib.sha256(handle.read()).hexdigest() == snapshot.manifest.files[0].sha256
    result = result_at(sink)
    result.objects.put(f"{result.prefix.key}/{snapshot.manifest.file_name(snapshot.manifest.files[0])}", b"0" * 1000)
    with snapshot.open(snapshot.manifest.files[0]) as handle:
        assert handle.read() == b"0" * 1000  # of the same size: only `verify` compares hashes


def test_nothing_is_published(sink):
    result = result_at(sink)
    with pytest.raises(DataError, match="Nothing is published at"):
        open_object_snapshot(result.objects, result.prefix, None)
