"""Scores at the ends of float32, and the memory of both passes."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest

from emberharmony.features import TerabyteTemporalStrideProcessor
from emberharmony.notebook.matrix_batch import MatrixBatches
from emberharmony.notebook.series_spool import SeriesSpool
from emberharmony.notebook.window_passes import gram_states
from emberharmony.windows import WindowSpec
from tests.frames import rows_of, windows_of


def test_large_values_have_finite_scores(backend):
    rows = rows_of(60) * 1e30
    processor = TerabyteTemporalStrideProcessor(3, (1,), 2, preferred_backend=backend)
    scores = processor.process_large_dataset([rows])[1]
    reference = TerabyteTemporalStrideProcessor(3, (1,), 2, preferred_backend="numpy").process_large_dataset([rows_of(60)])[1]
    np.testing.assert_allclose(scores / np.float32(1e30), reference, atol=1e-4)


def test_scores_beyond_float32_are_clipped(backend, caplog):
    processor = TerabyteTemporalStrideProcessor(3, (1,), 2, preferred_backend=backend)
    processor.process_batch(rows_of(60))
    largest = np.finfo(np.float32).max
    scores = processor.process_batch(np.full((9, 3), 0.9) * largest * [1, 1, -1])[1]
    assert np.isfinite(scores).all()
    direct = np.full((1, 9), 0.9) * float(largest) * np.tile([1, 1, -1], 3) @ processor.pca_models[1].components_.T
    np.testing.assert_allclose(scores, np.clip(np.repeat(direct, 7, axis=0), -largest, largest), rtol=1e-4)
    assert ("scores are beyond float32" in caplog.text) == bool((np.abs(direct) > largest).any())


def test_memory_does_not_grow_with_the_rows():
    def peak(n_batches):
        processor = TerabyteTemporalStrideProcessor(5, (1, 3), 4, batch_size=8_000)
        rng = np.random.default_rng(0)
        gc.collect()
        tracemalloc.start()
        scores = processor.process_large_dataset(rng.normal(size=(8_000, 8)) for _ in range(n_batches))
        assert len(scores[1]) == n_batches * 8_000 - 4
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # what is imported late
    assert peak(60) < 1.1 * peak(6)


@pytest.mark.parametrize("new_series", [False, True])
@pytest.mark.parametrize("batch_rows", [1, 7, 100])
def test_states_count_every_window_once(new_series, batch_rows):
    windows, parts = WindowSpec(4, (1, 3)), np.split(rows_of(60), [25, 27])
    with SeriesSpool() as spool:
        for batch in MatrixBatches(parts):
            spool.add(batch, np.array([0] if new_series or not spool.n_rows else [], np.int64))
        states = gram_states(spool, windows, batch_rows)
        ends = [0, 25, 27, 60] if new_series else [0, 60]
        series = [spool.read(a, b).T.astype(np.float64) for a, b in itertools.pairwise(ends)]
    for state in states:
        built = np.concatenate([windows_of(rows, 4, state.stride) for rows in series])
        values = np.arange(len(state.gram)) % 4 != 3  # every row ends with a constant one
        assert state.n_windows == len(built)
        np.testing.assert_allclose(state.gram[np.ix_(values, values)], built.T @ built, atol=1e-8)
