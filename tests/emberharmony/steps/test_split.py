"""Splits of a chunk's rows: the same for any chunking."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.planning.chunks import LAST_TICK, in_range
from emberharmony.splits import NEVER, SPLITS, SplitSpec, TimeBoundaries
from emberharmony.steps.split import OneSplit, TemporalSplit, row_split

N = 200
ROWS = pa.table(
    {
        ROW_NUMBER: np.arange(N),
        "t": pa.array(np.arange(N) * 10, pa.timestamp("s")),
        "k": [f"key {i // 7}" for i in range(N)],
    }
)
SPLITTERS = {
    "temporal": row_split("temporal", SplitSpec(), n_rows=N, time="t", boundaries=TimeBoundaries(1600, 1800, 0)),
    "sequential": row_split("sequential", SplitSpec("sequential"), n_rows=N),
    "hash": row_split("hash", SplitSpec("hash", keys=("k",)), n_rows=N),
    "random": row_split("random", SplitSpec("random", seed=3), n_rows=N),
}


@pytest.mark.parametrize("name", SPLITTERS)
@pytest.mark.parametrize("size", [1, 13, N])
def test_any_chunking_gives_the_same_codes(name, size):
    split = SPLITTERS[name]
    columns = ROWS.select([ROW_NUMBER, *split.columns])
    pieces = [split.codes(columns.slice(i, size), range(i, min(i + size, N))) for i in range(0, N, size)]
    np.testing.assert_array_equal(np.concatenate(pieces), split.codes(columns, range(N)))


def test_by_time_and_by_rank():
    expected = np.repeat([0, 1, 2], [160, 20, 20])
    np.testing.assert_array_equal(SPLITTERS["temporal"].codes(ROWS, range(N)), expected)
    np.testing.assert_array_equal(SPLITTERS["sequential"].codes(pa.table({}), range(N)), expected)


@pytest.mark.parametrize("name", ["sequential", "one"])
def test_ranks_decide_without_rows(name):
    split = SPLITTERS.get(name, OneSplit())
    for begin in range(0, N, 13):
        n_rows = min(13, N - begin)
        ranks = range(begin, begin + n_rows)
        np.testing.assert_array_equal(split.codes_of(ranks, None), split.codes(pa.table({}), ranks))


@pytest.mark.parametrize("gap", [0, 100])
@pytest.mark.parametrize("validation", [0, 1600, 1990, NEVER, LAST_TICK])
def test_times_decide_without_rows_unless_a_boundary_is_among_them(gap, validation):
    """All ranges of times, also those that begin or end at a boundary."""
    split, moments = TemporalSplit("t", TimeBoundaries(validation, NEVER, gap)), np.array([*range(0, 2000, 10), LAST_TICK])
    edges, known = [0, 10, 1490, 1500, 1510, 1590, 1600, 1610, 1700, 1980, 1990, LAST_TICK - 1, LAST_TICK], 0
    for start, stop in itertools.combinations(edges, 2):
        inside = moments[in_range(moments, start, stop)]
        expected = split.codes(pa.table({"t": pa.array(inside, pa.timestamp("s"))}), range(len(inside)))
        codes = split.codes_of(range(len(inside)), (start, stop))
        if codes is not None:
            known += 1
            np.testing.assert_array_equal(codes, expected)
        elif len(inside):
            assert any(start <= boundary <= stop for boundary in (validation, validation - gap, NEVER - gap))
    assert known > 20


@pytest.mark.parametrize("name", SPLITTERS)
def test_what_is_planned_of_a_chunk_decides_nothing_else(name):
    split = SPLITTERS[name]
    assert (split.codes_of(range(N), None) is None) == (name != "sequential")
    if name in ("hash", "random"):
        assert split.codes_of(range(N), (0, 10 * N)) is None


def test_rows_of_equal_keys_stay_together_and_their_runs_are_counted():
    split = SPLITTERS["hash"]
    codes = split.codes(ROWS, range(N))
    for key in range(N // 7):
        assert len(set(codes[7 * key : 7 * key + 7])) == 1
    runs = split.key_runs(ROWS, codes)
    assert {name: found.n_rows for name, found in runs.items()} == {
        name: int((codes == i).sum()) for i, name in enumerate(SPLITS)
    }


def test_other_methods_have_no_keys_and_a_state_one_split():
    assert TemporalSplit("t", TimeBoundaries(0, 1, 0)).key_runs(ROWS, np.zeros(N, np.int8)) == {}
    np.testing.assert_array_equal(OneSplit().codes(ROWS, range(N)), np.zeros(N))
