"""The Gram matrix of windows against windows that are built, and its merge."""

import tracemalloc
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony import threads
from emberharmony.stats import WindowGram, lags
from emberharmony.stats import built as built_module
from emberharmony.stats.window_gram import GramSum, merge_segments
from tests.series import SeveralSeries, built_windows, places_by_trying, several_series


def built(rows, *, start, size, stride):
    """Windows of `rows` that start at multiples of the stride, flattened, a one after every row; and their Gram matrix."""
    n_rows = rows.shape[1]
    with_ones = np.concatenate([rows.astype(np.float64), np.ones((1, n_rows))]).T
    starts = [p for p in range(n_rows - size + 1) if (start + p) % stride == 0]
    windows = np.array([with_ones[p : p + size].ravel() for p in starts]).reshape(len(starts), size * with_ones.shape[1])
    return windows.T @ windows, len(starts)


def assert_counts(state, rows, *, start=0):
    gram, n_windows = built(rows, start=start, size=state.size, stride=state.stride)
    assert state.n_windows == n_windows
    assert state.gram.dtype == np.float64
    np.testing.assert_allclose(state.gram, gram, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(gram).max()))


def assert_counts_series(state, block, rows):
    """Check a state against the windows of each series, built one by one."""
    with_ones = np.concatenate([block, np.ones((1, rows.n_rows))])
    windows = built_windows(with_ones, places_by_trying(rows, state.size, state.stride), state.size)
    gram = windows.T @ windows
    assert state.n_windows == len(windows)
    np.testing.assert_allclose(state.gram, gram, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(gram).max()))
    last, halo = np.flatnonzero(np.r_[True, rows.numbers()[1:] == 0])[-1], state.size - 1
    assert (state.start, state.stop) == (rows.start, rows.numbers()[-1] + 1)
    assert state.is_one_series == (len(rows.lengths) == 1)
    np.testing.assert_array_equal(state.head, block[:, : min(halo, rows.lengths[0])])
    np.testing.assert_array_equal(state.tail, block[:, max(rows.n_rows - halo, last) :])


@given(several_series(), st.lists(st.integers(1, 80), max_size=4), st.integers(1, 5), st.integers(1, 4), st.integers(0, 6))
def test_only_windows_with_a_row_for_their_label_count(rows, cuts, size, stride, label_after):
    block = random_rows(2, rows.n_rows)
    states = [
        WindowGram.of_strides(
            block[:, a:b], start=start, size=size, strides=[stride], borders=borders, label_after=label_after
        )[0]
        for a, b, start, borders in rows.chunks(cuts)
    ]
    states = [WindowGram.from_arrays(state.to_arrays()) for state in states]
    merged = reduce(WindowGram.merge, states)
    with_ones = np.concatenate([block, np.ones((1, rows.n_rows))])
    windows = built_windows(with_ones, places_by_trying(rows, size + label_after, stride), size)
    assert merged.n_windows == len(windows)
    np.testing.assert_allclose(merged.gram, windows.T @ windows, rtol=1e-11, atol=1e-10)


def random_rows(n_features, n_rows, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n_features, n_rows)).astype(np.float32)
    rows.flags.writeable = False
    return rows


CASES = [
    # n_features, n_rows, size, strides
    (1, 40, 5, (1, 3, 5)),
    (3, 200, 5, (1, 3, 5)),
    (3, 201, 4, (1, 2, 4, 8)),
    (2, 100, 1, (1, 2, 7)),  # size 1
    (2, 100, 3, (4, 9, 50)),  # stride > size
    (2, 90, 2, (3, 200)),  # stride > rows
    (4, 20, 5, (1, 2)),  # 4 * size rows: the shortest that are not built
    (4, 19, 5, (1, 2)),
    (1, 150, 30, (1, 7, 30)),
    (20, 300, 10, (1, 6)),
    (2, 10, 10, (1,)),  # one window
    (2, 9, 10, (1,)),  # none
    (2, 0, 3, (1,)),
]


@pytest.mark.parametrize(("n_features", "n_rows", "size", "strides"), CASES)
@pytest.mark.parametrize("start", [0, 1, 13])
def test_equals_built_windows(backend, n_features, n_rows, size, strides, start):
    rows = random_rows(n_features, n_rows)
    states = WindowGram.of_strides(rows, start=start, size=size, strides=strides)
    assert [state.stride for state in states] == list(strides)
    for state in states:
        assert_counts(state, rows, start=start)


@pytest.mark.parametrize("block", [8, 40, 10_000])
@pytest.mark.parametrize("longest", [1, 8, 64])
@pytest.mark.parametrize("n_threads", [1, 3, 7])
def test_whatever_the_blocks_and_periods(backend, monkeypatch, block, longest, n_threads):
    """Small blocks, and every kind of plan: one period for all strides, for some, for none; on any number of threads."""
    monkeypatch.setattr(lags, "_HOST_BLOCK_ROWS", block)
    monkeypatch.setattr(lags, "_MAX_PERIOD", longest)
    monkeypatch.setattr(threads, "compute_threads", lambda: n_threads)
    rows = random_rows(2, 333)
    for start in (0, 4):
        for state in WindowGram.of_strides(rows, start=start, size=4, strides=[1, 2, 3, 7]):
            assert_counts(state, rows, start=start)


@pytest.mark.parametrize(("n_features", "size"), [(3, 5), (32, 24)])
def test_threads_change_no_last_bit(n_features, size):
    rows, grams = random_rows(n_features, 30_000), []
    for n_threads in (1, 2, 3, 7):
        with threads.limit_compute_threads(n_threads):
            grams.append(WindowGram.of(rows, start=0, size=size, stride=3).gram)
    for other in grams[1:]:
        np.testing.assert_array_equal(other, grams[0])


def test_strides_of_thousands_of_rows(backend):
    """A period as long as such a stride would be a table of its own."""
    rows = random_rows(2, 12_000)
    for state in WindowGram.of_strides(rows, start=3, size=4, strides=[900, 1_000, 5_000, 10**9]):
        assert_counts(state, rows, start=3)


@given(
    n_features=st.integers(1, 3),
    size=st.integers(1, 7),
    stride=st.integers(1, 12),
    n_rows=st.integers(0, 80),
    cuts=st.lists(st.integers(0, 80), max_size=8),
    seed=st.integers(0, 9),
)
def test_any_chunking(n_features, size, stride, n_rows, cuts, seed):
    rows = random_rows(n_features, n_rows, seed)
    ends = [0, *sorted(min(cut, n_rows) for cut in cuts), n_rows]
    states = [WindowGram.of(rows[:, a:b], start=a, size=size, stride=stride) for a, b in pairwise(ends)]
    left = reduce(WindowGram.merge, states)
    right = reduce(lambda later, earlier: earlier.merge(later), states[::-1])
    middle = len(states) // 2
    tree = reduce(WindowGram.merge, states[: middle + 1])
    if states[middle + 1 :]:
        tree = tree.merge(reduce(WindowGram.merge, states[middle + 1 :]))
    for state in (left, right, tree):
        assert_counts(state, rows)
        assert (state.start, state.stop) == (0, n_rows)
        np.testing.assert_array_equal(state.head, rows[:, : size - 1])
        np.testing.assert_array_equal(state.tail, rows[:, max(n_rows - size + 1, 0) :])


def test_chunks_shorter_than_a_window():
    rows = random_rows(2, 50)
    states = [WindowGram.of(rows[:, i : i + 1], start=i, size=6, stride=2) for i in range(50)]
    assert_counts(reduce(WindowGram.merge, states), rows)


def test_a_stretch_in_the_middle_of_a_series():
    rows = random_rows(2, 60)
    parts = [WindowGram.of(rows[:, a:b], start=100 + a, size=4, stride=3) for a, b in ((0, 17), (17, 19), (19, 60))]
    assert_counts(reduce(WindowGram.merge, parts), rows, start=100)


def test_stretches_must_adjoin():
    a = WindowGram.of(random_rows(1, 5), start=0, size=2, stride=1)
    b = WindowGram.of(random_rows(1, 5), start=6, size=2, stride=1)
    with pytest.raises(ValueError, match="one ends at row 5, the other begins at 6"):
        a.merge(b)


@pytest.mark.parametrize("n_rows", [0, 3, 50])
def test_survives_its_codec(n_rows):
    state = WindowGram.of(random_rows(2, n_rows), start=7, size=4, stride=3)
    again = WindowGram.from_arrays(state.to_arrays())
    assert (again.size, again.stride, again.start, again.stop, again.is_one_series) == (4, 3, 7, 7 + n_rows, True)
    for name in ("gram", "head", "tail"):
        np.testing.assert_array_equal(getattr(again, name), getattr(state, name))


@given(
    rows=several_series(),
    n_features=st.integers(1, 3),
    size=st.integers(1, 7),
    strides=st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True),
    cuts=st.lists(st.integers(0, 150), max_size=8),
)
def test_any_chunking_of_several_series(rows, n_features, size, strides, cuts):
    block = random_rows(n_features, rows.n_rows, len(cuts))
    whole = WindowGram.of_strides(block, start=rows.start, size=size, strides=strides, borders=rows.borders)
    parts = [
        WindowGram.of_strides(block[:, a:b], start=start, size=size, strides=strides, borders=borders)
        for a, b, start, borders in rows.chunks(cuts)
    ]
    halves = [merge_segments(half) for half in (parts[: len(parts) // 2], parts[len(parts) // 2 :]) if half]
    for state in [*whole, *merge_segments(parts), *merge_segments(halves)]:
        assert_counts_series(state, block, rows)


@pytest.mark.parametrize("strides", [(1, 3, 5), (2,), (7,), (3, 1_000)])
@pytest.mark.parametrize("longest", [3, 12, 60, 2_000])
@pytest.mark.parametrize("start", [0, 4])
def test_many_series(backend, strides, longest, start):
    lengths = np.random.default_rng(longest).integers(1, longest, max(5_000 // longest, 3)).tolist()
    rows = SeveralSeries(start, tuple(lengths))
    block = random_rows(3, rows.n_rows)
    for state in WindowGram.of_strides(block, start=start, size=5, strides=strides, borders=rows.borders):
        assert_counts_series(state, block, rows)


def test_a_series_is_followed_by_another_one():
    """The borders of series within a segment and between segments are the same."""
    block = random_rows(2, 60)
    a, b = (WindowGram.of(block[:, i : i + 30], start=0, size=4, stride=1) for i in (0, 30))
    both = WindowGram.of(block, start=0, size=4, stride=1, borders=np.array([30]))
    np.testing.assert_allclose(a.merge(b).gram, both.gram, rtol=1e-12, atol=1e-12)
    assert (both.stop, both.is_one_series, both.n_windows) == (30, False, 54)


def test_counts_stay_whole_over_many_rows():
    state = WindowGram.of(random_rows(1, 300_000), start=0, size=5, stride=1)
    assert state.n_windows == 299_996


def peak_of(work):
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("borders", [np.empty(0, np.int64), np.arange(100, 1_000, 100)], ids=["one series", "several"])
def test_matrices_in_memory(borders, monkeypatch):
    """As planned: of each stride one, and two of products; a sum is one, beside that which is added."""
    for module in (built_module, threads):
        monkeypatch.setattr(module, "SUMS_BYTES", 2**17)
    rows = random_rows(89, 1_000)
    size, strides = 12, [1, 5]

    def states():
        return WindowGram.of_strides(rows, start=0, size=size, strides=strides, borders=borders)

    n_bytes, blocks = states()[0].gram.nbytes, 8 * 1_100 * 90 * 3
    for allowed, work in ((4, states), (1.2, merging(states()[0], WindowGram.of(rows, start=0, size=size, stride=1)))):
        _, peak = peak_of(work)
        assert peak <= allowed * n_bytes + blocks


def merging(first, second):
    def merge():
        total = GramSum(owns=True)
        total.add(first)
        total.add(second)
        return total.state

    return merge


@pytest.mark.parametrize("owns", [False, True])
@pytest.mark.parametrize("cuts", [[0, 7, 7, 30, 60], [0, 0, 7, 30, 60]])
def test_a_sum_changes_no_matrix_but_its_own(cuts, owns):
    rows = random_rows(2, 60)
    parts = [WindowGram.of(rows[:, a:b], start=a, size=4, stride=1) for a, b in pairwise(cuts)]
    before = [part.gram.copy() for part in parts]
    total = GramSum(owns=owns)
    for part in parts:
        total.add(part)
    assert_counts(total.state, rows)
    same = [np.array_equal(part.gram, gram) for part, gram in zip(parts, before, strict=True)]
    assert all(same) or (owns and same.count(False) == 1)
