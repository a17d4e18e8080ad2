"""The stages of a chunk: what each writes and counts, against NumPy over the whole table."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DamagedError
from emberharmony.features.profile import ColumnProfile
from emberharmony.io.parts import read_halo
from emberharmony.io.store.arrays import by_prefix
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.chunk_stages import (
    PLAIN,
    component_names,
    feature_encoding,
    featurize_chunk,
    halo_name,
    profile_chunk,
    profile_name,
    project_chunk,
    read_chunk,
)
from emberharmony.pipeline.run import Run
from tests.emberharmony.pipeline.conftest import stop

# The run of `conftest.stopped`: 300 rows in order of time in six chunks; windows of three rows.
SPLIT = np.repeat(["train", "validation", "test"], [240, 30, 30])
SIZE = 3


def of_chunk(chunk) -> np.ndarray:
    """The split of each of the chunk's rows."""
    return SPLIT[chunk.first_row : chunk.first_row + chunk.n_rows]


def counts_of(splits: np.ndarray) -> dict[str, int]:
    return {name: int((splits == name).sum()) for name in ("train", "validation", "test")}


def features_of(run, split: str) -> np.ndarray:
    """The feature rows of a split in order, read without the library."""
    parts = sorted((run.store.path("features") / f"split={split}").glob("*.parquet"))
    whole = pa.concat_tables(pq.read_table(part, partitioning=None) for part in parts)
    return np.stack([whole[name].to_numpy() for name in run.fitted.preprocessing.feature_names], axis=1).astype(np.float64)


def test_a_profile_counts_the_training_rows(own_run, tmp_path):
    walk = pq.read_table(tmp_path / "table.parquet")["walk"]
    names = [column.name for column in own_run.plan.roles.features]
    for chunk in own_run.plan.chunks:
        receipt = profile_chunk(own_run, chunk, "numpy")
        assert receipt.rows == counts_of(of_chunk(chunk))
        states = by_prefix(own_run.store.read_arrays(receipt.find(profile_name(chunk.index))))
        profile = ColumnProfile.from_arrays(states[str(names.index("walk"))])
        train = walk.slice(chunk.first_row, receipt.rows["train"])
        assert (profile.n_rows, profile.n_null) == (len(train), train.null_count)


@pytest.mark.parametrize(
    ("order", "job", "reads"),
    [
        ("shuffled", {}, [["features"]] * 5 + [[]]),
        ("blocks", {}, [["features"]] * 5 + [[]]),
        ("shuffled", {"split": {"gap": "PT2H"}}, [["features"]] * 5 + [[]]),
        ("shuffled", {"split": {"method": "sequential"}}, [["features"]] * 5 + [[]]),
        ("shuffled", {"windows": {"size": 3, "strides": [1], "max_gap": "1h"}}, [["features"]] * 5 + [["series"]]),
        ("sorted", {}, [["features"]] * 6),
    ],
    ids=["times", "blocks", "a gap", "ranks", "series by gaps", "ranges of rows"],
)
def test_a_profile_reads_a_chunk_once_at_most(tmp_path, order, job, reads):
    """Each read is a request to a bucket, or a session of BigQuery. The training rows end at row 240 of 300.

    In order, the last of six chunks has rows of the two other splits: which ones they are, only their times tell.
    """
    run, found = Run.opened(stop(tmp_path, order=order, sections=job).staging), list[list[str]]()

    def noted(source, chunk, columns, *others):
        found[-1].append("features" if "walk" in columns else "series")
        return read_chunk(source, chunk, columns, *others)

    for chunk in run.plan.chunks:
        found.append([])
        profiled = profile_chunk(run, chunk, "numpy", replace(PLAIN, read_chunk=noted))
        assert sum(profiled.rows.values()) + profiled.left_out == chunk.n_rows
        assert profiled.rows == run.receipts.find("featurize", chunk.index).rows
    assert found == reads


def test_keys_of_entities_are_no_times(tmp_path):
    """A chunk of many series has a range of keys, which says nothing of its rows' split."""
    job = {"columns": {"time": "t", "target": "y", "entity": "color"}}
    run = Run.opened(stop(tmp_path, order="shuffled", sections=job | {"windows": {"strides": []}}).staging)
    assert run.plan.chunks[0].times is not None
    for chunk in run.plan.chunks:
        assert profile_chunk(run, chunk, "numpy").rows == run.receipts.find("featurize", chunk.index).rows


def test_features_are_written_by_split_with_the_rows_that_earlier_windows_need(own_run):
    for chunk in own_run.plan.chunks:
        receipt = featurize_chunk(own_run, chunk, "numpy")
        splits = of_chunk(chunk)
        assert receipt.rows == counts_of(splits)
        halo = receipt.find(halo_name(chunk.index))
        for split in np.unique(splits):
            (part,) = (file for file in receipt.files if file.name.startswith(f"features/split={split}/"))
            numbers = pq.read_table(own_run.store.path(part), partitioning=None)["row_number"]
            expected = chunk.first_row + np.flatnonzero(splits == split)
            np.testing.assert_array_equal(numbers, expected)
            np.testing.assert_array_equal(read_halo(own_run.store, halo, split)["row_number"], expected[: SIZE - 1])


def test_a_window_belongs_to_the_chunk_in_which_it_begins(own_run):
    for stride in (1, 2):
        starts = {name: np.flatnonzero(name == SPLIT)[: 1 - SIZE : stride] for name in ("train", "validation", "test")}
        for chunk in own_run.plan.chunks:
            counts = project_chunk(own_run, chunk, "numpy").rows
            for name, rows in starts.items():
                inside = (chunk.first_row <= rows) & (rows < chunk.first_row + chunk.n_rows)
                assert counts[f"{stride}/{name}"] == inside.sum()


def test_scores_are_the_centred_windows_times_the_components(own_run):
    chunk, pca, rows = own_run.plan.chunks[1], own_run.fitted.pcas[1], features_of(own_run, "train")
    (file,) = (f for f in project_chunk(own_run, chunk, "numpy").files if f.name.startswith("windows/stride=1/split=train/"))
    scores = pq.read_table(own_run.store.path(file), partitioning=None).select(component_names(pca))
    begin = range(chunk.first_row, chunk.first_row + chunk.n_rows)  # the last windows end in the next chunk
    windows = np.stack([rows[i : i + SIZE].ravel() for i in begin])
    expected = (windows - pca.mean) @ pca.components.T
    np.testing.assert_allclose(np.stack([column.to_numpy() for column in scores.columns], axis=1), expected, atol=1e-4)


def test_first_rows_of_the_next_chunk_are_read_beside_those_of_this_one_in_a_bucket(own_run, monkeypatch):
    chunk, both, read = own_run.plan.chunks[1], threading.Barrier(2), LocalStore.open_checked

    def meeting(store, record, **options):
        if record.name.startswith((f"features/split=train/part-{1:05}", halo_name(2))):
            both.wait(timeout=20)  # for the other one: who reads in turn waits in vain
        return read(store, record, **options)

    monkeypatch.setattr(LocalStore, "open_checked", meeting)
    monkeypatch.setattr(LocalStore, "readers", 2)
    assert project_chunk(own_run, chunk, "numpy").rows["1/train"] == chunk.n_rows


def test_a_chunk_that_lost_its_features_cannot_be_projected(own_run):
    own_run.receipts.invalidate(own_run.receipts.find("featurize", 2).files[0].kept_as)
    with pytest.raises(DamagedError, match="no receipt of featurize of chunk"):
        project_chunk(own_run, own_run.plan.chunks[2], "numpy")


def test_columns_that_files_can_shrink_are_those_with_few_or_mostly_equal_values(run):
    encoding, fitted = feature_encoding(run.fitted.preprocessing), run.fitted.preprocessing
    few = {name for column in fitted.columns if column.few_values for name in column.features}
    assert {*encoding.dictionary} == few
    assert {*encoding.sparse} == {name for name in fitted.feature_names if name.startswith("color")}
