"""Files read by ranges: the bytes of the file, in few requests, within the memory for them."""

from __future__ import annotations

import threading
import tracemalloc
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.io.sources.parquet import ranged_file as module
from emberharmony.io.sources.parquet.files import ByteRange
from emberharmony.io.sources.parquet.ranged_file import RangedFile, coalesced

CONTENT = bytes(i * 7 % 251 for i in range(10_000))


class Server:
    """Counts the requests, and what is held of their answers is for the caller to say."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content, self.asked, self.lock = content, list[ByteRange](), threading.Lock()

    def fetch(self, part: ByteRange) -> bytes:
        with self.lock:
            self.asked.append(part)
        return self.content[part.start : part.stop]


@st.composite
def ranges(draw):
    start = draw(st.integers(0, len(CONTENT)))
    return ByteRange(start, draw(st.integers(start, len(CONTENT))))


@given(
    needed=st.lists(ranges(), max_size=6),
    reads=st.lists(ranges(), max_size=12),
    budget=st.sampled_from([0, 500, 3_000, 10**6]),
    gap=st.sampled_from([0, 40, 10**5]),
)
def test_any_reads_return_the_bytes_of_the_file(needed, reads, budget, gap):
    sizes = {"READ_AHEAD_BYTES": budget, "GAP_BYTES": gap, "PART_BYTES": 700, "READ_BUFFER_BYTES": 64}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sizes.items():
            patch.setattr(module, name, value)
        with RangedFile(Server().fetch, len(CONTENT), needed) as file:
            for part in reads:
                assert file.seek(part.start) == part.start
                assert bytes(file.read(part.n_bytes)) == CONTENT[part.start : part.stop]
                assert file.tell() == part.stop
            file.seek(-3, 2)
            assert bytes(file.read()) == CONTENT[-3:]
            assert file.read(1) == b""
            into = bytearray(5)
            file.seek(2)
            assert (file.readinto(into), bytes(into)) == (5, CONTENT[2:7])


@given(st.lists(ranges(), max_size=8), st.sampled_from([0, 100]))
def test_coalesced_ranges_cover_the_others_and_no_two_are_near(parts, gap):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GAP_BYTES", gap)
        whole = list(coalesced(parts))
    assert all(any(w.start <= p.start and p.stop <= w.stop for w in whole) for p in parts)
    assert all(b.start - a.stop > gap for a, b in pairwise(whole))
    assert {w.start for w in whole} <= {p.start for p in parts}


def test_what_is_needed_is_read_once_and_what_is_near_by_one_request():
    server = Server()
    file = RangedFile(server.fetch, len(CONTENT), [ByteRange(5_000, 5_100), ByteRange(0, 100), ByteRange(200, 300)])
    assert server.asked == [ByteRange(0, 5_100)]
    file.seek(5_050)
    assert bytes(file.read(50)) == CONTENT[5_050:5_100]
    assert len(server.asked) == 1


def test_a_row_group_that_does_not_fit_is_read_in_windows(tmp_path, monkeypatch):
    """Each column has its window, so that decoding them side by side does not fetch anything twice."""
    table = pa.table({name: pa.array(range(60_000), pa.int64()) for name in "abc"})
    pq.write_table(table, tmp_path / "t.parquet", compression="none", use_dictionary=False, data_page_size=4096)
    server = Server((tmp_path / "t.parquet").read_bytes())
    monkeypatch.setattr(module, "READ_AHEAD_BYTES", 300_000)
    monkeypatch.setattr(module, "READ_BUFFER_BYTES", 4_096)
    metadata = pq.read_metadata(tmp_path / "t.parquet")
    columns = [metadata.row_group(0).column(i) for i in range(3)]
    needed = [ByteRange(c.data_page_offset, c.data_page_offset + c.total_compressed_size) for c in columns]
    file = RangedFile(server.fetch, len(server.content), needed)
    assert server.asked == []
    parquet = pq.ParquetFile(file, metadata=metadata, buffer_size=4_096, pre_buffer=False)
    rows = pa.Table.from_batches(list(parquet.iter_batches(1_000, use_threads=False)))
    assert rows.equals(table)
    n_bytes = sum(part.n_bytes for part in server.asked)
    assert n_bytes <= 1.1 * sum(part.n_bytes for part in needed)
    assert max(part.n_bytes for part in server.asked) <= 100_000
    assert len(server.asked) <= 3 * 6


def test_parts_are_asked_for_at_the_same_time(monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 2_500)
    together = threading.Barrier(4, timeout=120)
    server = Server()

    def fetch(part: ByteRange) -> bytes:
        together.wait()
        return server.fetch(part)

    file = RangedFile(fetch, len(CONTENT), [ByteRange(0, 10_000)])
    assert bytes(file.read()) == CONTENT
    assert sorted(server.asked) == [ByteRange(i, i + 2_500) for i in range(0, 10_000, 2_500)]


def test_what_is_held_is_in_memory_once(monkeypatch):
    """A range that is read in parts is never there twice, apart from the parts that are being copied."""
    content = bytes(16 * 2**20)
    monkeypatch.setattr(module, "PART_BYTES", 2**20)
    server = Server(content)
    tracemalloc.start()
    try:
        file = RangedFile(server.fetch, len(content), [ByteRange(0, len(content))])
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(server.asked) == 16
    assert held < 16.5 * 2**20
    assert peak < (16 + 8 + 1.5) * 2**20
    assert file.read(10) == content[:10]
