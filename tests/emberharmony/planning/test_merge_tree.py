"""Trees that states are merged by: each state in one group of each level, few states to each, and the same tree every time."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emberharmony.planning.chunks import cut_rows
from emberharmony.planning.merge_tree import (
    GRAM_STAGES,
    LEAST_BYTES,
    MOST_MERGED,
    NO_MERGES,
    PROFILE_STAGES,
    MergeLevels,
    MergeTree,
)


@given(st.integers(1, 40_000))
@example(37)
@example(1_332)
def test_every_chunk_is_below_one_group_of_each_level(n_chunks):
    tree = MergeTree.planned(GRAM_STAGES, n_chunks, LEAST_BYTES + 1)
    leaves = [[chunk] for chunk in range(n_chunks)]
    for level in range(1, tree.n_levels + 1):
        groups = tree.groups(level)
        assert groups.n_chunks == len(leaves)
        assert groups.size <= MOST_MERGED or n_chunks > MOST_MERGED**3
        leaves = [[chunk for i in groups.chunks(group) for chunk in leaves[i]] for group in range(groups.n_groups)]
    assert [chunk for group in leaves for chunk in group] == list(range(n_chunks)), "in order"
    assert len(leaves) <= tree.fan_in or n_chunks <= MOST_MERGED


def test_few_states_and_small_ones_are_left_to_the_fit():
    for n_chunks, n_bytes in ((MOST_MERGED, 2**50), (100_000, LEAST_BYTES)):
        tree = MergeTree.planned(PROFILE_STAGES, n_chunks, n_bytes)
        assert (tree.n_levels, tree.top, tree.items(cut_rows([10] * 5, 10))) == (0, "profile", {})


@pytest.mark.parametrize("n_levels", [1, 2])
def test_groups_are_ranges_of_rows(n_levels):
    chunks = cut_rows([10] * 11, 10)
    items = MergeTree(GRAM_STAGES, len(chunks), n_levels).items(chunks)
    assert list(items) == ["merge-grams", "merge-grams-2"][:n_levels]
    for groups in items.values():
        assert [group.index for group in groups] == list(range(len(groups)))
        assert sum(group.n_rows for group in groups) == 110
        assert groups[-1].first_row + groups[-1].n_rows == 110


def test_the_stages_of_levels():
    assert MergeLevels(1, 2).stages == ("merge-profiles", "merge-grams", "merge-grams-2")
    assert NO_MERGES.stages == ()
