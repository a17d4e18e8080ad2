"""Hashes of texts: the same everywhere, of each row's columns in their order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.stats.hashing import hash_rows, hash_strings, runs_of

TEXTS = pa.array(["a", "b", None, "a", ""])


def test_hashes_do_not_change_between_versions():
    """Splits by hash were published with these."""
    assert hash_strings(pa.array(["a", ""])).tolist() == [13950350942979735504, 1760245841805064774]
    np.testing.assert_array_equal(hash_strings(TEXTS), hash_strings(pa.chunked_array([TEXTS.slice(0, 2), TEXTS.slice(2)])))


def test_equal_rows_hash_alike_and_the_order_of_columns_matters():
    a, b = pa.array(["x", "y", "x"]), pa.array(["y", "x", "y"])
    ab, ba = hash_rows([a, b]), hash_rows([b, a])
    assert ab[0] == ab[2] != ab[1]
    assert ab[0] != ba[0]
    assert (hash_rows([a, b], seed=1) != ab).all()


@pytest.mark.parametrize("n", [0, 1])
def test_runs_of_few_rows(n):
    assert runs_of([pa.chunked_array([TEXTS.slice(0, n)], pa.string())]).n_runs == n


def test_runs_end_where_any_column_changes():
    a = pa.chunked_array([["k", "k", "k", None, None, "k"]])
    b = pa.chunked_array([["1", "1", "2", "2", "2", "2"]])
    assert runs_of([a]).n_runs == 3
    assert runs_of([a, b]).n_runs == 4
