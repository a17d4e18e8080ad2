"""Runs of equal neighbours, against `itertools.groupby`."""

from functools import reduce
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.stats.hashing import runs_of
from emberharmony.stats.runs import Runs

CUTS = st.lists(st.integers(0, 30), max_size=6)


def expected(values):
    lengths = [len(list(run)) for _, run in groupby(values)]
    return len(values), len(lengths), sum(length for length in lengths if length > 1)


def pieces(values, cuts):
    ends = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    return [values[a:b] for a, b in pairwise(ends)]


@given(st.lists(st.sampled_from([-(2**63), 0, 1, 2**63 - 1]), max_size=30), CUTS)
def test_any_chunking_gives_the_same_runs(values, cuts):
    merged = reduce(Runs.merge, (Runs.of(np.array(part, np.int64)) for part in pieces(values, cuts)), Runs())
    assert (merged.n_rows, merged.n_runs, merged.n_shared) == expected(values)
    assert merged == Runs.of(np.array(values, np.int64))


@given(st.lists(st.tuples(st.sampled_from(["a", "", None]), st.sampled_from(["a", None])), max_size=30), CUTS)
def test_rows_of_several_columns(rows, cuts):
    """Null is a value of its own, and not the empty text."""

    def of(part):
        return runs_of([pa.chunked_array([pa.array([row[i] for row in part], pa.large_string())]) for i in range(2)])

    merged = reduce(Runs.merge, map(of, pieces(rows, cuts)), Runs())
    assert (merged.n_rows, merged.n_runs, merged.n_shared) == expected(rows)
