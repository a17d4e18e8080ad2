"""Parts that are damaged, or of a result that was replaced."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from emberharmony.loader.split_rows import fill_rows
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import small_job
from tests.published import FEATURES, loader, publish, read_all, rows


def test_the_result_that_was_there_is_read_while_others_take_its_place(tmp_path):
    def run(size):
        job = small_job(tmp_path, windows={"size": size, "strides": [1]}, sink="out")
        run_job(parse_job(job), LocalEngine(1), overwrite=True)

    run(3)
    of_job, expected = loader(tmp_path / "out"), read_all(loader(tmp_path / "out"))
    batches = iter(of_job)
    first = next(batches)
    run(2)
    for found, wanted in zip(read_all([first, *batches]), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert len(list(pickle.loads(pickle.dumps(of_job)))) == len(of_job)
    run(4)
    with pytest.raises(DataError, match=r"Version .* was removed while it was read"):
        list(of_job)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_part_is_an_error(tmp_path, damage):
    publish(tmp_path, {"train": rows(40)}, features=FEATURES, part_rows=10)
    of_job = loader(tmp_path)
    part = tmp_path / "features/split=train/part-00002.parquet"
    n_bytes = part.stat().st_size
    part.write_bytes(b"\0" * n_bytes if damage is None else damage)
    with pytest.raises(DataError, match="damaged"):
        list(of_job)


@pytest.mark.parametrize("n_rows", [0, 1, 1_023, 1_024, 1_025, 5_000])
def test_columns_become_rows(n_rows):
    values = np.random.default_rng(0).normal(size=(n_rows, 3)).astype(np.float32)
    table = pa.table(
        {name: pa.chunked_array([column[:700], column[700:]]) for name, column in zip("abc", values.T.copy(), strict=True)}
    )
    found = np.empty((n_rows, 2), np.float32)
    fill_rows(found, table, ["c", "a"])
    np.testing.assert_array_equal(found, values[:, [2, 0]])
