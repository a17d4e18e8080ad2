"""Receipts: the first one wins, and files that changed lose theirs."""

from __future__ import annotations

import os

import pytest

from emberharmony.errors import DamagedError, TerminalError
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.pipeline.receipts import Receipt, Receipts
from emberharmony.planning.chunks import Chunk
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs
from tests.stores import MemoryObjects

CHUNKS = [Chunk(i, 10 * i, 10) for i in range(3)]


@pytest.fixture
def receipts(tmp_path):
    return Receipts(LocalStore(tmp_path), CHUNKS)


def receipt_of(receipts, chunk, content=b"part", **fields):
    record = receipts.store.keep(f"parts/{chunk:05}.bin", content)
    return Receipt("featurize", chunk, {"train": 10}, (record,), "numpy:cpu", 0.5, **fields)


def test_a_receipt_is_read_as_it_was_written(receipts):
    runs = {"time": Runs(n_rows=10, n_runs=7, n_shared=5, first=3, last=9)}
    receipt = receipt_of(receipts, 1, clipped={"x": 2}, explained={"1": ExplainedSquares()}, runs=runs, parity=1e-7)
    receipts.commit(receipt)
    assert receipts.find("featurize", 1) == receipt
    assert receipts.of("featurize", 1).record("parts/00001.bin") == receipt.files[0]


def test_the_first_receipt_of_a_chunk_stays(receipts):
    first, second = receipt_of(receipts, 0, b"one"), receipt_of(receipts, 0, b"other")
    receipts.commit(first)
    receipts.commit(second)
    assert receipts.find("featurize", 0) == first


def test_all_receipts_of_a_stage_are_read_in_order():
    """Those that this process has written lately are not fetched from a bucket; whether a stage is done, it is asked."""
    objects, address = MemoryObjects(), BucketAddress.parse("s3://bucket/run")
    here, there = (Receipts(ObjectStore(objects, address), CHUNKS) for _ in range(2))
    written = [receipt_of(here, chunk.index) for chunk in CHUNKS]
    here.commit(written[2])
    for receipt in written[:2]:
        there.commit(receipt)
    for receipts in (here, there):
        assert list(receipts.all_of("featurize")) == written
    there.store.delete("receipts/featurize/00002.json")
    assert here.find("featurize", 2) == written[2]
    assert [here.is_done("featurize", chunk) for chunk in (0, 2)] == [True, False]
    with pytest.raises(TerminalError, match=r"receipts/featurize/00002\.json is missing"):
        list(there.all_of("featurize"))


def test_files_are_on_disk_before_the_receipt_that_names_them(receipts, monkeypatch):
    """A power failure loses what was not synced."""
    synced, fsync = [], os.fsync

    def noted(handle):
        synced.append((os.fstat(handle).st_ino, receipts.find("featurize", 1) is None))
        fsync(handle)

    receipt = receipt_of(receipts, 1)
    monkeypatch.setattr(os, "fsync", noted)
    receipts.commit(receipt)
    part = receipts.store.path(receipt.files[0])
    assert {(part.stat().st_ino, True), (part.parent.stat().st_ino, True)} <= {*synced}


def test_a_file_that_has_vanished_gets_no_receipt(receipts):
    receipt = receipt_of(receipts, 1)
    receipts.store.path(receipt.files[0]).unlink()
    with pytest.raises(DamagedError, match=r"parts/00001-\w+\.bin is missing"):
        receipts.commit(receipt)
    assert receipts.find("featurize", 1) is None


def test_missing_chunks_are_those_without_a_receipt(receipts):
    assert receipts.missing("featurize") == CHUNKS
    receipts.commit(receipt_of(receipts, 1))
    assert receipts.missing("featurize") == [CHUNKS[0], CHUNKS[2]]
    assert receipts.missing("profile") == CHUNKS
    with pytest.raises(DamagedError, match="no receipt of featurize of chunk 2"):
        receipts.of("featurize", 2)


def test_receipts_whose_files_changed_are_dropped(receipts):
    written = [receipt_of(receipts, i, b"part %d" % i) for i in range(3)]
    for receipt in written:
        receipts.commit(receipt)
    receipts.store.path(written[1].files[0]).write_bytes(b"part X")
    receipts.store.path(written[2].files[0]).unlink()
    assert receipts.drop_damaged(n_threads=2) == 2
    assert receipts.missing("featurize") == CHUNKS[1:]
    receipts.invalidate(written[0].files[0].kept_as)
    assert receipts.missing("featurize") == CHUNKS


def test_all_receipts_come_in_the_order_of_the_chunks(receipts):
    for i in (2, 0, 1):
        receipts.commit(receipt_of(receipts, i))
    assert [receipt.chunk for receipt in receipts.all_of("featurize")] == [0, 1, 2]
