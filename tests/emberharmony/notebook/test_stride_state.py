"""A processor that is saved and loaded."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from emberharmony.errors import BackendUnavailableError, DataError
from emberharmony.features import TerabyteTemporalStrideProcessor
from emberharmony.notebook.stride_state import FittedStride, Tail, state_arrays, state_of_arrays
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.window_gram import WindowGram
from tests.frames import rows_of


def test_a_saved_processor_goes_on(tmp_path):
    frame = pd.DataFrame(rows_of(120), columns=["a", "b", "c"])
    processor = TerabyteTemporalStrideProcessor(5, (1, 3), 3, batch_size=50)
    with pytest.raises(NotFittedError):
        processor.save(tmp_path / "strides")
    processor.process_large_dataset([frame[:100]])
    processor.save(tmp_path / "strides")
    loaded = TerabyteTemporalStrideProcessor.load(tmp_path / "strides", verbose=False)
    for stride, scores in processor.process_large_dataset([frame[100:]]).items():
        np.testing.assert_array_equal(loaded.process_batch(frame)[stride], processor.process_batch(frame)[stride])
        assert loaded.get_explained_variance(stride) == processor.get_explained_variance(stride)
        continued = TerabyteTemporalStrideProcessor.load(tmp_path / "strides").process_large_dataset([frame[100:]])
        np.testing.assert_array_equal(continued[stride], scores)
    with pytest.raises(DataError, match="have a, b, c"):
        loaded.process_batch(frame.rename(columns={"a": "z"}))
    with pytest.raises((ValueError, BackendUnavailableError), match="cupy"):
        TerabyteTemporalStrideProcessor(preferred_backend="cupy")


@pytest.mark.parametrize("n_rows", [0, 3])
def test_models_and_tail_survive_as_arrays(n_rows):
    state = WindowGram.of(np.random.default_rng(0).normal(size=(2, 40)).astype(np.float32), start=0, size=3, stride=2)
    shift = np.array([1e6, -3.0])
    fitted = {2: FittedStride.of(WindowPCA.fit(state, PCASpec(2)), shift)}
    np.testing.assert_allclose(fitted[2].pca.mean - fitted[2].shifted.mean, np.tile(shift, 3), rtol=1e-6)
    tail = Tail(7, np.arange(2.0 * n_rows).reshape(n_rows, 2))
    models, found = state_of_arrays(state_arrays(fitted, tail))
    assert (list(models), found.start) == ([2], 7)
    np.testing.assert_array_equal(models[2].pca.components, fitted[2].pca.components)
    np.testing.assert_array_equal(found.rows, tail.rows)
    segment = found.segment(shift)
    assert (segment.start, segment.block.shape, segment.block.dtype) == (7, (2, n_rows), np.float32)
    np.testing.assert_allclose(Tail.of(segment, shift).rows, tail.rows, atol=0.1)
    assert state_of_arrays(state_arrays(fitted, None))[1] is None
