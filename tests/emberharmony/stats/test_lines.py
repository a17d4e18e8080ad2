"""Rows several to a line, and blocks of lines."""

import numpy as np
import pytest

from emberharmony import ops
from emberharmony.backend import select
from emberharmony.stats import lines as module
from emberharmony.stats.lines import compute_dtype, line_blocks, lines


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("period", [1, 2, 3, 5, 20])
def test_lines(backend, n_rows, period):
    rows = np.random.default_rng(0).normal(size=(2, n_rows)).astype(np.float32)
    rows.flags.writeable = False
    got = lines(rows, period)
    assert got.dtype == compute_dtype()
    with_ones = np.concatenate([rows, np.ones((1, n_rows))]).T
    padded = np.concatenate([with_ones, np.zeros((-n_rows % period, 3))])
    np.testing.assert_array_equal(got.numpy(), padded.reshape(-1, period * 3))


def test_rows_of_a_wider_block_need_not_adjoin(backend):
    rows = np.arange(40, dtype=np.float32).reshape(2, 20)[:, 3:9]
    assert not rows.flags.c_contiguous
    assert lines(rows, 2).numpy()[:, 0].tolist() == [3.0, 5.0, 7.0]


@pytest.mark.parametrize("n_rows", [0, 1, 23, 24, 25, 100])
@pytest.mark.parametrize("period", [1, 3, 7])
def test_blocks_are_all_lines(backend, monkeypatch, n_rows, period):
    monkeypatch.setattr(module, "_HOST_BLOCK_ROWS", 24)
    rows = np.random.default_rng(0).normal(size=(2, n_rows)).astype(np.float32)
    blocks = [block.numpy() for block in line_blocks(rows, period)]
    whole = lines(rows, period).numpy() if n_rows else np.empty((0, period * 3))
    np.testing.assert_array_equal(np.concatenate([np.empty((0, period * 3)), *blocks]), whole)
    assert n_rows < 57 or len(blocks) > 1


def test_the_host_computes_in_double(backend):
    assert select().float64 == (compute_dtype() == ops.float64)
