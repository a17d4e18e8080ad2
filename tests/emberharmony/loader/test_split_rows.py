"""Parts that are damaged, or of another result."""

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from emberharmony.io.store.local import LocalStore
from emberharmony.loader.split_rows import fill_rows
from tests.published import FEATURES, loader, publish, rows


def test_another_result_in_the_same_place_is_noticed(tmp_path):
    settings = {"features": FEATURES, "part_rows": 10}
    of_job = loader(publish(tmp_path, {"train": rows(40)}, **settings))
    batches = iter(of_job)
    next(batches)
    publish(tmp_path, {"train": rows(40)}, fingerprint="another", **settings)
    with pytest.raises(DataError, match="another result was published"):
        list(batches)


def test_a_manifest_of_many_files_is_read_once_for_a_buffer(tmp_path, monkeypatch):
    of_job = loader(publish(tmp_path, {"train": rows(100)}, features=FEATURES, part_rows=5), shuffle=True, buffer_rows=50)
    n_read = []
    monkeypatch.setattr(
        LocalStore, "sha256", lambda store, file, sha256=LocalStore.sha256: n_read.append(file) or sha256(store, file)
    )
    assert len(list(of_job)) == 13
    assert n_read == ["manifest.json"] * 3  # after each of two buffers, and at the end


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
