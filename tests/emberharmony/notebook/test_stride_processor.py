"""The processor against scikit-learn on windows that are all built."""

import gc
import logging
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from emberharmony import ops
from emberharmony.backend import get_backend
from emberharmony.errors import BackendUnavailableError, DataError, PlanError
from emberharmony.features import TerabyteTemporalStrideProcessor
from tests.backends import BACKENDS, on_device


@pytest.fixture(params=BACKENDS)
def backend(request):
    return on_device(request.param)


def rows_of(n_rows, n_features=3, seed=0):
    """Rows that hang together in time and between features, of separated variances."""
    rng = np.random.default_rng(seed)
    walk = rng.normal(size=(n_rows, n_features)).cumsum(axis=0) * 0.2
    rows = (walk + rng.normal(size=(n_rows, n_features))) * np.linspace(1.0, 2.0, n_features)
    rows.flags.writeable = False
    return rows


def windows_of(rows, size, stride):
    starts = range(0, len(rows) - size + 1, stride)
    return np.array([rows[s : s + size].ravel() for s in starts]).reshape(len(starts), size * rows.shape[1])


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


def test_frames_of_any_library_give_the_same():
    rows = pd.DataFrame(rows_of(120).astype(np.float32), columns=["a", "b", "c"])
    batches = [
        lambda f: f,
        lambda f: f.astype("float32[pyarrow]"),
        pl.from_pandas,
        lambda f: pa.Table.from_pandas(f, preserve_index=False),
        lambda f: f.to_numpy(),
        lambda f: ops.convert_to_tensor(f.to_numpy(), backend="torch"),
        lambda f: f.to_numpy().tolist(),
    ]
    results = []
    for make in batches:
        processor = TerabyteTemporalStrideProcessor(5, (1, 2), 3)
        results.append(processor.process_large_dataset(make(rows.iloc[i : i + 50]) for i in range(0, 120, 50)))
    for result in results[1:]:
        for stride in (1, 2):
            np.testing.assert_allclose(result[stride], results[0][stride], atol=1e-6)


def test_one_column_may_come_flat():
    processor = TerabyteTemporalStrideProcessor(5, (1,), 2)
    flat = rows_of(90, 1)
    scores = processor.process_large_dataset(pd.Series(part.ravel()) for part in cut(flat, 40, 50))
    assert_equals_sklearn(processor, scores, windows_of(flat, 5, 1), 1, 2)


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


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no rows"),
        ([np.zeros((0, 3))], "no rows"),
        ([np.ones((9, 3)), np.ones((9, 2))], "Batch 1 has 2 columns; the batches before it have 3"),
        ([pd.DataFrame({"a": [1.0] * 9, "b": [1.0, np.nan] + [2.0] * 7})], "Batch 0 .* column b"),
        ([np.ones((9, 2)), np.full((9, 2), np.inf)], "Batch 1 .* column 0"),
        ([np.ones((9, 2, 2))], r"shape \(9, 2, 2\)"),
        ([pd.DataFrame({"a": [1.0] * 9}), pd.DataFrame({"b": [1.0] * 9})], "columns b; .* have a"),
    ],
)
def test_bad_batches_are_named(batches, message):
    processor = TerabyteTemporalStrideProcessor(3, (1,))
    with pytest.raises(DataError, match=message):
        processor.process_large_dataset(iter(batches))
    assert not processor.pca_models


def test_bad_arguments():
    with pytest.raises(DataError, match=r"Batch 0 is not numeric in column a: .*str"):
        TerabyteTemporalStrideProcessor().process_batch(pd.DataFrame({"a": ["x"] * 20}))
    with pytest.raises(PlanError, match="needs two"):
        TerabyteTemporalStrideProcessor().process_batch(rows_of(5))
    with pytest.raises(ValueError, match="batch_size"):
        TerabyteTemporalStrideProcessor(batch_size=0)
    with pytest.raises(ValueError, match="Strides are"):
        TerabyteTemporalStrideProcessor(stride_perspectives=(0,))
    for wrong in ({"stride_perspectives": [1.0]}, {"stride_perspectives": [True]}, {"stride_perspectives": "13"}):
        with pytest.raises(TypeError, match=r"stride_perspectives is|each of stride_perspectives"):
            TerabyteTemporalStrideProcessor(**wrong)
    for name in ("window_size", "pca_components", "batch_size"):
        for wrong in (1.5, True, "5"):
            with pytest.raises(TypeError, match=f"{name} is a whole number"):
                TerabyteTemporalStrideProcessor(**{name: wrong})
    assert TerabyteTemporalStrideProcessor(stride_perspectives=np.array([1, 3])).stride_perspectives == (1, 3)


@pytest.mark.parametrize("batches", [None, "rows", {"a": [1.0]}, 7], ids=str)
def test_what_holds_no_batches_is_refused(batches):
    with pytest.raises(TypeError, match="iterable of arrays"):
        TerabyteTemporalStrideProcessor().process_large_dataset(batches)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: pd.DataFrame(x),
        lambda x: pl.from_numpy(x),
        lambda x: pa.table({str(i): x[:, i] for i in range(x.shape[1])}),
        lambda x: ops.convert_to_tensor(x, backend="torch"),
    ],
)
def test_a_matrix_is_one_batch(make):
    rows = rows_of(60)
    new = lambda: TerabyteTemporalStrideProcessor(3, (1,), 2)  # noqa: E731
    np.testing.assert_allclose(new().process_large_dataset(make(rows))[1], new().process_large_dataset([rows])[1], atol=1e-5)


@pytest.mark.parametrize(
    "rows",
    [lambda x: iter(x), lambda x: x.tolist(), lambda x: (row for _, row in pd.DataFrame(x, columns=list("abc")).iterrows())],
)
def test_rows_one_by_one_are_refused(rows):
    with pytest.raises(DataError, match="Batch 0 has one dimension, of 3 values"):
        TerabyteTemporalStrideProcessor(3, (1,)).process_large_dataset(rows(rows_of(60)))


def test_columns_of_frames_are_taken_by_name():
    frame = pd.DataFrame(rows_of(200), columns=["a", "b", "c"])
    swapped = frame[["c", "a", "b"]]
    parts = frame[:90], swapped[90:140], frame[140:]
    expected = TerabyteTemporalStrideProcessor(3, (1,), 2).process_large_dataset([frame])
    processor = TerabyteTemporalStrideProcessor(3, (1,), 2)
    np.testing.assert_allclose(processor.process_large_dataset(iter(parts))[1], expected[1], atol=1e-5)
    np.testing.assert_allclose(processor.process_batch(swapped)[1], expected[1], atol=1e-5)
    again = processor.process_large_dataset([swapped[:20]])
    np.testing.assert_allclose(again[1][2:], processor.process_batch(frame[:20])[1], atol=1e-5)
    after_array = TerabyteTemporalStrideProcessor(3, (1,), 2)
    scores = after_array.process_large_dataset([frame[:90].to_numpy(), frame[90:140], swapped[140:]])
    np.testing.assert_allclose(scores[1], expected[1], atol=1e-5)
    for wrong in (frame.rename(columns={"a": "z"}), frame[["a", "b"]]):
        with pytest.raises(DataError, match=r"Batch 0 has the columns .*; the batches before it have a, b, c"):
            processor.process_batch(wrong)


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


def test_values_beyond_float32_are_refused():
    rows = rows_of(60)
    rows = np.where(np.arange(180).reshape(60, 3) == 100, 1e39, rows)
    with pytest.raises(DataError, match="Batch 0 has values in column 1 that are beyond float32"):
        TerabyteTemporalStrideProcessor(3, (1,)).process_large_dataset([rows])


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


def test_memory_does_not_grow_with_the_rows():
    def peak(n_batches):
        processor = TerabyteTemporalStrideProcessor(5, (1, 3), 4, batch_size=2_000)
        rng = np.random.default_rng(0)
        gc.collect()
        tracemalloc.start()
        scores = processor.process_large_dataset(rng.normal(size=(2_000, 8)) for _ in range(n_batches))
        assert len(scores[1]) == n_batches * 2_000 - 4
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # what is imported late
    assert peak(60) < 1.1 * peak(6)


def test_progress_is_logged_unless_told_not_to(caplog):
    caplog.set_level(logging.INFO, "emberharmony")
    TerabyteTemporalStrideProcessor(verbose=False).process_batch(rows_of(50))
    assert not caplog.records
    TerabyteTemporalStrideProcessor().process_batch(rows_of(50))
    assert "50 rows so far" in caplog.text


@pytest.mark.parametrize("verbose", [True, False])
def test_progress_needs_no_logging_configured(verbose):
    code = (
        "import numpy as np; from emberharmony.features import TerabyteTemporalStrideProcessor as P"
        f"; P(2, (1,), 1, verbose={verbose}).process_batch(np.random.default_rng(0).normal(size=(50, 2)))"
        "; import logging; assert not logging.getLogger().handlers"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ("50 rows so far" in told.stderr) == verbose
    assert not told.stdout


def test_importing_the_features_stays_light():
    code = (
        "import sys, emberharmony.features as f"
        "; assert not {'pandas', 'sklearn', 'torch', 'prefect', 'pyarrow'} & set(sys.modules)"
        "; assert 'TerabyteTemporalStrideProcessor' in dir(f)"
        "; from emberharmony.features import TerabyteTemporalStrideProcessor"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import emberharmony.features

    with pytest.raises(AttributeError, match="nothing_here"):
        _ = emberharmony.features.nothing_here
