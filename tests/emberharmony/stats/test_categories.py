"""Exact counts of categories, in bounded memory."""

from collections import Counter
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats import CategoryCounts, categories
from emberharmony.stats.categories import top_categories
from emberharmony.stats.hashing import hash_rows, hash_strings

words = st.one_of(st.none(), st.sampled_from(["a", "b", "", "A", "ä", "日本", "a b", "a\x00b"]), st.text(max_size=3))
# Surrogates are no text: neither UTF-8 nor Arrow can hold them.
columns = st.lists(
    st.lists(words.filter(lambda w: w is None or not any("\ud800" <= c <= "\udfff" for c in w)), max_size=20), max_size=5
)


def expected_top(chunks, k):
    counts = Counter(word for chunk in chunks for word in chunk if word is not None)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:k], len(counts)


def state_of(chunk):
    return CategoryCounts.of(pa.array(chunk, pa.string()))


def top_of(states, k, *, max_bytes):
    return top_categories(lambda: [{"x": state} for state in states], ["x"], k, max_bytes=max_bytes)["x"]


@given(columns, st.integers(1, 8), st.integers(20, 600))
def test_counts_are_exact_whatever_the_memory(chunks, k, max_bytes):
    states = [state_of(chunk) for chunk in chunks]
    top = top_of(states, k, max_bytes=max_bytes)
    assert (list(top.values), top.n_distinct) == expected_top(chunks, k)


@given(st.lists(columns, min_size=1, max_size=4), st.integers(20, 2000))
def test_columns_that_are_counted_together_do_not_mix(tables, max_bytes):
    n_chunks = max(map(len, tables))
    chunks = [[*table, *[[]] * (n_chunks - len(table))] for table in tables]
    states = [{str(c): state_of(column[i]) for c, column in enumerate(chunks)} for i in range(n_chunks)]
    found = top_categories(lambda: states, [str(c) for c in range(len(chunks))], 3, max_bytes=max_bytes)
    for c, column in enumerate(chunks):
        assert (list(found[str(c)].values), found[str(c)].n_distinct) == expected_top(column, 3)


def test_columns_that_fit_together_are_counted_in_one_pass():
    states = [{f"c{c}": state_of([f"{c}-{v}" for v in range(20)]) for c in range(100)} for _ in range(50)]
    passes = []
    found = top_categories(lambda: passes.append(1) or states, states[0], 5)
    assert len(passes) == 1
    assert all(len(top.values) == 5 and top.n_distinct == 20 for top in found.values())


def test_a_column_that_does_not_fit_takes_passes_of_its_own():
    """The others are counted in the first pass, beside a part of it, which shows in how many portions it has to be counted."""
    large = [[f"value {i}" for i in range(first, first + 500)] for first in range(0, 4000, 500)]
    states = [{"large": state_of(values), "small": state_of(["a", "b"])} for values in large]
    n_bytes = sum(state["large"].n_bytes for state in states)
    passes = []
    found = top_categories(lambda: passes.append(1) or states, ["small", "large"], 2, max_bytes=n_bytes // 4)
    assert found["large"].n_distinct == 4000
    assert found["small"].values == [("a", 8), ("b", 8)]
    assert 5 <= len(passes) <= 7  # 1 + 4 x 1.1


def test_a_value_larger_than_the_bound_is_counted():
    states = [state_of(["x" * 1000, "y"]), state_of(["x" * 1000])]
    assert top_of(states, 2, max_bytes=50) == ([("x" * 1000, 2), ("y", 1)], 2)


@given(columns, st.integers(20, 600))
def test_no_merge_holds_much_more_than_its_bound(chunks, max_bytes):
    """Bounded: what is merged at once is at most the bound, a state, and what is merged already."""
    states = [state_of(chunk) for chunk in chunks]
    largest = max((state.n_bytes for state in states), default=0)
    held = []
    merge_all = CategoryCounts.merge_all.__func__

    def watched(cls, parts):
        parts = list(parts)
        held.append(sum(part.n_bytes for part in parts))
        return merge_all(cls, parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CategoryCounts, "merge_all", classmethod(watched))
        top_of(states, 3, max_bytes=max_bytes)
    # A portion holds about `max_bytes` of the distinct ones; by chance of the hash a few more.
    assert max(held, default=0) <= 3 * max_bytes + largest + 200


@given(columns)
def test_any_merge_order(chunks):
    states = [state_of(chunk) for chunk in chunks]
    expected, n_distinct = expected_top(chunks, 100)
    for order in (states, states[::-1]):
        merged = reduce(CategoryCounts.merge, order, CategoryCounts.empty())
        assert merged.top(100) == expected
        assert merged.n_distinct == n_distinct


def test_ties_go_by_value():
    assert state_of(["b", "a", "c", "c", "B"]).top(3) == [("c", 2), ("B", 1), ("a", 1)]


@given(st.lists(words.filter(lambda w: w is None or not any("\ud800" <= c <= "\udfff" for c in w)), max_size=20))
def test_survives_its_codec(chunk):
    state = state_of(chunk)
    arrays = state.to_arrays()
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in arrays.values())
    again = CategoryCounts.from_arrays(arrays)
    assert again.table.equals(state.table)
    assert again.merge(state).top(1) == [(v, 2 * n) for v, n in state.top(1)]


def test_slices_of_larger_arrays_survive_too():
    column = pa.chunked_array([pa.array(["x", "yy", None, "zzz"])]).slice(1, 3)
    state = CategoryCounts.of(column)
    state = type(state)(state.table.slice(1, 1))
    assert CategoryCounts.from_arrays(state.to_arrays()).top(9) == [("zzz", 1)]


@given(columns, st.integers(1, 5))
def test_portions_divide_the_values(chunks, n):
    state = CategoryCounts.merge_all([state_of(chunk) for chunk in chunks])
    portions = [state.portion(i, n) for i in range(n)]
    assert sum(portion.n_distinct for portion in portions) == state.n_distinct
    assert sorted(v for p in portions for v in p.table["value"].to_pylist()) == sorted(state.table["value"].to_pylist())


def test_many_distinct_values():
    rng = np.random.default_rng(0)
    chunks = [[f"v{i}" for i in rng.integers(0, 20_000, 5_000)] for _ in range(6)]
    states = [state_of(chunk) for chunk in chunks]
    for max_bytes in (10_000, categories.MAX_MERGED_BYTES):
        top = top_of(states, 50, max_bytes=max_bytes)
        assert (list(top.values), top.n_distinct) == expected_top(chunks, 50)


def test_hashes_do_not_change():
    """Splits by hash are part of what was published: another hash would move rows between train and test."""
    assert hash_strings(pa.array(["a", "", None, "日本"])).tolist() == HASHES
    assert hash_rows([pa.array(["a", "b"]), pa.array(["b", "a"])], seed=1).tolist() == ROW_HASHES
    chunked = pa.chunked_array([["a"], ["", None], ["日本"]])
    assert hash_strings(chunked).tolist() == HASHES


HASHES = [13950350942979735504, 1760245841805064774, 8385562840259582418, 17040212410883982529]
ROW_HASHES = [15398857873929575076, 11148734109306126014]
