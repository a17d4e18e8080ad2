"""What a batch holds beside the features."""

import numpy as np
import pyarrow as pa
import pytest

from tests.published import COLUMNS, FEATURES, loader, publish, read_all, rows


@pytest.mark.parametrize(
    ("label", "dtype"),
    [
        (pa.array([1, 2, 3, 4], pa.int16()), np.int16),
        (pa.array([1, None, 3, 4], pa.int16()), np.float64),
        (pa.array([1.5, None, 3, 4], pa.float32()), np.float32),
        (pa.array([True, False, True, True]), np.bool_),
        (pa.array([True, False, None, True]), np.float64),
        (pa.array(["u", None, "v", "u"]), object),
        (pa.array(["u", None, "v", "u"]).dictionary_encode(), object),
    ],
)
def test_labels_have_one_dtype(tmp_path, label, dtype):
    publish(tmp_path, {"train": rows(4, label=label)}, features=FEATURES, columns=COLUMNS, windows={"size": 1}, group_rows=1)
    batches = list(loader(tmp_path, batch_size=1))
    assert {batch.label.dtype for batch in batches} == {np.dtype(dtype)}
    assert all(batch.label.flags.writeable and batch.features.flags.writeable for batch in batches)  # as torch wants it
    missing = None if dtype is object else np.nan
    expected = [missing if value is None else value for value in label.to_pylist()]
    np.testing.assert_array_equal(read_all(batches)[1], np.array(expected, dtype))


def test_without_target_and_time(tmp_path):
    publish(tmp_path, {"train": rows(5)}, features=FEATURES)
    (batch,) = loader(tmp_path)
    assert batch.label is None
    assert batch.keys.column_names == ["first_row", "last_row"]


def test_labels_some_rows_ahead(tmp_path):
    windows = {"size": 3, "strides": [2], "horizon": 4}
    publish(tmp_path, {"train": rows(30)}, features=FEATURES, columns=COLUMNS, windows=windows, part_rows=7)
    _, label, keys = read_all(loader(tmp_path, stride=2, shuffle=True))
    order = np.argsort(keys["start_time"].to_numpy())
    np.testing.assert_array_equal(label[order], (np.arange(0, 24, 2) + 6) * 0.5)


def test_without_target_a_horizon_leaves_out_no_window(tmp_path):
    publish(tmp_path, {"apply": rows(30)}, features=FEATURES, windows={"size": 3, "horizon": 4}, kind="apply")
    assert loader(tmp_path, split="apply").n_windows == 28
