"""The processor against scikit-learn on windows that are all built."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from emberharmony import ops
from emberharmony.backend import get_backend
from emberharmony.features import TerabyteTemporalStrideProcessor
from tests.frames import rows_of, windows_of


def cut(rows, *sizes):
    ends = np.cumsum(sizes)
    assert ends[-1] == len(rows)
    return np.split(rows, ends[:-1])


def assert_equals_sklearn(processor, scores, windows, stride, k):
    reference = PCA(n_components=k, svd_solver="full").fit(windows)
    model = processor.pca_models[stride]
    assert isinstance(model, PCA)
    signs = np.sign((reference.components_ * model.components_).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(model.explained_variance_ratio_, reference.explained_variance_ratio_, atol=1e-5)
    np.testing.assert_allclose(model.components_, reference.components_ * signs, atol=1e-3)
    np.testing.assert_allclose(model.mean_, reference.mean_, atol=1e-5)
    assert scores[stride].dtype == np.float32
    assert scores[stride].shape == (len(windows), k)
    np.testing.assert_allclose(scores[stride], reference.transform(windows) * signs.T, atol=2e-4)
    np.testing.assert_allclose(scores[stride], model.transform(windows), atol=2e-4)


@pytest.mark.parametrize("sizes", [(500,), (1, 2, 3, 494), (100,) * 5, (499, 1), (7,) * 71 + (3,)], ids=str)
def test_equals_sklearn_on_built_windows(backend, sizes):
    rows = rows_of(500)
    before = get_backend()
    processor = TerabyteTemporalStrideProcessor(
        window_size=5, stride_perspectives=[1, 3, 5], pca_components=4, batch_size=64, preferred_backend=backend
    )
    scores = processor.process_large_dataset(batch for batch in cut(rows, *sizes))
    assert list(scores) == [1, 3, 5]
    for stride in (1, 3, 5):
        assert_equals_sklearn(processor, scores, windows_of(rows, 5, stride), stride, 4)
    assert get_backend() == before


@pytest.mark.parametrize(("size", "strides"), [(1, (1, 2)), (2, (5,)), (8, (3, 20))])
def test_other_sizes_and_strides(size, strides):
    rows = rows_of(400, 4)
    processor = TerabyteTemporalStrideProcessor(size, strides, 2, batch_size=11)
    scores = processor.process_large_dataset(iter(cut(rows, 3, 200, 197)))
    for stride in strides:
        assert_equals_sklearn(processor, scores, windows_of(rows, size, stride), stride, 2)


def test_default_number_of_components():
    processor = TerabyteTemporalStrideProcessor()
    scores = processor.process_large_dataset(iter([rows_of(200, 20)]))
    assert scores[1].shape == (196, 32)
    assert processor.process_batch(rows_of(30, 20))[5].shape == (6, 32)
    few = TerabyteTemporalStrideProcessor()
    assert few.process_large_dataset([rows_of(200, 3)])[1].shape == (196, 7)


def test_a_large_offset_costs_no_digits(backend):
    rows = rows_of(300) + 1e7
    processor = TerabyteTemporalStrideProcessor(4, (1,), 3, preferred_backend=backend)
    scores = processor.process_large_dataset(iter(cut(rows, 150, 150)))
    reference = PCA(3, svd_solver="full").fit(windows_of(rows, 4, 1))
    np.testing.assert_allclose(np.abs(scores[1]), np.abs(reference.transform(windows_of(rows, 4, 1))), atol=2e-3)
    np.testing.assert_allclose(processor.state_buffer, rows[-3:], rtol=1e-12)


def test_without_state_every_batch_is_a_series():
    rows = rows_of(230)
    parts = cut(rows, 100, 3, 127)
    processor = TerabyteTemporalStrideProcessor(5, (1, 3), 3, batch_size=32)
    scores = processor.process_large_dataset(iter(parts), maintain_state=False)
    for stride in (1, 3):
        windows = np.concatenate([w for part in parts if (w := windows_of(part, 5, stride)).size])
        assert_equals_sklearn(processor, scores, windows, stride, 3)
    assert processor.state_buffer is None


def test_a_later_call_continues_the_series():
    rows = rows_of(300)
    processor = TerabyteTemporalStrideProcessor(5, (1, 3), 3, batch_size=40)
    first = processor.process_large_dataset(iter(cut(rows[:200], 99, 101)))
    np.testing.assert_allclose(processor.state_buffer, rows[196:200], atol=1e-6)
    second = processor.process_large_dataset(iter(cut(rows[200:], 1, 2, 97)))
    np.testing.assert_allclose(processor.state_buffer, rows[296:], atol=1e-6)
    third = processor.process_large_dataset(iter([]))
    for stride in (1, 3):
        windows = windows_of(rows, 5, stride)
        every = np.concatenate([first[stride], second[stride], third[stride]])
        assert len(every) == len(windows)
        np.testing.assert_allclose(every, processor.pca_models[stride].transform(windows), atol=1e-4)
        assert processor.pca_models[stride].n_samples_ == len(windows_of(rows[:200], 5, stride))
    processor.reset()
    assert processor.state_buffer is None
    assert not processor.pca_models


def test_process_batch_fits_once_and_keeps_no_state(backend):
    rows = rows_of(150)
    processor = TerabyteTemporalStrideProcessor(5, (1, 3), 3, batch_size=50, preferred_backend=backend)
    scores = processor.process_batch(rows)
    for stride in (1, 3):
        assert_equals_sklearn(processor, scores, windows_of(rows, 5, stride), stride, 3)
    again = processor.process_batch(rows[:40])
    np.testing.assert_allclose(again[1], scores[1][:36], atol=1e-5)
    assert processor.process_batch(rows[:3])[3].shape == (0, 3)
    assert processor.state_buffer is None


def test_explained_variance_and_importance():
    rows = rows_of(200)
    processor = TerabyteTemporalStrideProcessor(4, (2,), 3)
    with pytest.raises(NotFittedError, match="process_large_dataset"):
        processor.get_explained_variance(2)
    processor.process_large_dataset([rows])
    reference = PCA(3, svd_solver="full").fit(windows_of(rows, 4, 2))
    assert processor.get_explained_variance(2) == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-5)
    importance = processor.get_feature_importance(2)
    assert importance.shape == (12,)
    np.testing.assert_allclose(importance, np.abs(reference.components_).sum(axis=0), atol=1e-3)
    components = ops.convert_to_tensor(processor.pca_models[2].components_)
    np.testing.assert_allclose(importance, ops.abs(components).sum(axis=0).numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"7 is not one of .*\[2\]"):
        processor.get_feature_importance(7)


def test_a_failed_generator_leaves_the_series_as_it_was():
    rows = rows_of(100)
    processor = TerabyteTemporalStrideProcessor(5, (1,), 2)
    processor.process_large_dataset([rows[:60]])

    def broken():
        yield rows[60:80]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        processor.process_large_dataset(broken())
    rest = processor.process_large_dataset([rows[60:]])
    np.testing.assert_allclose(rest[1], processor.pca_models[1].transform(windows_of(rows, 5, 1)[56:]), atol=1e-4)


def test_one_column_may_come_flat():
    processor = TerabyteTemporalStrideProcessor(5, (1,), 2)
    flat = rows_of(90, 1)
    scores = processor.process_large_dataset(pd.Series(part.ravel()) for part in cut(flat, 40, 50))
    assert_equals_sklearn(processor, scores, windows_of(flat, 5, 1), 1, 2)
