"""Orders, ranks, workers, resuming, and memory of a loader."""

import gc
import json
import pickle
import subprocess
import sys
import tracemalloc
from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError, PlanError
from tests.faults.victims import told_by
from tests.published import COLUMNS, FEATURES, first_rows, loader, publish, rows


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> Path:
    """103 rows in 5 parts of 3 row groups."""
    folder = tmp_path_factory.mktemp("result")
    return publish(folder, {"train": rows(103)}, features=FEATURES, columns=COLUMNS, part_rows=25, group_rows=9)


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
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    resumed = pickle.loads(pickle.dumps(resumed))  # as for workers that are spawned
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


def test_a_state_of_something_else_is_refused(result):
    with pytest.raises(ValueError, match="not one of `state_dict`: it has epoch"):
        loader(result).load_state_dict({"epoch": 1})


# ---- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"split": "tran"}, PlanError, "no split 'tran'. Did you mean 'train'"),
        ({"split": None}, PlanError, "no split 'None'"),
        ({"stride": "1"}, TypeError, "`stride` is a whole number, got '1'"),
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


# ---- memory -------------------------------------------------------------------------------------------------------------


def test_memory_is_that_of_a_buffer(tmp_path):
    """The peak of NumPy's and Arrow's arrays over three epochs, for a table and for one of 8 times the rows."""
    peaks = told_by(_peaks, tmp_path)
    assert peaks[48] < 1.1 * peaks[6]
    assert peaks[48] < 1_500_000  # 10,000 rows of 5 columns take 360 kB, all 240,000 rows 8.6 MB


def _peaks(folder, told):
    """Tell the peaks in this new process: other tests' threads would make objects as well.

    Without objects that only the garbage collector frees: how many there are at a time is chance, and more so in more batches.
    """

    def held():
        gc.collect()
        return tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before

    peaks = {}
    gc.freeze()  # the million objects of the tests are not looked at each time
    for n_groups in (6, 48):
        table, layout = rows(n_groups * 5_000), {"part_rows": 15_000, "group_rows": 5_000}
        publish(folder / str(n_groups), {"train": table}, features=FEATURES, columns=COLUMNS, **layout)
        del table
        of_job = loader(folder / str(n_groups), shuffle=True, batch_size=1_000, buffer_rows=10_000)
        next(iter(of_job))
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        peaks[n_groups] = max(*[held() for _ in chain(*[of_job] * 3)], tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    gc.unfreeze()
    told.send(peaks)
