"""What is merged on the workers: states that take a fit long to read; and the memory that it takes."""

from __future__ import annotations

import pytest

from emberharmony.planning.chunks import Chunk
from emberharmony.planning.merge_tree import MergeLevels
from emberharmony.planning.merging import Merging
from emberharmony.planning.stage_bytes import RowSizes, fit_bytes, fixed_chunk_bytes
from emberharmony.windows import gram_bytes

ROWS = 131_072


def merging(n_chunks, *, n_features=300, n_numbers=300, rows=ROWS, size=5, n_strides=3, **more):
    sizes = RowSizes(read_bytes=1_200, carried_bytes=8, n_features=n_features, in_order=True, n_numbers=n_numbers)
    chunks = [Chunk(i, rows * i, rows) for i in range(n_chunks)]
    return Merging.planned(sizes, chunks, window_size=size, n_strides=n_strides, **more)


def test_a_terabyte_is_merged_by_the_workers():
    assert merging(20_000).levels == MergeLevels(2, 2)
    assert merging(20_000, n_features=45, n_numbers=16).levels == MergeLevels(2, 2)
    assert merging(500).levels == MergeLevels(1, 1)


def test_what_a_fit_reads_in_seconds_is_left_to_it():
    assert merging(32) == Merging(MergeLevels(), 0)
    assert merging(300, n_features=45, n_numbers=16).levels == MergeLevels()
    assert merging(5_000, n_strides=0).levels == MergeLevels(profiles=2)
    assert merging(5_000, has_profiles=False).levels == MergeLevels(grams=2)


def test_short_chunks_have_small_states():
    """Rows of several are joined to one state, so that states take no more than twice the rows."""
    assert merging(337, rows=1_000, size=24).levels.grams == 0
    assert merging(5_000, rows=1_000, size=24).levels.grams == 2


@pytest.mark.parametrize("n_strides", [1, 3, 6])
@pytest.mark.parametrize("size", [5, 24])
def test_memory(size, n_strides):
    """Of a worker: the states of joined rows, and their rows; no more than a fit takes that merges all of them."""
    sizes = RowSizes(1_200, 8, n_features=300, in_order=True, n_numbers=300)
    planned = merging(500, size=size, n_strides=n_strides)
    kwargs = {"window_size": size, "n_strides": n_strides}
    assert planned.chunk_bytes >= fixed_chunk_bytes(sizes, **kwargs) + n_strides * gram_bytes(size, sizes.n_features) // 2
    if size == 24:
        assert planned.chunk_bytes <= fit_bytes(sizes, **kwargs) + 2**28
