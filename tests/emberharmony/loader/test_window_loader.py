"""Streamed windows against `sliding_window_view` of the rows, series by series."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony import WindowLoader
from emberharmony.errors import DataError, PlanError
from tests.jobs import SPLITS, run_small, small_table, write_table
from tests.published import publish

FEATURES = ["a", "b.c", "d"]
COLUMNS = {"time": "t", "target": "y"}


def rows(n_rows: int, *, label: pa.Array | None = None) -> pa.Table:
    """Rows of which every value tells where it belongs."""
    number = np.arange(n_rows)
    features = {name: (number + i / 4).astype(np.float32) for i, name in enumerate(FEATURES)}
    return pa.table(
        {
            "row_number": number * 7 % 1_000_003,
            "t": pa.array(number, pa.timestamp("ms")),
            "y": label if label is not None else number * 0.5,
            **features,
        }
    )


def expected_windows(table: pa.Table, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of all windows of one series, and the places of their first rows."""
    values = table.select(FEATURES).to_pandas().to_numpy()
    if len(values) < size:
        return np.empty((0, size, len(FEATURES)), np.float32), np.empty(0, np.int64)
    every = np.lib.stride_tricks.sliding_window_view(values, size, axis=0).transpose(0, 2, 1)
    return every[::stride], np.arange(len(every))[::stride]


def read_all(batches) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Features, labels and keys of all batches."""
    features, labels, keys = zip(*batches, strict=True)
    return np.concatenate(features), np.concatenate(labels), pa.concat_tables(keys).to_pandas()


def first_rows(batches) -> list[int]:
    return [number for _, _, keys in batches for number in keys["first_row"].to_pylist()]


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Path:
    """103 rows in 5 parts of 3 row groups."""
    folder = tmp_path_factory.mktemp("result")
    return publish(folder, {"train": rows(103)}, features=FEATURES, columns=COLUMNS, part_rows=25, group_rows=9)


def loader(result: Path, **settings) -> WindowLoader:
    return WindowLoader(result, **{"split": "train", "stride": 1, "batch_size": 8, "buffer_rows": 20} | settings)


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


@pytest.mark.parametrize("chunk_rows", [23, 400])
def test_windows_of_a_job_of_many_series(tmp_path, chunk_rows):
    """They have the keys and targets of the published windows, in the same order."""
    table = small_table(400, order="shuffled")
    numbers = np.random.default_rng(0).integers(0, 9, 400) ** 2 // 7
    table = table.append_column("sensor", pa.array([None if number == 4 else f"s{number}" for number in numbers]))
    source = write_table(table, tmp_path / "t.parquet", group_rows=90)
    columns = {"time": "t", "target": "y", "drop": ["name"], "entity": ["sensor"]}
    windows = {"size": 4, "strides": [1, 3], "max_gap": "P1D"}
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


# ---- order --------------------------------------------------------------------------------------------------------------


def test_shuffled_windows_are_the_same_in_another_order(result):
    in_order, shuffled = loader(result), loader(result, shuffle=True)
    epochs = [first_rows(shuffled) for _ in range(3)]
    assert shuffled.state_dict()["epoch"] == 3
    for numbers in epochs:
        assert Counter(numbers) == Counter(first_rows(in_order))
        assert np.corrcoef(numbers, first_rows(in_order))[0, 1] < 0.5
    assert epochs[0] != epochs[1] != epochs[2]
    by_place = {number: i for i, number in enumerate(rows(103)["row_number"].to_pylist())}
    for features, label, keys in loader(result, shuffle=True):
        places = np.array([by_place[number] for number in keys["first_row"].to_pylist()])
        np.testing.assert_array_equal(features[:, :, 0], (places[:, None] + np.arange(3)).astype(np.float32))
        np.testing.assert_array_equal(label, (places + 2) * 0.5)


def test_the_seed_and_the_epoch_decide_the_order(result):
    one, same, other = (loader(result, shuffle=True, seed=seed) for seed in (7, 7, 8))
    first, second = first_rows(one), first_rows(one)
    assert first_rows(same) == first
    assert first_rows(other) != first
    same.set_epoch(1)
    assert first_rows(same) == second


def test_windows_are_mixed_within_a_buffer_of_several_groups(result):
    groups = rows(103)["row_number"].to_pylist()
    group_of = {number: i % 25 // 9 + 3 * (i // 25) for i, number in enumerate(groups)}
    narrow, wide = (first_rows(loader(result, shuffle=True, buffer_rows=n))[:10] for n in (1, 200))
    assert len({group_of[number] for number in narrow[:7]}) == 1
    assert len({group_of[number] for number in wide}) > 3


# ---- ranks and workers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 4, 150])
def test_ranks_share_the_windows(result, world_size, shuffle):
    shards = [first_rows(loader(result, rank=i, world_size=world_size, shuffle=shuffle)) for i in range(world_size)]
    assert Counter(chain(*shards)) == Counter(rows(103)["row_number"].to_pylist()[:101])
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_drop_last_gives_every_rank_as_many_full_batches(result, world_size):
    ranks = [loader(result, rank=i, world_size=world_size, drop_last=True) for i in range(world_size)]
    batches = [list(rank) for rank in ranks]
    assert {len(of_rank) for of_rank in batches} == {len(rank) for rank in ranks} == {101 // world_size // 8}
    assert {len(batch.features) for of_rank in batches for batch in of_rank} == {8}
    numbers = first_rows(chain(*batches))
    assert len(set(numbers)) == len(numbers)


def test_a_torch_data_loader_with_workers(result):
    """In a process of its own: the loader imports no torch, and torch knows it although it was made before."""
    code = f"""
import sys
from emberharmony import WindowLoader
loader = WindowLoader({str(result)!r}, split="train", stride=1, batch_size=8, shuffle=True, buffer_rows=20)
assert not {{"torch", "pandas", "pydantic"}} & set(sys.modules)
import torch
from torch.utils.data import DataLoader, IterableDataset
assert isinstance(loader, IterableDataset)
for workers in (0, 2):
    numbers = []
    data = DataLoader(loader, batch_size=None, num_workers=workers)
    assert len(data) == 13
    for features, label, keys in data:
        assert features.dtype == torch.float32 and features.shape[1:] == (3, 3)
        assert torch.equal(features[:, -1, 0] / 2, label.float())
        numbers += keys["first_row"].to_pylist()
    print(*numbers)
    loader.set_epoch(0)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone, workers = ([int(number) for number in line.split()] for line in done.stdout.splitlines())
    assert alone == first_rows(loader(result, shuffle=True))
    assert Counter(workers) == Counter(alone)


def test_workers_take_whole_batches_of_a_rank(result, monkeypatch):
    """The batches of two workers in turns, as a DataLoader takes them, also when they go on at a batch."""
    batches = {}
    for worker in range(2):
        monkeypatch.setattr("emberharmony.loader.window_loader._torch_worker", lambda worker=worker: (worker, 2))
        batches[worker] = [first_rows([batch]) for batch in loader(result, shuffle=True)]
        resumed = loader(result, shuffle=True)
        resumed.load_state_dict({**resumed.state_dict(), "batch": 5})
        assert [first_rows([batch]) for batch in resumed] == batches[worker][3 - worker :]
    assert list(map(len, batches.values())) == [7, 6]
    assert Counter(chain(*batches[0], *batches[1])) == Counter(rows(103)["row_number"].to_pylist()[:101])


# ---- resuming -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_batches", [0, 1, 6, 12, 13])
def test_resuming_gives_the_batches_that_are_left(result, n_batches, shuffle):
    stopped = loader(result, shuffle=shuffle)
    stopped.set_epoch(2)
    given_before = first_rows(islice(stopped, n_batches))
    resumed = loader(result, shuffle=shuffle)
    resumed.load_state_dict(stopped.state_dict())
    assert resumed.state_dict() == stopped.state_dict()
    rest = first_rows(resumed)
    whole = loader(result, shuffle=shuffle)
    whole.set_epoch(2)
    assert given_before + rest == first_rows(whole)
    assert first_rows(resumed) == first_rows(whole)  # the next epoch


def test_a_loop_that_was_left_begins_the_epoch_again(result):
    of_job = loader(result, shuffle=True)
    begun = first_rows(islice(of_job, 3))
    assert first_rows(of_job)[: len(begun)] == begun


@pytest.mark.parametrize("setting", [{"seed": 1}, {"batch_size": 9}, {"stride": 2}, {"shuffle": True}, {"world_size": 2}])
def test_a_state_of_another_order_is_refused(result, setting):
    with pytest.raises(ValueError, match=f"state is of a loader with {next(iter(setting))}"):
        loader(result, **setting).load_state_dict(loader(result).state_dict())


# ---- labels -------------------------------------------------------------------------------------------------------------


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


# ---- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"split": "tran"}, PlanError, "no split 'tran'. Did you mean 'train'"),
        ({"stride": 4}, PlanError, "no stride '4'. It has: 1, 2"),
        ({"batch_size": 0}, ValueError, "`batch_size` is at least 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "`batch_size` is a whole number, got 2.0"),
        ({"rank": 2, "world_size": 2}, ValueError, "rank 2 is not one of world_size 2"),
        ({"seed": -1}, ValueError, "`seed` is at least 0"),
    ],
)
def test_arguments_are_checked(result, setting, error, message):
    with pytest.raises(error, match=message):
        loader(result, **setting)


def test_a_result_without_windows_is_refused(tmp_path):
    with pytest.raises(DataError, match="Nothing is published at"):
        loader(tmp_path)
    publish(tmp_path, {"train": rows(5)}, features=FEATURES, windows={"strides": []})
    with pytest.raises(DataError, match="holds no windows: the job asked for none"):
        loader(tmp_path)
    publish(tmp_path, {"train": rows(5)}, features=FEATURES, kind="fit")
    with pytest.raises(DataError, match="holds no windows: the job only fitted"):
        loader(tmp_path)


def test_another_result_in_the_same_place_is_noticed(tmp_path):
    settings = {"features": FEATURES, "part_rows": 10}
    of_job = loader(publish(tmp_path, {"train": rows(40)}, **settings))
    batches = iter(of_job)
    next(batches)
    publish(tmp_path, {"train": rows(40)}, fingerprint="another", **settings)
    with pytest.raises(DataError, match="another result was published"):
        list(batches)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_part_is_an_error(tmp_path, damage):
    publish(tmp_path, {"train": rows(40)}, features=FEATURES, part_rows=10)
    of_job = loader(tmp_path)
    part = tmp_path / "features/split=train/part-00002.parquet"
    n_bytes = part.stat().st_size
    part.write_bytes(b"\0" * n_bytes if damage is None else damage)
    with pytest.raises(DataError, match="damaged"):
        list(of_job)


# ---- memory -------------------------------------------------------------------------------------------------------------


def test_memory_is_that_of_a_buffer(tmp_path):
    """The peak of NumPy's and Arrow's arrays over three epochs, for a table and for one of 8 times the rows."""
    peaks = {}
    for n_groups in (6, 48):
        table, layout = rows(n_groups * 5_000), {"part_rows": 15_000, "group_rows": 5_000}
        publish(tmp_path / str(n_groups), {"train": table}, features=FEATURES, columns=COLUMNS, **layout)
        del table
        of_job = loader(tmp_path / str(n_groups), shuffle=True, batch_size=1_000, buffer_rows=10_000)
        next(iter(of_job))
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        held = [tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before for _ in chain(*[of_job] * 3)]
        peaks[n_groups] = max(*held, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[48] < 1.1 * peaks[6]
    assert peaks[48] < 1_500_000  # 10,000 rows of 5 columns take 360 kB, all 240,000 rows 8.6 MB
