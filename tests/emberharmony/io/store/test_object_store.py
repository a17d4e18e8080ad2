"""The contract of a store over a bucket: in memory, and on servers that speak the clouds' protocols."""

from __future__ import annotations

import hashlib
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from emberharmony.errors import DamagedError, TerminalError, TransientError
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.object_store import AHEAD_BYTES, READ_BYTES, WHOLE_BYTES, ObjectStore
from emberharmony.io.store.recent import LARGEST_BYTES
from emberharmony.pipeline.receipts import Receipt, Receipts
from emberharmony.pipeline.retry import with_retries
from tests.stores import BUCKETS, MemoryObjects, objects_of

pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture(params=["local", *BUCKETS])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(tmp_path / "root")
    objects, address = objects_of(request.param, request)
    return ObjectStore(objects, address / "some/prefix")


def test_what_is_written_is_read(store):
    store.put("a/x", b"one")
    store.put("a/x", b"two")
    store.put("a/y z", b"")
    assert (store.get("a/x"), store.get("a/y z")) == (b"two", b"")
    assert (store.size("a/x"), store.size("a/y z"), store.size("a"), store.size("b")) == (3, 0, store.size("a"), None)
    assert list(store.list("a")) == ["a/x", "a/y z"]
    assert list(store.list("")) == ["a/x", "a/y z"]
    assert list(store.list("none")) == []
    assert store.sha256("a/x") == hashlib.sha256(b"two").hexdigest()
    assert store.sha256("b") is None
    store.delete("a/x")
    store.delete("a/x")
    assert list(store.list("a")) == ["a/y z"]


def test_the_folders_right_below(store):
    assert list(store.folders()) == []
    for name in ("b/1", "b/c/2", "a x/3", "file"):
        store.put(name, b"x")
    assert [name for name in store.folders() if name != ".unfinished"] == ["a x", "b"]


def test_a_folder_is_no_prefix_of_letters(store):
    for name in ("part/1", "parts/2", "part-3"):
        store.put(name, b"x")
    assert list(store.list("part")) == ["part/1"]


def test_the_first_of_several_writers_wins(store):
    assert store.put_if_absent("x", b"first")
    assert not store.put_if_absent("x", b"second")
    assert store.put_if_absent("x", b"first")  # the same content: as good as written
    assert store.get("x") == b"first"


def test_a_file_is_replaced_only_in_the_state_that_was_read(store):
    assert store.read_with_etag("x") is None
    store.put("x", b"1")
    content, etag = store.read_with_etag("x")
    assert content == b"1"
    after = store.replace_if_unchanged("x", b"2", etag)
    assert after is not None
    assert store.replace_if_unchanged("x", b"3", etag) is None
    assert store.read_with_etag("x") == (b"2", after)
    assert store.replace_if_unchanged("x", b"4", after) is not None
    store.delete("x")
    assert store.replace_if_unchanged("x", b"5", after) is None
    assert not store.exists("x")


@pytest.mark.parametrize("n_bytes", [0, 10, 9 * 2**20])
def test_a_kept_file_has_the_hash_of_its_content_in_its_name(store, n_bytes):
    content = bytes(range(256)) * (n_bytes // 256) + b"x" * (n_bytes % 256)
    with store.keeping("parts/p.bin") as file:
        for start in range(0, n_bytes, 2**20):
            file.write(content[start : start + 2**20])
    sha256 = hashlib.sha256(content).hexdigest()
    assert file.record == FileRecord("parts/p.bin", n_bytes, sha256)
    assert list(store.list("parts")) == [f"parts/p-{sha256[:16]}.bin"]
    store.delete(file.record.kept_as)
    assert store.keep("parts/p.bin", memoryview(content)) == file.record  # the same, by one call
    assert list(store.list("parts")) == [f"parts/p-{sha256[:16]}.bin"]
    assert store.holds(file.record)
    assert not store.holds(FileRecord("parts/p.bin", n_bytes + 1, sha256))
    assert not store.holds(FileRecord("parts/q.bin", n_bytes, sha256))
    with store.open(file.record) as handle:
        handle.seek(n_bytes // 2)
        assert handle.read(100) == content[n_bytes // 2 :][:100]
        handle.seek(0)
        assert hashlib.sha256(handle.read()).hexdigest() == sha256


def test_a_file_that_fails_is_not_kept(store):
    def fail():
        with store.keeping("parts/p.bin") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(store.list("parts")) == []


def test_a_missing_file_is_named(store):
    for read in (store.get, lambda name: store.open(name).__enter__()):
        with pytest.raises(TerminalError, match="not-there"):
            read("not-there")


def test_a_store_that_can_be_written_to_is_left_as_it_was(store):
    store.check_writable()
    assert [name for name in store.list("") if not name.startswith(".unfinished")] == []


class AnswersLost(MemoryObjects):
    """A bucket whose first answers are lost after it has done what it was asked for."""

    def __init__(self, n_lost):
        super().__init__()
        self.n_lost = n_lost

    def put(self, key, content, *, only_if=None):
        revision = super().put(key, content, only_if=only_if)
        if self.n_lost:
            self.n_lost -= 1
            raise TransientError("no answer")
        return revision


def test_a_conditional_write_whose_answer_is_lost_was_written():
    store = ObjectStore(AnswersLost(1), BucketAddress("s3", "memory"))
    assert store.put_if_absent("x", b"1")
    _, etag = store.read_with_etag("x")
    store.objects.n_lost = 1
    after = store.replace_if_unchanged("x", b"2", etag)
    assert store.read_with_etag("x") == (b"2", after)
    store.objects.n_lost = 1
    assert not store.put_if_absent("x", b"3")


def test_kept_files_are_read_in_order_and_ahead(store):
    arrays = [{"x": np.arange(i), "y": np.full(3, i)} for i in range(30)]
    records = [store.keep_arrays(f"a/{i}.safetensors", each) for i, each in enumerate(arrays)]
    found = list(store.each(store.read_checked_arrays, iter(records)))
    assert [sorted(each) for each in found] == [["x", "y"]] * 30
    assert all((a[name] == b[name]).all() for a, b in zip(found, arrays, strict=True) for name in b)
    store.delete(records[7].kept_as)
    reading = store.each(store.read_checked_arrays, records)
    for i in range(7):
        assert len(next(reading)["x"]) == i
    with pytest.raises(DamagedError, match=r"a/7-\w+.safetensors is missing or was changed"):
        next(reading)


@pytest.mark.parametrize(("n_bytes", "whole"), [(5, False), (WHOLE_BYTES + 5, False), (WHOLE_BYTES + 5, True)])
@pytest.mark.parametrize("content", [None, b"", b"another"], ids=["missing", "empty", "another"])
def test_a_kept_file_is_checked_when_it_is_opened(store, n_bytes, whole, content):
    record = store.keep("a.bin", b"x" * n_bytes)
    with store.open_checked(record, whole=whole) as handle:
        assert handle.read() == b"x" * n_bytes
        handle.seek(1)
        assert handle.read(3) == b"xxx"
    if content is None:
        store.delete(record.kept_as)
    else:
        store.put(record.kept_as, content)
    with pytest.raises(DamagedError, match="missing or was changed"), store.open_checked(record, whole=whole):
        pytest.fail("it is opened")


@pytest.mark.parametrize("content", [None, b"", b"another"], ids=["missing", "empty", "another"])
def test_ranges_of_a_kept_file_are_read_if_it_is_whole(store, content):
    whole = np.random.default_rng(0).bytes(WHOLE_BYTES + 5)
    record, ranges = store.keep("a.bin", whole), [(0, 0), (0, 7), (7, 9), (100, 600_000), (WHOLE_BYTES, WHOLE_BYTES + 5)]
    assert [bytes(part) for part in store.read_ranges(record, ranges)] == [whole[start:stop] for start, stop in ranges]
    assert [*store.read_ranges(record, [])] == []
    if content is None:
        store.delete(record.kept_as)
    else:
        store.put(record.kept_as, content)
    with pytest.raises(DamagedError, match="missing or was changed"):
        store.read_ranges(record, ranges)


def test_ranges_are_fetched_at_the_same_time_and_near_ones_together():
    objects = Counted()
    store = ObjectStore(objects, BucketAddress.parse("s3://bucket/p"))
    record = store.keep("a.bin", bytes(12 * 2**20))
    meeting, fetch = threading.Barrier(4), objects.get_range

    def met(*args, **options):
        meeting.wait(timeout=20)  # for all others: who fetches one after the other waits in vain
        return fetch(*args, **options)

    objects.get_range = met
    mebi = 2**20
    found = store.read_ranges(record, [(5, 10), (2000, 3000), (mebi, mebi + 1), (3 * mebi, 9 * mebi)])
    assert [len(part) for part in found] == [5, 1000, 1, 6 * mebi]
    assert sorted(objects.ranges) == [(5, 3000), (mebi, mebi + 1), (3 * mebi, 7 * mebi), (7 * mebi, 9 * mebi)]
    assert objects.asked == ["info"]


def test_what_this_process_has_written_lately_is_not_fetched():
    objects, address = Counted(), BucketAddress.parse("s3://bucket/p")
    store = ObjectStore(objects, address)
    small, large = store.keep_arrays("a", {"x": np.arange(3)}), store.keep("b", b"x" * (LARGEST_BYTES + 1))
    assert store.put_if_absent("receipt", b"1")
    objects.asked.clear()
    objects.got.clear()
    assert store.read_arrays(small)["x"].tolist() == store.read_checked_arrays(small)["x"].tolist() == [0, 1, 2]
    assert (store.get(small)[-8:], store.recent("receipt")) == ((2).to_bytes(8, "little"), b"1")
    assert not objects.asked
    assert not objects.got
    assert store.get(large) == b"x" * (LARGEST_BYTES + 1)
    assert objects.got == ["p/" + large.kept_as]
    assert ObjectStore(objects, address).recent("receipt") is None, "another process asks the bucket"
    assert pickle.loads(pickle.dumps(store._recent)).find("p/receipt") is None


def test_nothing_is_remembered_of_files_that_are_written_again_or_removed():
    store = ObjectStore(MemoryObjects(), BucketAddress.parse("s3://bucket/p"))
    for name in ("a", "b", "c"):
        assert store.put_if_absent(name, b"1")
    store.put("a", b"2")
    store.delete("b")
    _, etag = store.read_with_etag("c")
    assert store.replace_if_unchanged("c", b"2", etag)
    assert [store.recent(name) for name in ("a", "b", "c")] == [None, None, None]
    assert store.put_if_absent("d", b"1")
    other = ObjectStore(store.objects, store.prefix)
    other.put("d", b"2")
    assert not store.put_if_absent("d", b"3")
    assert store.recent("d") == b"1", "until a file turns out to be damaged: then others have made files again"
    with pytest.raises(DamagedError), store.open_checked(replace(store.keep("e", b"5"), sha256="0" * 64)):
        pytest.fail("it is opened")
    assert store.recent("d") is None


def test_a_small_kept_file_is_checked_by_the_request_that_reads_it():
    objects = Counted()
    store = ObjectStore(objects, BucketAddress.parse("s3://bucket/p"))
    record, large = store.keep_arrays("a", {"x": np.arange(3)}), store.keep("b", b"x" * (WHOLE_BYTES + 1))
    store = ObjectStore(objects, BucketAddress.parse("s3://bucket/p"))
    objects.asked.clear()
    assert store.read_checked_arrays(record)["x"].tolist() == [0, 1, 2]
    assert not objects.asked
    with store.open_checked(large):
        assert (objects.asked, objects.ranges) == (["info"], [])
    objects.asked.clear()
    with store.open_checked(large, whole=True) as handle:
        assert (objects.asked, sorted(objects.ranges)) == (["info"], [(0, WHOLE_BYTES), (WHOLE_BYTES, WHOLE_BYTES + 1)])
        assert handle.read() == b"x" * (WHOLE_BYTES + 1)
    assert len(objects.ranges) == 2, "all of it was read when it was opened"


class Counted(MemoryObjects):
    """A bucket that notes what is asked of it, and how much is read at the same time."""

    def __init__(self):
        super().__init__()
        self.asked, self.got, self.ranges = [], [], []

    def get(self, key):
        self.got.append(key)
        return super().get(key)

    def info(self, key):
        self.asked.append("info")
        return super().info(key)

    def get_range(self, key, start, stop, *, revision=None):
        self.ranges.append((start, stop))
        return super().get_range(key, start, stop, revision=revision)


def test_a_file_that_is_read_from_one_end_to_the_other_takes_few_rounds():
    """Ranges grow, and the longer ones are fetched in parts at the same time; whoever moves about reads little at a time."""
    objects = Counted()
    store = ObjectStore(objects, BucketAddress.parse("s3://bucket/p"))
    content = np.random.default_rng(0).bytes(20 * 2**20 + 5)
    record = store.keep("big", content)
    with store.open(record) as handle:
        whole = b"".join(iter(lambda: handle.read(300_000), b""))
    assert whole == content
    assert objects.asked == []  # its record says how long it is
    assert sorted(objects.ranges) == objects.ranges
    assert [start for start, _ in objects.ranges[1:]] == [stop for _, stop in objects.ranges[:-1]]
    lengths = [stop - start for start, stop in objects.ranges]
    assert len(lengths) <= 8
    assert max(lengths) <= AHEAD_BYTES
    objects.ranges.clear()
    places = [17 * 2**20, 3 * 2**20, 11 * 2**20, 0]
    with store.open(record) as handle:
        for place in places:
            handle.seek(place)
            assert handle.read(100) == content[place : place + 100]
    assert [stop - start for start, stop in objects.ranges] == [READ_BYTES] * 4


class LateObjects(MemoryObjects):
    """A bucket that answers uploads when it is let, or with an error."""

    answers_late = True

    def __init__(self):
        super().__init__()
        self.gate, self.errors = threading.Event(), []

    def put(self, key, content, *, only_if=None):
        assert self.gate.wait(60)
        if self.errors:
            raise self.errors.pop()
        return super().put(key, content, only_if=only_if)


SIZES = pytest.mark.parametrize("n_bytes", [5, 9 * 2**20], ids=["small", "in parts"])


def kept_by(store, n_bytes, *, name="parts/p.bin"):
    with store.keeping(name) as file:
        file.write(b"x" * n_bytes)
    return file.record


READERS = {
    "durable": lambda store, record: store.make_durable([record]),
    "get": lambda store, record: store.get(record),
    "open": lambda store, record: store.open(record).__enter__().close(),
    "open_checked": lambda store, record: store.open_checked(record).__enter__().close(),
    "size": lambda store, record: store.size(record),
    "holds": lambda store, record: store.check(record),
    "sha256": lambda store, record: store.sha256(record),
    "list": lambda store, record: store.list("parts"),
    "modified": lambda store, record: store.modified("parts"),
    "name": lambda store, record: store.get(record.kept_as),
}


NOT_ASKED = {("get", 5), ("open_checked", 5)}  # of a small file that this process has written lately


@pytest.mark.parametrize(
    ("reader", "n_bytes"), [(reader, n) for reader in READERS for n in (5, 9 * 2**20) if (reader, n) not in NOT_ASKED]
)
def test_an_upload_goes_on_behind_until_the_bucket_is_asked_for_its_file(reader, n_bytes):
    store = ObjectStore(LateObjects(), BucketAddress("s3", "memory"))
    record = kept_by(store, n_bytes)
    assert [*store.objects.list("parts")] == [], "its writer has gone on before the bucket has it"
    with ThreadPoolExecutor(1) as pool:
        reads = pool.submit(READERS[reader], store, record)
        with pytest.raises(TimeoutError):
            reads.result(timeout=0.2)
        store.objects.gate.set()
        reads.result(timeout=60)
    assert store.objects.get(record.kept_as)[0] == b"x" * n_bytes
    assert not store._pending._uploads, "nothing is held once it is there"


@SIZES
def test_an_upload_that_fails_is_begun_again_for_who_asks_again(n_bytes):
    store = ObjectStore(LateObjects(), BucketAddress("s3", "memory"))
    store.objects.errors = [TransientError("no answer"), TransientError("still none")]
    store.objects.gate.set()
    record = kept_by(store, n_bytes)
    for message in ("still none", "no answer"):
        with pytest.raises(TransientError, match=message):
            store.make_durable([record])
    store.make_durable([record])
    assert store.objects.get(record.kept_as)[0] == b"x" * n_bytes


def test_no_receipt_names_a_file_whose_upload_failed():
    store = ObjectStore(LateObjects(), BucketAddress("s3", "memory"))
    receipts = Receipts(store, [])
    store.objects.errors = [TransientError("no answer")]
    store.objects.gate.set()
    receipt = Receipt("featurize", 0, {}, (store.keep("part", b"rows"),), "numpy", 0.0)
    with pytest.raises(TransientError, match="no answer"):
        receipts.commit(receipt)
    assert receipts.find("featurize", 0) is None
    with_retries(lambda: receipts.commit(receipt), sleep=lambda _: None)
    assert receipts.find("featurize", 0) == receipt
    assert store.get(receipt.files[0]) == b"rows"
