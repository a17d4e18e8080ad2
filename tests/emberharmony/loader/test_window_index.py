"""All windows, once each, against `sliding_window_view` or a loop over the series; and those of real jobs."""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs import SPLITS, run_small, small_table, write_table
from tests.published import COLUMNS, FEATURES, loader, publish, read_all, rows


def expected_windows(table: pa.Table, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of all windows of one series, and the places of their first rows."""
    values = table.select(FEATURES).to_pandas().to_numpy()
    if len(values) < size:
        return np.empty((0, size, len(FEATURES)), np.float32), np.empty(0, np.int64)
    every = np.lib.stride_tricks.sliding_window_view(values, size, axis=0).transpose(0, 2, 1)
    return every[::stride], np.arange(len(every))[::stride]


@settings(max_examples=25)
@given(
    n_rows=st.integers(1, 40),
    part_rows=st.integers(3, 25),
    group_rows=st.integers(1, 12),
    size=st.integers(1, 9),
    stride=st.integers(1, 7),
    batch_size=st.integers(1, 12),
)
def test_windows_of_any_layout(tmp_path_factory, n_rows, part_rows, group_rows, size, stride, batch_size):
    table, folder = rows(n_rows), tmp_path_factory.mktemp("result")
    windows = {"size": size, "strides": [stride]}
    layout = {"part_rows": part_rows, "group_rows": group_rows}
    publish(folder, {"train": table}, features=FEATURES, columns=COLUMNS, windows=windows, **layout)
    of_job = loader(folder, stride=stride, batch_size=batch_size)
    batches = list(of_job)
    expected, first = expected_windows(table, size, stride)
    assert of_job.n_windows == len(expected)
    assert len(of_job) == len(batches) == -(-len(expected) // batch_size)
    assert {len(batch.features) for batch in batches[:-1]} <= {batch_size}
    if batches:
        features, label, keys = read_all(batches)
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, expected)
        frame, last = table.to_pandas(), first + size - 1
        np.testing.assert_array_equal(label, frame["y"].to_numpy()[last])
        ends = {
            "first_row": ("row_number", first),
            "last_row": ("row_number", last),
            "start_time": ("t", first),
            "end_time": ("t", last),
        }
        pd.testing.assert_frame_equal(keys, pd.DataFrame({name: frame[c].to_numpy()[at] for name, (c, at) in ends.items()}))
    shutil.rmtree(folder)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    jumps=st.sets(st.integers(0, 60)),
    layout=st.fixed_dictionaries({"part_rows": st.integers(4, 30), "group_rows": st.integers(1, 12)}),
    size=st.integers(1, 6),
    horizon=st.integers(0, 4),
    stride=st.integers(1, 5),
    kind=st.sampled_from(["entity", "gap", "both"]),
)
def test_windows_of_many_series(tmp_path_factory, lengths, jumps, layout, size, horizon, stride, kind):
    """Against a loop over the series; entities are of two columns, and a null is one of their values."""
    entity = np.repeat(np.arange(len(lengths)), lengths)
    table = rows(len(entity))
    seconds = np.cumsum([2 if kind != "entity" and place in jumps else 1 for place in range(len(entity))])
    table = table.set_column(1, "t", pa.array(seconds * 1_000, pa.timestamp("ms")))
    names = [["a", None, "b"][i % 3] for i in entity]
    table = table.append_column("name", pa.array(names)).append_column("number", pa.array(entity // 2, mask=entity // 2 == 1))
    columns = COLUMNS | ({} if kind == "gap" else {"entity": ["name", "number"]})
    windows = {"size": size, "strides": [stride], "horizon": horizon} | ({} if kind == "entity" else {"max_gap": "PT1S"})
    folder = tmp_path_factory.mktemp("result")
    publish(folder, {"train": table}, features=FEATURES, columns=columns, windows=windows, **layout)

    series = pd.DataFrame({"jump": np.diff(seconds, prepend=0) > 1, "entity": 0 if kind == "gap" else entity})
    series = (series["jump"] | (series["entity"] != series["entity"].shift())).cumsum()
    first = [
        place
        for places in series.groupby(series).groups.values()
        for place in places[: max(len(places) - size - horizon + 1, 0) : stride]
    ]
    of_job = loader(folder, stride=stride, shuffle=True)
    assert of_job.n_windows == len(first)
    batches = list(of_job)
    shutil.rmtree(folder)
    if not first:
        assert not batches
        return
    features, label, keys = read_all(batches)
    order = np.argsort(keys["first_row"].map({number: i for i, number in enumerate(table["row_number"].to_pylist())}))
    first = np.array(first)
    values = table.select(FEATURES).to_pandas().to_numpy()
    np.testing.assert_array_equal(features[order], values[first[:, None] + np.arange(size)])
    np.testing.assert_array_equal(label[order], (first + size - 1 + horizon) * 0.5)
    if kind != "gap":
        assert keys.columns[:2].tolist() == ["name", "number"]
        assert [None if pd.isna(name) else name for name in keys["name"].iloc[order]] == [names[place] for place in first]


@pytest.mark.parametrize(("chunk_rows", "horizon"), [(23, 2), (400, 0)])
def test_windows_of_a_job_of_many_series(tmp_path, chunk_rows, horizon):
    """They have the keys and targets of the published windows, in the same order."""
    table = small_table(400, order="shuffled")
    numbers = np.random.default_rng(0).integers(0, 9, 400) ** 2 // 7
    table = table.append_column("sensor", pa.array([None if number == 4 else f"s{number}" for number in numbers]))
    source = write_table(table, tmp_path / "t.parquet", group_rows=90)
    columns = {"time": "t", "target": "y", "drop": ["name"], "entity": ["sensor"]}
    windows = {"size": 4, "strides": [1, 3], "max_gap": "P1D", "horizon": horizon}
    published = run_small(source, tmp_path / "out", columns=columns, windows=windows, runtime={"chunk_rows": chunk_rows})
    assert published.manifest["series"]["train"]
    for split in SPLITS:
        for stride, of_split in published.windows.items():
            expected = of_split[split].select(["sensor", "first_row", "last_row", "start_time", "end_time"])
            of_job = loader(tmp_path / "out", split=split, stride=stride)
            assert of_job.n_windows == len(expected)
            _, label, keys = read_all(of_job)
            pd.testing.assert_frame_equal(keys, expected.to_pandas())
            np.testing.assert_array_equal(label, of_split[split]["y"].to_numpy())


def test_windows_of_a_job(tmp_path):
    """They have the keys and targets of the published windows, and the rows that those say."""
    source = write_table(small_table(400, order="ties"), tmp_path / "t.parquet", group_rows=90)
    job = {"columns": {"time": "t", "target": "y", "drop": ["name"]}, "windows": {"size": 4, "strides": [1, 3]}}
    published = run_small(source, tmp_path / "out", runtime={"chunk_rows": 60}, **job)
    for split in SPLITS:
        for stride, windows in published.windows.items():
            of_job = loader(tmp_path / "out", split=split, stride=stride)
            features, label, keys = read_all(of_job)
            assert of_job.n_windows == published.manifest["strides"][str(stride)]["windows"][split]
            assert of_job.feature_names == tuple(published.feature_names)
            expected = windows[split].select(["first_row", "last_row", "start_time", "end_time"]).to_pandas()
            pd.testing.assert_frame_equal(keys, expected)
            np.testing.assert_array_equal(label, windows[split]["y"].to_numpy())
            block, numbers = published.block(split), published.features[split]["row_number"].to_pylist()
            places = np.array([numbers.index(number) for number in keys["first_row"]])
            np.testing.assert_array_equal(features, block[places[:, None] + np.arange(4)])
