"""Batches of every library and form: a matrix of numbers, or an error that names batch and column."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from emberharmony import ops
from emberharmony.errors import DataError
from emberharmony.features import TerabyteTemporalStrideProcessor
from tests.frames import rows_of


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


def test_values_beyond_float32_are_refused():
    rows = rows_of(60)
    rows = np.where(np.arange(180).reshape(60, 3) == 100, 1e39, rows)
    with pytest.raises(DataError, match="Batch 0 has values in column 1 that are beyond float32"):
        TerabyteTemporalStrideProcessor(3, (1,)).process_large_dataset([rows])
