"""Splits of a chunk's rows: the same for any chunking."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.columns import ROW_NUMBER
from emberharmony.splits import SPLITS, SplitSpec, TimeBoundaries
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
    assert not SPLITTERS["sequential"].needs_rows


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
