"""Laws 1, 2, 3 and 6 for jobs of many series: kinds of jobs, layouts of files, and types of entities."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import SPLITS, assert_published_alike, run_small, write_table
from tests.laws.test_apply import apply_to, assert_same, parts, rows_of
from tests.laws.test_series import MINUTE, check, many_series

GAP = 90 * MINUTE
JOB = {
    "columns": {"time": "t", "entity": "id", "target": "y", "passthrough": ["site"]},
    "windows": {"size": 4, "strides": [1, 3], "max_gap": "PT90M"},
}
LENGTHS = [60, 5, 80, 1, 200, 3, 90]


@pytest.fixture(scope="module")
def series() -> pd.DataFrame:
    return many_series(LENGTHS, gaps=True)


@pytest.fixture(scope="module")
def table(series) -> pa.Table:
    return pa.Table.from_pandas(series, preserve_index=False)


@pytest.fixture(scope="module")
def published(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    return run_small(write_table(table, folder / "t.parquet", group_rows=100), folder / "run", **JOB)


@pytest.mark.parametrize("chunk_rows", [None, 37])
@pytest.mark.parametrize("split", ["train", "test"])
def test_applying_the_state_to_the_rows_of_a_split_reproduces_them(table, published, tmp_path, chunk_rows, split):
    """Its series are the same, in any chunks; one of them is larger than a chunk."""
    some = write_table(rows_of(table, published, split), tmp_path / "some.parquet", group_rows=70)
    outcome = apply_to(some, Path(published.outcome.sink), tmp_path / "applied", chunk_rows=chunk_rows)
    assert_same(tmp_path / "applied", published, split)
    assert outcome.manifest.series["apply"] == published.manifest["series"][split]


def test_a_fit_gives_the_state_of_a_run(table, published, tmp_path):
    source = write_table(table, tmp_path / "t.parquet", group_rows=100)
    runtime = {"workers": 1, "backend": "numpy", "engine": "local", "chunk_rows": 50}
    fit = JOB | {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "fit")}, "runtime": runtime}
    run_job(parse_job(fit, model=FitJob), LocalEngine(1))
    some = write_table(rows_of(table, published, "train"), tmp_path / "some.parquet")
    apply_to(some, tmp_path / "fit", tmp_path / "applied")
    assert_same(tmp_path / "applied", published, "train")


def test_a_day_without_rows(table, published, tmp_path):
    some = write_table(table.slice(0, 0), tmp_path / "none.parquet")
    outcome = apply_to(some, Path(published.outcome.sink), tmp_path / "applied")
    assert dict(outcome.manifest.rows) == {"apply": 0}
    assert parts(tmp_path / "applied/features/split=apply").column_names == published.features["train"].column_names
    windows = parts(tmp_path / "applied/windows/stride=1/split=apply")
    assert (windows.num_rows, windows.column_names) == (0, published.windows[1]["train"].column_names)


def test_without_windows_the_features_are_the_same(table, published, tmp_path):
    source = write_table(table, tmp_path / "t.parquet", group_rows=100)
    plain = run_small(source, tmp_path / "out", runtime={"chunk_rows": 50}, **JOB | {"windows": {"strides": []}})
    assert plain.windows == {}
    for split in SPLITS:
        assert plain.features[split].equals(published.features[split])


@pytest.mark.parametrize("files", [1, 7])
def test_files_groups_and_chunks_do_not_matter(table, published, tmp_path, files):
    source = write_table(table, tmp_path / "t.parquet", group_rows=13, files=files)
    again = run_small(source, tmp_path / "out", runtime={"chunk_rows": 45, "workers": 2}, **JOB)
    assert_published_alike(again, published, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("late", ["a", "b", "c"])
def test_a_split_without_a_window_whose_rows_are_in_any_chunk(tmp_path, late):
    """The series of the test rows are too short for a window. Their keys decide in which chunks they are."""
    ids = np.repeat([*(f"id {i}" for i in range(20)), late], [12] * 20 + [3])
    minutes = np.concatenate([np.tile(np.arange(12), 20), 100 + np.arange(3)])
    columns = {"id": ids, "t": pa.array(minutes * 60, pa.timestamp("s")), "y": np.random.default_rng(0).normal(size=len(ids))}
    source = write_table(pa.table(columns), tmp_path / "t.parquet", group_rows=50)
    job = {"columns": {"time": "t", "entity": "id"}, "windows": {"size": 4, "strides": [1, 2]}}
    job["split"] = {"fractions": [0.9, 0.085, 0.015]}
    whole, cut = (run_small(source, tmp_path / "out", runtime={"chunk_rows": rows}, **job) for rows in (None, 13))
    assert_published_alike(cut, whole)
    assert whole.manifest["rows"]["test"] > 0
    for published in (whole, cut):
        for windows in published.windows.values():
            assert windows["test"].num_rows == 0
            assert windows["test"].schema == windows["train"].schema


def test_the_order_of_rows_does_not_matter(series, published, tmp_path):
    """Rows in another order have other numbers; entity and time, which no two rows share here, tell them apart."""
    columns = {"columns": {"time": "t", "entity": ["id", "site"], "target": "y"}, "windows": {"strides": []}}
    unique = series.drop_duplicates(["id", "site", "t"])
    found = []
    for i, rows in enumerate((unique, unique.sample(frac=1, random_state=5), unique.sort_values("t"))):
        frame = pa.Table.from_pandas(rows, preserve_index=False)
        of = run_small(write_table(frame, tmp_path / f"{i}.parquet", group_rows=60), tmp_path / "out", **columns)
        found.append(pd.concat([of.features[split].to_pandas().assign(split=split) for split in SPLITS], ignore_index=True))
    for other in found[1:]:
        pd.testing.assert_frame_equal(other.drop(columns="row_number"), found[0].drop(columns="row_number"), atol=1e-6)


def test_rows_without_a_time_are_left_out(series, tmp_path):
    frame = series.copy()
    frame.loc[::9, "t"] = pd.NaT
    source = write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.parquet", group_rows=50)
    job = JOB | {"columns": JOB["columns"] | {"null_time": "drop"}}
    found = run_small(source, tmp_path / "out", runtime={"chunk_rows": 60}, **job)
    rows = pd.concat([found.features[split].to_pandas() for split in SPLITS])
    assert sorted(rows["row_number"]) == np.flatnonzero(frame["t"].notna()).tolist()
    assert found.manifest["null_times"] == frame["t"].isna().sum()


TYPES = {
    "dictionary": (pa.dictionary(pa.int16(), pa.string()), "id {}".format),
    "large text": (pa.large_string(), "id {}".format),
    "text view": (pa.string_view(), "id {}".format),
    "int8": (pa.int8(), int),
    "uint64": (pa.uint64(), lambda i: 2**63 + i * 2**20),
    "date": (pa.date32(), lambda i: dt.date(1970, 1, 1) + dt.timedelta(days=i - 3)),
    "timestamp": (pa.timestamp("us", tz="UTC"), lambda i: dt.datetime(2024, 1, 1 + i, tzinfo=dt.UTC)),
    "bool": (pa.bool_(), lambda i: i > 2),
    "decimal": (pa.decimal128(12, 3), Decimal),
}


@pytest.mark.parametrize("name", TYPES)
def test_entities_of_every_type(series, tmp_path, name):
    type_, of = TYPES[name]
    values = [None if i < 0 else of(int(i)) for i in series["id"].astype("category").cat.codes]
    is_dictionary = pa.types.is_dictionary(type_)
    column = pa.array(values).dictionary_encode().cast(type_) if is_dictionary else pa.array(values, type_)
    table = pa.table({"t": pa.array(series["t"]), "id": column, "x": series["x"].to_numpy(), "y": series["y"].to_numpy()})
    source = write_table(table, tmp_path / "t.parquet", group_rows=80)
    job = JOB | {"columns": {"time": "t", "entity": "id"}}
    found = run_small(source, tmp_path / "out", runtime={"chunk_rows": 50}, **job)
    check(found, table.to_pandas(), ["id"], max_gap=GAP)


def test_entities_that_are_folders(series, tmp_path):
    """The key of a Hive folder is a column of the table, and tells series apart like others."""
    for site, rows in series.drop(columns="id").groupby("site"):
        folder = tmp_path / f"table/site={site}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pandas(rows.drop(columns="site"), preserve_index=False), folder / "0.parquet")
    job = JOB | {"columns": {"time": "t", "entity": "site"}}
    found = run_small(tmp_path / "table", tmp_path / "out", runtime={"chunk_rows": 50}, **job)
    check(found, series.sort_values("site", kind="stable").reset_index(drop=True), ["site"], max_gap=GAP)


def test_series_without_a_time_are_in_the_order_of_the_table(tmp_path):
    frame = many_series([20] * 40)
    source = write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.parquet", group_rows=60)
    columns = {"columns": {"entity": "id", "drop": ["t"]}, "split": {"fractions": [0.4, 0.3, 0.3]}}
    job = columns | {"windows": {"size": 4, "strides": [1, 3]}}
    found = run_small(source, tmp_path / "out", runtime={"chunk_rows": 50}, **job)
    check(found, frame, ["id"], time="row_number")
    again = run_small(source, tmp_path / "again", **job)
    assert_published_alike(again, found, atol=1e-6, rtol=1e-6)
