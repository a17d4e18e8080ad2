"""The memory plan: sums of integers, and a refusal that tells the way out."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import PlanError
from emberharmony.planning.chunks import DEFAULT_CHUNK_ROWS
from emberharmony.planning.memory import (
    AHEAD,
    INPUT_ROWS,
    MAX_CHUNKS,
    Beside,
    Counting,
    MemoryRequest,
    input_rows,
    plan_memory,
)
from emberharmony.planning.stage_bytes import RowSizes, partition_bytes
from emberharmony.stats.quantiles import MAX_BUCKETS

GB = 2**30
SIZES = RowSizes(read_bytes=150.0, carried_bytes=24.0, n_features=45, in_order=True)


def plan(sizes=SIZES, **given_):
    settings = {
        "n_rows": 10**9,
        "chunk_rows": None,
        "window_size": 5,
        "n_strides": 3,
        "n_workers": 1,
        "reserved_bytes": 200 * 2**20,
        "allowed_bytes": 4 * GB,
    }
    return plan_memory(sizes, MemoryRequest(**(settings | given_)))


sizes_drawn = st.builds(
    RowSizes,
    st.floats(1, 10_000),
    st.floats(8, 1000),
    st.integers(1, 500),
    st.booleans(),
    st.integers(0, 500),
    st.floats(0, 1000),
)


@given(
    sizes_drawn,
    st.integers(1, 10**12),
    st.one_of(st.none(), st.integers(1, 10**7)),
    st.integers(1, 16),
    st.integers(2**28, 2**35),
    st.booleans(),
)
def test_what_is_planned_is_allowed(sizes, n_rows, chunk_rows, n_workers, allowed, may_be_fewer):
    asked = {"n_rows": n_rows, "chunk_rows": chunk_rows, "n_workers": n_workers, "allowed_bytes": allowed}
    try:
        memory = plan(sizes, **asked, may_be_fewer=may_be_fewer)
    except PlanError:
        return  # its words are looked at below
    assert memory.projected_bytes <= allowed
    assert memory.n_workers <= memory.most_workers
    assert memory.n_workers == n_workers or may_be_fewer
    assert 1 <= memory.chunk_rows <= n_rows
    assert memory.chunk_rows <= (chunk_rows or max(DEFAULT_CHUNK_ROWS, -(-n_rows // MAX_CHUNKS)))
    assert memory.chunk_rows == min(chunk_rows or DEFAULT_CHUNK_ROWS, n_rows) or chunk_rows is None


def test_the_projection_does_not_know_the_number_of_rows():
    few, many = plan(n_rows=10**6), plan(n_rows=10**9)
    assert few.projected_bytes == many.projected_bytes


def test_enormous_tables_get_larger_chunks_rather_than_more_of_them():
    plenty = 64 * GB
    assert plan(n_rows=10**11, allowed_bytes=plenty).chunk_rows == 10**11 // MAX_CHUNKS
    little = plan(n_rows=10**12)
    assert little.projected_bytes <= 4 * GB
    assert little.chunk_rows > DEFAULT_CHUNK_ROWS


def test_what_makes_it_larger():
    base = plan(chunk_rows=100_000).projected_bytes
    assert plan(chunk_rows=200_000).projected_bytes > base
    assert plan(chunk_rows=100_000, n_workers=2).projected_bytes > base
    assert plan(RowSizes(150.0, 24.0, 45, in_order=False), chunk_rows=100_000).projected_bytes > base


def test_the_chunk_size_advised_fits():
    with pytest.raises(
        PlanError, match=r"A chunk of 50,000,000 rows needs .* Lower runtime.chunk_rows to ([\d,]+)"
    ) as refusal:
        plan(chunk_rows=50_000_000)
    advised = int(re.search(r"chunk_rows to ([\d,]+)", str(refusal.value))[1].replace(",", ""))
    assert plan(chunk_rows=advised).projected_bytes <= 4 * GB
    with pytest.raises(PlanError):
        plan(chunk_rows=advised + advised // 100 + 1)


@pytest.mark.parametrize(
    "too_much",
    [{"allowed_bytes": 300 * 2**20}, {"window_size": 500}, {"n_workers": 64}, {"reserved_bytes": 4 * GB}],
    ids=str,
)
def test_refused_with_both_numbers_and_the_way_out(too_much):
    with pytest.raises(PlanError) as refusal:
        plan(**too_much)
    message = str(refusal.value)
    needed, _, allowed = map(float, re.findall(r"(\d+\.\d\d) ", message)[:3])
    assert needed > allowed == pytest.approx(too_much.get("allowed_bytes", 4 * GB) / GB, abs=0.01)
    for way_out in ("runtime.max_memory_gb", "windows.size", "categories.max_categories", "columns.drop"):
        assert way_out in message
    assert ("runtime.workers" in message) == ("n_workers" in too_much), "one worker cannot be fewer"


def test_profiles_are_planned():
    """Of 5,000 columns of numbers, a chunk's states outweigh its rows; merged ones need as much for any number of rows."""
    wide = replace(SIZES, read_bytes=8.0 * 5000, n_features=5000, n_numbers=5000)
    given_ = {"n_rows": 10_000, "window_size": 1, "n_strides": 1, "allowed_bytes": 16 * GB}
    assert plan(wide, **given_).chunk_bytes >= 10_000 * 5000 * (8 + 4 * 16)
    merged = [plan(wide, **given_ | {"n_rows": n}).fixed_bytes for n in (10_000, 10**6, 10**9)]
    assert merged[0] < merged[1] == merged[2] >= 5000 * 16 * MAX_BUCKETS
    with pytest.raises(PlanError, match="A chunk of 60,000 rows needs"):
        plan(wide, **given_ | {"n_rows": 10**6}, chunk_rows=60_000)


@pytest.mark.parametrize("chunk_rows", [None, 200_000])
def test_as_many_workers_as_memory_allows(chunk_rows):
    """By default a machine of many cores does what one of few does; workers that were asked for are had, or refused."""
    few, many = (plan(n_workers=n, chunk_rows=chunk_rows, may_be_fewer=True) for n in (2, 64))
    assert few.n_workers == 2
    assert 2 < many.n_workers < 64
    assert many.projected_bytes <= 4 * GB < many.projected_bytes + many.chunk_bytes or chunk_rows is None
    assert many.n_workers <= many.most_workers
    assert many.chunk_rows >= (chunk_rows or 50_000), "no crumbs"
    with pytest.raises(PlanError, match=r"runtime\.workers"):
        plan(n_workers=64, chunk_rows=chunk_rows)


def test_threads_that_a_worker_does_not_share_are_planned():
    alone, with_others = plan(chunk_rows=100_000), plan(chunk_rows=100_000, n_threads=4)
    assert with_others.chunk_bytes == alone.chunk_bytes + 96 * 2**20
    assert plan(chunk_rows=100_000, n_workers=4, n_threads=4).chunk_bytes == plan(chunk_rows=100_000, n_workers=4).chunk_bytes
    fewer = plan(n_workers=64, n_threads=64, may_be_fewer=True)
    assert 1 < fewer.n_workers < 64
    assert fewer.chunk_rows > 50_000


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_worker_processes_are_planned(n_workers):
    """Each holds its libraries, and keeps its chunk's memory while this process merges and fits."""
    beside = Beside(n_workers, 300 * 2**20, server_bytes=330 * 2**20, services_bytes=50 * 2**20)
    threads = plan(chunk_rows=50_000, n_workers=n_workers)
    processes = plan(chunk_rows=50_000, n_workers=n_workers, beside=beside)
    assert processes.reserved_bytes == threads.reserved_bytes + (n_workers * 300 + 380) * 2**20
    chunks = n_workers * plan(chunk_rows=50_000).chunk_bytes
    assert processes.projected_bytes == processes.reserved_bytes + chunks + processes.fixed_bytes <= 4 * GB
    assert processes.n_workers <= processes.most_workers


@pytest.mark.parametrize(("more", "expected"), [(0, 0), (3, 0), (4, 2), (7, 2), (8, 4), (100, 4)])
def test_worker_processes_have_as_many_chunks_ahead_each(more, expected):
    """They keep the memory of the most chunks that they had at a time, also while this process merges and fits."""
    one = plan(chunk_rows=50_000, n_workers=2, beside=Beside(2, 300 * 2**20))
    chunk_bytes = one.chunk_bytes + 16 * 2**20  # what allocators keep for each of several threads
    allowed = one.reserved_bytes + one.fixed_bytes + (2 + more) * chunk_bytes
    memory = plan(chunk_rows=50_000, n_workers=2, beside=Beside(2, 300 * 2**20), allowed_bytes=allowed).with_ahead(4, 100)
    assert memory.n_ahead == expected
    if expected:
        assert memory.projected_bytes == one.reserved_bytes + one.fixed_bytes + (2 + expected) * chunk_bytes


def test_worker_processes_leave_less_for_rows():
    beside = Beside(4, 320 * 2**20)
    fewer = plan(n_workers=4, allowed_bytes=2 * GB, beside=beside, may_be_fewer=True)
    assert 1 <= fewer.n_workers < 4
    assert fewer.projected_bytes <= 2 * GB
    with pytest.raises(PlanError) as refusal:
        plan(n_workers=4, allowed_bytes=GB, beside=replace(beside, server_bytes=2**28))
    message = "1.70 of them in use before it starts, 1.25 by 4 worker processes, 0.25 by its own Prefect server"
    assert message in str(refusal.value)
    assert "lower runtime.workers (now 4)" in str(refusal.value)


def test_threads_of_several_workers_keep_memory():
    alone, two = plan(chunk_rows=100_000), plan(chunk_rows=100_000, n_workers=2)
    assert two.chunk_bytes == alone.chunk_bytes + 16 * 2**20


def test_one_worker_is_not_told_to_be_fewer():
    with pytest.raises(PlanError, match=r"over the 0\.25 GiB") as refusal:
        plan(n_workers=64, allowed_bytes=2**28, may_be_fewer=True)
    assert "runtime.workers" not in str(refusal.value)


def test_rows_of_one_time_leave_memory_to_fewer_workers():
    planned = plan(n_workers=8, may_be_fewer=True)
    crowded = planned.with_chunk(4_000_000, SIZES)
    assert 1 <= crowded.n_workers < planned.n_workers == 8
    assert crowded.projected_bytes <= 4 * GB
    with pytest.raises(PlanError, match=r"lower runtime\.workers \(now 8\)"):
        plan(n_workers=8).with_chunk(4_000_000, SIZES)


UNORDERED = replace(SIZES, in_order=False)


def test_pieces_that_are_partitioned_have_more_rows_than_chunks_where_memory_allows_it():
    roomy, narrow = plan(UNORDERED, chunk_rows=20_000), plan(UNORDERED, chunk_rows=20_000, allowed_bytes=GB // 3)
    assert (input_rows(UNORDERED, roomy), input_rows(UNORDERED, narrow)) == (INPUT_ROWS, 20_000)
    wide = replace(UNORDERED, read_bytes=2**13)
    assert input_rows(wide, plan(wide, chunk_rows=500)) == 2**14
    for memory in (roomy, narrow):
        with_inputs = memory.with_inputs(input_rows(UNORDERED, memory), UNORDERED)
        assert with_inputs.chunk_bytes == max(memory.chunk_bytes, partition_bytes(UNORDERED, input_rows(UNORDERED, memory)))
        assert with_inputs.projected_bytes <= with_inputs.allowed_bytes


@given(chunk_rows=st.integers(80, 10**5), read_bytes=st.floats(1, 10**4), n_features=st.integers(0, 300))
def test_a_piece_of_as_many_rows_as_a_chunk_needs_no_more_memory(chunk_rows, read_bytes, n_features):
    sizes = replace(UNORDERED, read_bytes=read_bytes, n_features=n_features)
    memory = plan(sizes, chunk_rows=chunk_rows, allowed_bytes=400 * GB)
    assert partition_bytes(sizes, chunk_rows) <= memory.chunk_bytes


def test_counting_entities_is_planned_on_as_many_threads_as_fit():
    few, many = (Counting(n, INPUT_ROWS, 16.0) for n in (10**6, 10**12))
    assert few.thread_bytes < many.thread_bytes == Counting(10**9, INPUT_ROWS, 16.0).thread_bytes < 256 * 2**20
    memory, n_threads = plan(chunk_rows=1_000).with_counting(many, n_threads=200)
    assert n_threads == (4 * GB - 200 * 2**20) // many.thread_bytes < 200
    assert memory.projected_bytes == 200 * 2**20 + n_threads * many.thread_bytes <= 4 * GB
    assert plan().with_counting(few, n_threads=2)[1] == 2
    with pytest.raises(PlanError, match=r"Counting the rows of every entity needs 16\.04 GiB, 0\.20 are in use beside it"):
        plan().with_counting(replace(few, row_bytes=2**15), n_threads=8)


def test_small_tables_need_little():
    assert plan(n_rows=10, allowed_bytes=GB).chunk_rows == 10


def test_rows_of_one_time_need_room_of_their_own():
    memory = plan(chunk_rows=1000)
    assert memory.with_chunk(1000, SIZES) is memory
    larger = memory.with_chunk(200_000, SIZES)
    assert larger.projected_bytes == plan(chunk_rows=200_000).projected_bytes
    assert larger.chunk_rows == 1000
    with pytest.raises(PlanError, match=r"50,000,000 rows have the same time.* over the 4\.00 GiB .*runtime.max_memory_gb"):
        memory.with_chunk(50_000_000, SIZES)


@given(
    allowed=st.integers(GB // 2, 16 * GB),
    n_workers=st.integers(1, 8),
    n_items=st.integers(0, 40),
    chunk_rows=st.integers(1_000, 300_000),
    most=st.integers(0, 20),
)
def test_chunks_ahead_take_memory_that_is_left(allowed, n_workers, n_items, chunk_rows, most):
    """A chunk that is read or written while another is computed counts like one that is computed."""
    asked = {"allowed_bytes": allowed, "n_workers": n_workers, "chunk_rows": chunk_rows}
    try:
        without = plan(**asked)
    except PlanError:
        return
    memory = without.with_ahead(most, n_items)
    assert 0 <= memory.n_ahead <= max(0, min(most, n_items - n_workers))
    assert (memory.n_workers, memory.chunk_rows) == (without.n_workers, without.chunk_rows)
    assert memory.projected_bytes <= allowed
    in_flight = memory.n_workers + memory.n_ahead
    assert memory.projected_bytes == memory.reserved_bytes + max(in_flight * memory.chunk_bytes, memory.fixed_bytes)
    assert memory.spare_bytes * in_flight <= allowed - memory.projected_bytes
    # Half of what is left stays for texts that take more than planned.
    assert memory.n_ahead * memory.chunk_bytes <= max(0, memory.most_workers - n_workers) * memory.chunk_bytes / 2
    if not memory.n_ahead:
        assert memory == without


def test_a_small_limit_leaves_no_chunk_ahead():
    """Neither does a table of one chunk; with room, a worker has one that is read and one that is written."""
    one = plan(chunk_rows=100_000)
    tight = plan(chunk_rows=100_000, allowed_bytes=one.projected_bytes + 2 * one.chunk_bytes - 1)
    assert tight.with_ahead(AHEAD, 100).n_ahead == 0
    assert one.with_ahead(AHEAD, 1).n_ahead == 0
    assert one.with_ahead(AHEAD, 2).n_ahead == 1
    assert one.with_ahead(AHEAD, 100).n_ahead == AHEAD == 2
    assert plan(chunk_rows=100_000, n_workers=2).with_ahead(2 * AHEAD, 100).n_ahead == 2 * AHEAD
