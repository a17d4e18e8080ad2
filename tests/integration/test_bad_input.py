"""Bad input and bad jobs, through the console script: a clear word, an exit status, and nothing published.

What is no error is a choice: it is said in the summary and written in the manifest.
"""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.integration.refusals import assert_done, assert_refused, run, run_config
from tests.jobs import small_table, write_table

N_ROWS = 400


@pytest.fixture
def table():
    return small_table(N_ROWS)


# ---- the table -----------------------------------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    result = run(tmp_path / "nowhere.parquet", tmp_path / "out")
    assert_refused(result, tmp_path / "out", r"nowhere\.parquet", "not exist|no such|not found|not there")


def test_folder_without_parquet(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "read.me").write_text("nothing")
    result = run(tmp_path / "folder", tmp_path / "out")
    assert_refused(result, tmp_path / "out", "folder", "parquet")


def test_empty_table(table, tmp_path):
    source = write_table(table.slice(0, 0), tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", r"table\.parquet|table", "no rows|empty")


def test_table_without_columns_to_use(table, tmp_path):
    source = write_table(table.select(["name", "y"]), tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", columns={"target": "y", "passthrough": ["name"]})
    assert_refused(result, tmp_path / "out", "no column")


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_very_few_rows(table, tmp_path, n_rows):
    source = write_table(table.slice(0, n_rows), tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", "train")


def test_files_of_different_columns(table, tmp_path):
    source = tmp_path / "folder"
    write_table(table, source, files=2)
    write_table(table.drop_columns(["walk"]), source / "002.parquet")
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", r"002\.parquet", "walk")


def test_a_column_twice(table, tmp_path):
    twice = table.append_column("walk", table["walk"])
    source = write_table(twice, tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", "several columns named walk")


def test_no_parquet_at_all(tmp_path):
    source = tmp_path / "table.parquet"
    source.write_text("a,b\n1,2\n" * 100)
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", r"table\.parquet", "parquet")


def test_cut_off_parquet(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    source.write_bytes(source.read_bytes()[:-100])
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", r"table\.parquet")


def test_empty_file(tmp_path):
    source = tmp_path / "table.parquet"
    source.write_bytes(b"")
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", r"table\.parquet")


ON_PREFECT = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]


@pytest.mark.parametrize("engine", ["local", pytest.param("threads", marks=ON_PREFECT)])
def test_damaged_pages(table, tmp_path, engine, request, monkeypatch):
    """The footer is whole, so that the damage shows only once rows are read."""
    if engine == "threads":
        monkeypatch.setenv("PREFECT_API_URL", request.getfixturevalue("prefect_api"))
    source = write_table(table, tmp_path / "table.parquet", group_rows=100)
    content = bytearray(source.read_bytes())
    column = pq.read_metadata(source).row_group(2).column(table.schema.get_field_index("walk"))
    begin = column.data_page_offset
    content[begin : begin + column.total_compressed_size // 2] = bytes(column.total_compressed_size // 2)
    source.write_bytes(bytes(content))
    result = run(source, tmp_path / "out", runtime={"engine": engine, "backend": "numpy"})
    assert_refused(result, tmp_path / "out", r"table\.parquet")


# ---- columns -------------------------------------------------------------------------------------------------------------


def test_target_that_is_not_there(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", columns={"time": "t", "target": "walks"})
    assert_refused(result, tmp_path / "out", "'walks'", "did you mean 'walk'")


@pytest.mark.parametrize("role", ["time", "drop", "categorical", "passthrough"])
def test_other_columns_that_are_not_there(table, tmp_path, role):
    source = write_table(table, tmp_path / "table.parquet")
    columns = {"time": "t"} | {role: "colour" if role == "time" else ["colour"]}
    assert_refused(run(source, tmp_path / "out", columns=columns), tmp_path / "out", "'colour'", "did you mean 'color'")


def test_a_column_with_two_roles(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", columns={"time": "t", "target": "y", "drop": ["y"]})
    assert_refused(result, tmp_path / "out", "'y'", "target", "drop")


def test_temporal_split_without_a_time_column(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", columns={"drop": ["t"]}, split={"method": "temporal"})
    assert_refused(result, tmp_path / "out", "temporal", "time")


def test_a_time_that_is_no_time(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / "out", columns={"time": "walk"}), tmp_path / "out", "'walk'", "double", "timestamp")


def with_null_times(table, share):
    times = table["t"].to_pandas()
    times[np.random.default_rng(0).random(len(times)) < share] = None
    return table.set_column(0, "t", pa.array(times, table.schema.field("t").type))


def test_rows_without_a_time(table, tmp_path):
    source = write_table(with_null_times(table, 0.1), tmp_path / "table.parquet")
    n_missing = pq.read_table(source)["t"].null_count
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", str(n_missing), "'t'", "null_time")

    result = run(source, tmp_path / "out", columns={"time": "t", "null_time": "drop"})
    manifest = assert_done(result, tmp_path / "out")
    assert sum(manifest["rows"].values()) == N_ROWS - n_missing
    assert re.search(rf"\b{n_missing}\b", result.stdout)


def test_no_row_with_a_time(table, tmp_path):
    source = write_table(with_null_times(table, 1.1), tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", columns={"time": "t", "null_time": "drop"})
    assert_refused(result, tmp_path / "out", "'t'|time|no rows")


def test_columns_that_say_nothing_are_left_out_and_named(table, tmp_path):
    nothing = {
        "flat": pa.array(np.full(N_ROWS, 3.5)),
        "flat_with_nulls": pa.array(np.ones(N_ROWS), mask=np.arange(N_ROWS) % 2 == 0),
        "all_null": pa.array([None] * N_ROWS, pa.float64()),
        "all_null_words": pa.array([None] * N_ROWS, pa.string()),
        "all_null_flags": pa.array([None] * N_ROWS, pa.bool_()),
        "all_null_times": pa.array([None] * N_ROWS, pa.timestamp("s")),
        "no_type": pa.array([None] * N_ROWS),
        "infinite": pa.array(np.full(N_ROWS, np.inf)),
        "raw": pa.array([b"x"] * N_ROWS),
        "listed": pa.array([[1]] * N_ROWS),
    }
    for name, column in nothing.items():
        table = table.append_column(name, column)
    source = write_table(table, tmp_path / "table.parquet")
    result = run(source, tmp_path / "out")
    manifest = assert_done(result, tmp_path / "out")
    assert set(manifest["dropped"]) == set(nothing)
    for name in nothing:
        assert re.search(rf"\b{name}\b", result.stdout), result.stdout
    assert "constant" in manifest["dropped"]["flat"]


def test_numbers_that_are_not_finite_are_counted(table, tmp_path):
    """Those of the training rows, which the fit takes as missing; nulls are not among them."""
    rng = np.random.default_rng(5)
    odd = rng.normal(size=N_ROWS)
    odd[rng.random(N_ROWS) < 0.2] = np.inf
    odd[rng.random(N_ROWS) < 0.1] = -np.inf
    odd[rng.random(N_ROWS) < 0.1] = np.nan
    column = pa.array(odd, mask=rng.random(N_ROWS) < 0.1)
    source = write_table(table.append_column("odd", column), tmp_path / "table.parquet")
    times = table["t"].cast(pa.int64()).to_numpy()
    train = times < np.sort(times)[int(0.8 * N_ROWS)]
    values = np.array([np.nan if v is None else v for v in column.to_pylist()])
    expected = int((~np.isfinite(values) & column.is_valid().to_numpy(zero_copy_only=False))[train].sum())

    for again in range(2):
        result = run(source, tmp_path / "out")
        manifest = assert_done(result, tmp_path / "out")
        assert manifest["nonfinite"] == {"odd": expected}
        assert f"{expected} training values are NaN or infinite and count as missing: odd ({expected})" in result.stdout
        assert ("Nothing to do" in result.stdout) == bool(again)


def test_a_column_of_one_category_stays(table, tmp_path):
    source = write_table(table.append_column("only", pa.array(["one"] * N_ROWS)), tmp_path / "table.parquet")
    manifest = assert_done(run(source, tmp_path / "out"), tmp_path / "out")
    assert [name for name in manifest["features"] if name.startswith("only_")] == ["only_one", "only_other", "only_null"]


def test_no_column_left(table, tmp_path):
    flat = pa.table({"flat": np.ones(N_ROWS), "y": table["y"]})
    source = write_table(flat, tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", columns={"target": "y"})
    assert_refused(result, tmp_path / "out", "no column", "flat", "constant")


# ---- the job -------------------------------------------------------------------------------------------------------------


def test_window_larger_than_the_training_split(table, tmp_path):
    source = write_table(table.select(["t", "walk", "flag"]), tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", windows={"size": 330, "strides": [1]})
    assert_refused(result, tmp_path / "out", "330", "train", "windows")


def test_window_larger_than_another_split(table, tmp_path):
    source = write_table(table.select(["t", "walk", "flag"]), tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", windows={"size": 60, "strides": [1]})
    assert_refused(result, tmp_path / "out", "validation", "40 rows", "window of 60")


def test_a_hash_split_of_too_few_keys(table, tmp_path):
    source = write_table(table.select(["t", "walk", "flag"]), tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", split={"method": "hash", "keys": ["flag"]})
    assert_refused(result, tmp_path / "out", "0 rows", "rows of equal keys stay together")


def test_more_components_than_possible(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / "out", pca={"components": 10_000}), tmp_path / "out", "10,?000", "components")


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"window": {"size": 5}}, ["window", "windows"]),
        ({"windows": {"sise": 5}}, [r"windows\.sise", "'size'"]),
        ({"windows": {"size": "five"}}, [r"windows\.size", "five"]),
        ({"windows": {"size": 0}}, ["size", "0"]),
        ({"windows": False}, ["windows is False", r"windows\.strides: \[\]"]),
        ({"windows": {"strides": [0]}}, ["[Ss]trides", "from 1 up"]),
        ({"split": {"fractions": [0.8, 0.1, 0.2]}}, [r"1\.1"]),
        ({"split": {"method": "temporall"}}, ["temporall", "'temporal'"]),
        ({"split": {"method": "hash"}}, ["keys"]),
        ({"datetime": {"time_zone": "America/Boston"}}, ["America/Boston"]),
        ({"categories": {"max_categories": 0}}, ["max_categories", "0"]),
        ({"runtime": {"backend": "numppy", "engine": "local"}}, ["numppy", "numpy"]),
        ({"runtime": {"engine": "thread"}}, ["thread", "'threads'"]),
        ({"runtime": {"engine": "local", "max_memory_gb": -1}}, [r"runtime\.max_memory_gb", "-1"]),
    ],
    ids=str,
)
def test_jobs_that_are_none(table, tmp_path, job, words):
    source = write_table(table, tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / "out", **job), tmp_path / "out", *words)


def test_a_plan_that_cannot_fit(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    result = run(source, tmp_path / "out", runtime={"engine": "local", "backend": "numpy", "max_memory_gb": 0.01})
    assert_refused(result, tmp_path / "out", "max_memory_gb", "MiB|GiB")


def test_a_config_that_is_not_there(tmp_path):
    assert_refused(run_config(tmp_path / "job.yaml"), tmp_path, r"job\.yaml")


def test_a_config_that_is_no_yaml(tmp_path):
    (tmp_path / "job.yaml").write_text("windows: {size: 5\nsource: [")
    result = run_config(tmp_path / "job.yaml")
    assert_refused(result, tmp_path / "out", r"job\.yaml", "yaml", "line")


def test_an_override_that_is_none(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    (tmp_path / "job.yaml").write_text(
        yaml.safe_dump({"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}})
    )
    result = run_config(tmp_path / "job.yaml", "--set", "windows.sizes=8")
    assert_refused(result, tmp_path / "out", r"windows\.sizes", "'size'")


def test_another_result_is_not_overwritten_unless_told(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    first = assert_done(run(source, tmp_path / "out"), tmp_path / "out")
    result = run(source, tmp_path / "out", windows={"size": 4})
    assert result.returncode == 1
    assert "--overwrite" in result.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == first

    again = run_config(tmp_path / "job.yaml", "--overwrite")
    assert assert_done(again, tmp_path / "out")["fingerprint"] != first["fingerprint"]


def test_a_refused_run_withdraws_nothing(table, tmp_path):
    """A result that stands is not lost to a later job that fails."""
    source = write_table(table, tmp_path / "table.parquet")
    first = assert_done(run(source, tmp_path / "out"), tmp_path / "out")
    run(source, tmp_path / "out", windows={"size": 500})
    assert run_config(tmp_path / "job.yaml", "--overwrite").returncode == 1
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == first
