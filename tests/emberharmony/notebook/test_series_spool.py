"""Series on disk: their rows, less the means of the first batch, and their segments."""

import numpy as np
import pytest

from emberharmony.errors import DataError
from emberharmony.notebook.matrix_batch import MatrixBatches
from emberharmony.notebook.series_spool import SeriesSpool
from tests.frames import rows_of


@pytest.fixture
def spool():
    with SeriesSpool() as spool:
        yield spool


def fill(spool, parts, *, new_series):
    for batch in MatrixBatches(parts):
        spool.add(batch, np.array([0] if new_series or not spool.n_rows else [], np.int64))


def test_one_series_of_several_batches(spool):
    rows = rows_of(50) + 1e6
    fill(spool, [rows[:20], rows[20:]], new_series=False)
    np.testing.assert_allclose(spool.shift, rows[:20].mean(axis=0))
    np.testing.assert_allclose(spool.read(0, 50).T + spool.shift, rows, atol=1e-6)
    assert [(s.start, s.stop) for s in spool.segments(20, halo=4)] == [(0, 20), (16, 40), (36, 50)]
    assert (spool.last(4).start, spool.last(4).stop) == (46, 50)


def test_every_batch_a_series(spool):
    rows = rows_of(30)
    fill(spool, [rows[:10], rows[10:]], new_series=True)
    segments = list(spool.segments(15, halo=2))
    assert [(s.start, s.n_rows, s.borders.tolist()) for s in segments] == [(0, 15, [10]), (3, 17, [])]
    np.testing.assert_array_equal(segments[1].block, spool.read(13, 30))
    assert [segment.series for segment in segments] == [0, 1]
    assert [segment.series for segment in spool.segments(10, halo=2)] == [0, 1, 1]
    assert (spool.last(2).start, spool.last(99).start, spool.last(99).n_rows) == (18, 0, 20)
    assert [(s.start, s.n_rows, s.borders.tolist()) for s in spool.segments(10, halo=2)] == [
        (0, 10, []),
        (0, 10, []),
        (8, 12, []),
    ]


def test_means_beyond_float64_are_not_taken_away(spool):
    huge = np.full((4, 1), 1.5e308)
    (batch,) = MatrixBatches([huge])
    with pytest.raises(DataError, match="beyond float32"):
        spool.add(batch, np.array([0]))
    assert spool.shift.tolist() == [0.0]


def test_refusals(spool):
    with pytest.raises(DataError, match="The batches hold no rows"):
        spool.check_not_empty()
    with pytest.raises(DataError, match="Batch 1 has 2 columns; the batches before it have 3"):
        fill(spool, [rows_of(5), rows_of(5, 2)], new_series=False)
