"""What a shard and its run tell each other through a file: heartbeats, errors, and that nobody waits any more."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from emberharmony.errors import DamagedError, ForeignError, TransientError
from emberharmony.io.store.base import Store
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.pipeline.run import RunRef
from flows.engines.shard_files import HeartbeatWatch, error_of, reporting, request, withdraw
from tests.faults.victims import wait_until
from tests.stores import BUCKETS, objects_of

pytestmark = pytest.mark.xdist_group("stores")

REF = RunRef("the run")
FILE = "shards/one.json"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for kind in (LocalStore, ObjectStore):
        monkeypatch.setattr(kind, "heartbeat_s", 0.02)


@pytest.fixture
def local(tmp_path, monkeypatch) -> LocalStore:
    """The store of a run that is staged in a folder."""
    (tmp_path / "sink/.staging/run").mkdir(parents=True)
    (tmp_path / "sink/features").mkdir()
    store = LocalStore(tmp_path / "sink/.staging/run", within=tmp_path / "sink")
    monkeypatch.setattr("flows.engines.shard_files.open_staged", lambda address: store)
    return store


@pytest.fixture(params=["local", *BUCKETS])
def store(request, monkeypatch) -> Store:
    """The store of a staged run, of each kind."""
    if request.param == "local":
        return request.getfixturevalue("local")
    store = ObjectStore(*objects_of(request.param, request))
    monkeypatch.setattr("flows.engines.shard_files.open_staged", lambda address: store)
    return store


def test_heartbeats_go_on_as_long_as_the_block(store):
    watch = HeartbeatWatch(store, "one")
    assert watch.latest() == ""
    request(store, "one")
    wait_until(lambda: watch.latest() != "")
    asked = watch.latest()
    with reporting(REF, "one") as withdrawn:
        wait_until(lambda: watch.latest() != asked)
        first = watch.latest()
        wait_until(lambda: watch.latest() != first)
        assert not withdrawn.is_set()
    wait_until(lambda: watch.latest() != first)
    last = store.read_with_etag(FILE)  # the watch may not have read the last one yet
    time.sleep(0.2)
    assert store.read_with_etag(FILE) == last, "a heartbeat after the end"


def test_a_request_does_not_replace_what_a_shard_has_reported(store):
    """The request of an attempt may be repeated: its answer was lost."""
    request(store, "one")
    with pytest.raises(DamagedError), reporting(REF, "one"):
        raise DamagedError("gone")
    request(store, "one")
    assert error_of(store, "one") is not None


def test_a_shard_that_is_withdrawn_stops(store):
    """Its worker may be gone, so that cancelling it in Prefect would reach nobody."""
    request(store, "one")
    with reporting(REF, "one") as withdrawn:
        time.sleep(0.1)
        assert not withdrawn.is_set()
        withdraw(store, "one")
        assert withdrawn.wait(60)
    with reporting(REF, "one") as withdrawn:
        assert withdrawn.is_set(), "withdrawn before it began"
    with reporting(REF, "never asked for") as withdrawn:
        assert withdrawn.is_set()
    assert list(store.list("shards")) == [FILE]


def test_no_heartbeat_takes_back_a_withdrawal(store, monkeypatch):
    """The withdrawal comes between a heartbeat's look at the file and its replacement."""
    request(store, "one")
    replace = type(store).replace_if_unchanged
    caller = threading.get_ident()

    def withdrawn_before(self, name, content, etag):
        if b"heartbeat" in content and threading.get_ident() == caller:
            withdraw(store, "one")
        return replace(self, name, content, etag)

    monkeypatch.setattr(type(store), "replace_if_unchanged", withdrawn_before)
    with reporting(REF, "one") as withdrawn:
        assert withdrawn.wait(60)


def test_a_late_heartbeat_does_not_replace_an_error(store):
    request(store, "one")
    with pytest.raises(DamagedError), reporting(REF, "one"):
        raise DamagedError("gone")
    with reporting(REF, "one"):
        time.sleep(0.1)
    assert str(error_of(store, "one")) == "gone"


def test_an_error_arrives_with_its_type_and_fields(store):
    request(store, "one")
    assert error_of(store, "one") is None
    with pytest.raises(DamagedError), reporting(REF, "one"):
        raise DamagedError("features/part-0 was changed.", "features/part-0-ab12.parquet")
    error = error_of(store, "one")
    assert type(error) is DamagedError
    assert (str(error), error.file) == ("features/part-0 was changed.", "features/part-0-ab12.parquet")
    assert error_of(store, "another") is None


def test_an_error_of_another_library_arrives_as_one(store):
    request(store, "one")
    with pytest.raises(MemoryError), reporting(REF, "one"):
        raise MemoryError
    error = error_of(store, "one")
    assert type(error) is ForeignError
    assert error.retryable


def test_what_cannot_be_read_is_no_error(store):
    for text in (b"", b"{}", b"[]", b'{"error": {"types": 3, "message": "", "fields": {}}}'):
        store.put(FILE, text)
        assert error_of(store, "one") is None


def test_a_shard_of_a_run_that_is_over_leaves_nothing(store):
    """Its run was published, and its file removed, while it worked."""
    request(store, "one")
    with suppress(DamagedError), reporting(REF, "one") as withdrawn:
        store.delete(FILE)
        assert withdrawn.wait(60)
        raise DamagedError("gone")
    assert list(store.list("shards")) == []


def test_a_shard_in_a_folder_that_is_gone_makes_none(local):
    request(local, "one")
    with suppress(DamagedError), reporting(REF, "one") as withdrawn:
        local.root.rename(local.within / "removed")
        assert not local.root.exists()
        wait_until(withdrawn.is_set)
        raise DamagedError("gone")
    assert not local.root.exists()


def test_a_share_that_vanishes_withdraws_nothing(local):
    request(local, "one")
    hidden = local.within.with_name("hidden")
    with reporting(REF, "one") as withdrawn:
        local.within.rename(hidden)
        time.sleep(0.1)
        hidden.rename(local.within)
        watch = HeartbeatWatch(local, "one")
        first = watch.latest()
        wait_until(lambda: watch.latest() != first)
        assert not withdrawn.is_set()


def test_an_outage_of_the_store_is_no_silence_of_a_shard(store, monkeypatch):
    request(store, "one")
    watch = HeartbeatWatch(store, "one")
    asked = list[str]()

    def away(self, name):
        asked.append(name)
        raise TransientError("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "read_with_etag", away)
        seen = set()
        wait_until(lambda: seen.add(watch.latest()) or len(seen) > 3)
    assert asked == [FILE] * len(asked)
    wait_until(lambda: not watch.latest().startswith("outage"))


def test_a_watch_reads_no_more_often_than_shards_write(tmp_path, monkeypatch):
    """A bucket allows about one write a second to a name; each read is a request."""
    monkeypatch.setattr(LocalStore, "heartbeat_s", 1.0)
    store, now, reads = LocalStore(tmp_path), [100.0], []
    monkeypatch.setattr("flows.engines.shard_files.time.monotonic", lambda: now[0])
    monkeypatch.setattr(LocalStore, "read_with_etag", lambda self, name: reads.append(now[0]))
    watch = HeartbeatWatch(store, "one")
    for _ in range(100):
        watch.latest()
        now[0] += 0.1
    assert len(reads) == 10


def test_the_file_lies_in_the_run(local):
    request(local, "one")
    assert Path(local.root, FILE).read_text() == '{"heartbeat": 0}'
