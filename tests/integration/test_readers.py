"""What is published is one table per folder, whoever reads it."""

import json
import shutil

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from tests.jobs import run_small, small_table, write_table

FOLDERS = ["features", "windows", "windows/stride=1", "windows/stride=3/split=train", "features/split=test"]


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    source = write_table(small_table(1_200), folder / "table.parquet", group_rows=200)
    columns = {"time": "t", "target": "y", "passthrough": ["name"]}
    # Chunks of 150 rows: every split has several parts, and some chunks have rows of two splits.
    run_small(source, folder / "out", columns=columns, windows={"strides": [1, 3]}, runtime={"chunk_rows": 150})
    return folder / "out"


def read_pyarrow(folder):
    return ds.dataset(folder, partitioning="hive").to_table().to_pandas()


def read_polars(folder):
    return pl.read_parquet(folder, hive_partitioning=True).to_pandas()


def read_duckdb(folder):
    query = f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    return duckdb.sql(query).to_arrow_table().to_pandas()


def read_pandas(folder):
    return pd.read_parquet(folder)


READERS = [read_pyarrow, read_polars, read_duckdb, read_pandas]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("folder", FOLDERS)
def test_one_table_per_folder(sink, folder, read):
    manifest = json.loads((sink / "manifest.json").read_text())
    table = read(sink / folder)
    if folder.startswith("features"):
        rows = manifest["rows"]
        wanted = rows["test"] if "split=" in folder else sum(rows.values())
        assert set(manifest["features"]) <= set(table.columns)
        key = ["row_number"]
        assert not table["row_number"].duplicated().any()
    else:
        windows = {stride: counts["windows"] for stride, counts in manifest["strides"].items()}
        wanted = {
            "windows": sum(sum(counts.values()) for counts in windows.values()),
            "windows/stride=1": sum(windows["1"].values()),
            "windows/stride=3/split=train": windows["3"]["train"],
        }[folder]
        key = [name for name in ("stride", "split") if f"{name}=" not in folder] + ["first_row"]
        assert {"first_row", "last_row", "start_time", "end_time", "y", "pc_1"} <= set(table.columns)
    assert len(table) == wanted
    if folder in ("features", "windows"):
        counts = table.groupby("split", observed=True).size().to_dict()
        assert set(counts) == {"train", "validation", "test"}

    # DuckDB also makes columns of the folders above the one that it is given.
    expected = read_pyarrow(sink / folder).sort_values(key)
    actual = table.sort_values(key)
    assert set(expected.columns) <= set(actual.columns)
    for name in expected.columns:
        if pd.api.types.is_float_dtype(expected[name]):
            np.testing.assert_array_equal(actual[name].to_numpy(), expected[name].to_numpy(), err_msg=name)
        else:
            assert actual[name].astype(str).tolist() == expected[name].astype(str).tolist(), name


def test_every_part_has_one_schema(sink):
    for folder in ("features", "windows/stride=1", "windows/stride=3"):
        schemas = {fragment.physical_schema for fragment in ds.dataset(sink / folder, partitioning="hive").get_fragments()}
        assert len(schemas) == 1
        assert len(list((sink / folder).glob("**/*.parquet"))) > 3


def test_nothing_else_is_left_behind(sink):
    assert sorted(path.name for path in sink.iterdir()) == ["features", "manifest.json", "state", "windows"]
    assert not [path for path in sink.rglob("*") if path.name.startswith(".")]


def test_the_manifest_knows_every_file(sink):
    from hashlib import sha256

    files = {record["name"]: record for record in json.loads((sink / "manifest.json").read_text())["files"]}
    on_disk = {str(path.relative_to(sink)) for path in sink.rglob("*") if path.is_file()} - {"manifest.json"}
    assert on_disk == set(files)
    for name, record in files.items():
        content = (sink / name).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (record["n_bytes"], record["sha256"])


def test_a_moved_result_is_read_the_same(sink, tmp_path):
    shutil.copytree(sink, tmp_path / "elsewhere")
    moved, there = read_pandas(tmp_path / "elsewhere" / "features"), read_pandas(sink / "features")
    pd.testing.assert_frame_equal(moved, there)
