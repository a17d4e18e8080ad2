"""Partitioning and sorting, against comparing row by row with every chunk's range and against a sort of the whole table."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.planning.chunks import LAST_TICK, Chunk
from emberharmony.steps.arrange import KeyRanges, arranged, partitioned
from emberharmony.steps.order import JobOrder

# Keys below 10, three chunks of the key 10 that are divided by ties, keys 11 to 19, two chunks of key 20, and the rest.
CHUNKS = [
    Chunk(0, 0, 1, (-5, 10)),
    Chunk(1, 1, 1, (10, 11), (-3, 4)),
    Chunk(2, 2, 1, (10, 11), (4, 5)),
    Chunk(3, 3, 1, (10, 11), (5, LAST_TICK)),
    Chunk(4, 4, 1, (11, 20)),
    Chunk(5, 5, 1, (20, 21), (-(2**63), 0)),
    Chunk(6, 6, 1, (20, 21), (0, 9)),
    Chunk(7, 7, 1, (21, LAST_TICK)),
]


def chunk_by_hand(key, tie):
    inside = [c for c in CHUNKS if c.times[0] <= key < c.times[1] or (key == LAST_TICK and c.times[1] == LAST_TICK)]
    if inside[0].ties:
        inside = [c for c in inside if c.ties[0] <= tie < c.ties[1] or (tie == LAST_TICK and c.ties[1] == LAST_TICK)]
    (chunk,) = inside
    return chunk.index


KEYS = st.one_of(st.integers(-5, 25), st.sampled_from([10, 20, LAST_TICK]))
TIES = st.one_of(st.integers(-3, 8), st.just(LAST_TICK))


@given(st.lists(st.tuples(KEYS, TIES), max_size=40))
def test_every_row_finds_the_chunk_whose_range_holds_it(rows):
    rows = [(key, min(tie, 8) if key == 20 else tie) for key, tie in rows]
    keys, ties = (np.array([row[i] for row in rows], np.int64) for i in range(2))
    assert KeyRanges(CHUNKS).chunk_of(keys, ties).tolist() == [chunk_by_hand(*row) for row in rows]


def table_of(n_rows, *, seed=0, dictionary=False, null_times=False):
    rng = np.random.default_rng(seed)
    ids = pa.array([None if i == 3 else f"id {i}" for i in rng.integers(0, 9, n_rows)], pa.string())
    return pa.table(
        {
            "row_number": np.arange(n_rows),
            "id": ids.dictionary_encode() if dictionary else ids,
            "t": pa.array(
                rng.integers(0, 50, n_rows), pa.timestamp("ms"), mask=rng.random(n_rows) < 0.2 if null_times else None
            ),
            "x": rng.normal(size=n_rows),
        }
    )


@pytest.mark.parametrize("dictionary", [False, True], ids=["text", "dictionary"])
@pytest.mark.parametrize("null_times", [False, True], ids=["all have times", "some have none"])
@pytest.mark.parametrize("n_rows", [0, 1, 200])
def test_partitioned_pieces_that_are_arranged_are_the_sorted_table(dictionary, null_times, n_rows):
    order = JobOrder(("id",), "t")
    table = table_of(n_rows, dictionary=dictionary, null_times=null_times)
    with_time = table.filter(table["t"].is_valid())
    whole = order.sorted(with_time)
    edges = [-(2**62), *np.unique(order.keys(whole))[1::2].tolist(), LAST_TICK]
    chunks = [Chunk(i, 0, 0, (a, b)) for i, (a, b) in enumerate(pairwise(edges))]
    parts = [list(partitioned(table.slice(a, 70), order, KeyRanges(chunks), len(chunks))) for a in (0, 70, 140)]
    assert all(len(of) == len(chunks) for of in parts)
    found = [arranged(pieces, order) for pieces in zip(*parts, strict=True) if sum(piece.num_rows for piece in pieces)]
    assert [row for part in found for row in part.to_pylist()] == whole.to_pylist()
    assert all(part.schema == table.schema for part in found)


def test_a_piece_has_a_dictionary_of_its_own():
    """Thousands of pieces do not each hold all values of the table."""
    table = table_of(9, dictionary=True)
    many = pa.DictionaryArray.from_arrays(pa.array([i * 100 for i in range(9)], pa.int32()), [f"id {i}" for i in range(1000)])
    table = table.set_column(1, "id", pa.chunked_array([many]))
    order = JobOrder(("id",), "t")
    chunks = [Chunk(0, 0, 0, (-(2**62), 0)), Chunk(1, 0, 0, (0, LAST_TICK))]
    pieces = list(partitioned(table, order, KeyRanges(chunks), 2))
    assert sorted(value for piece in pieces for value in piece["id"].to_pylist()) == many.to_pylist()
    for piece in pieces:
        assert piece.schema == table.schema
        assert sum(len(chunk.dictionary) for chunk in piece["id"].chunks) == piece.num_rows
