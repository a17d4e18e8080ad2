"""Groups of chunks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.planning.chunk_groups import MOST_PARTS, ChunkGroups, partition_levels
from emberharmony.planning.chunks import cut_rows


@given(st.integers(1, 500), st.integers(1, 60))
def test_every_chunk_is_in_one_group(n_chunks, size):
    groups = ChunkGroups(n_chunks, size)
    members = [chunk for group in range(groups.n_groups) for chunk in groups.chunks(group)]
    assert members == list(range(n_chunks))
    assert all(chunk in groups.chunks(groups.of(chunk)) for chunk in range(n_chunks))


@pytest.mark.parametrize(
    ("n_inputs", "n_chunks"), [(1, 1), (1_000, 4_000), (1_000, 4_001), (24_000, 20_000), (160_000, 20_000)]
)
def test_no_partitioning_has_too_many_parts(n_inputs, n_chunks):
    groups = ChunkGroups.planned(n_inputs=n_inputs, n_chunks=n_chunks)
    assert (groups.size == 1) == (n_inputs * n_chunks <= MOST_PARTS)
    assert n_inputs * groups.n_groups <= max(MOST_PARTS, n_inputs * math.ceil(math.sqrt(n_chunks)))


def test_groups_are_ranges_of_rows(monkeypatch):
    inputs, chunks = cut_rows([10] * 5, 10), cut_rows([10] * 5, 10)
    assert partition_levels((), chunks) == 0
    assert partition_levels(inputs, chunks) == 1
    assert ChunkGroups.of_plan(inputs, chunks).as_items(chunks) == ()
    monkeypatch.setattr("emberharmony.planning.chunk_groups.MOST_PARTS", 24)
    assert partition_levels(inputs, chunks) == 2
    items = ChunkGroups.of_plan(inputs, chunks).as_items(chunks)
    assert [(item.index, item.first_row, item.n_rows) for item in items] == [(0, 0, 30), (1, 30, 20)]
