"""Rows of a series as a table."""

import numpy as np
import pytest

from emberharmony import ops
from emberharmony.backend import select
from emberharmony.stats.rows import compute_dtype, rows_with_ones


@pytest.mark.parametrize("n_rows", [0, 1, 7, 12])
@pytest.mark.parametrize("more", [0, 1, 20])
def test_rows_with_ones(backend, n_rows, more):
    rows = np.random.default_rng(0).normal(size=(2, n_rows)).astype(np.float32)
    rows.flags.writeable = False
    got = rows_with_ones(rows, n_rows + more)
    assert got.dtype == compute_dtype()
    expected = np.concatenate([np.concatenate([rows, np.ones((1, n_rows))]).T, np.zeros((more, 3))])
    np.testing.assert_array_equal(got.numpy(), expected)


def test_rows_of_a_wider_block_need_not_adjoin(backend):
    rows = np.arange(40, dtype=np.float32).reshape(2, 20)[:, 3:9]
    assert not rows.flags.c_contiguous
    assert rows_with_ones(rows, 6).numpy()[:, 0].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def test_the_host_computes_in_double(backend):
    assert select().float64 == (compute_dtype() == ops.float64)
