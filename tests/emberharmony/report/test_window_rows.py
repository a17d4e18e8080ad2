"""From a window back to its rows, against the table itself: sorted by time, split by its boundaries, counted off."""

import csv
import io
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from emberharmony.errors import DataError, PlanError
from emberharmony.report.window_rows import rows_from, rows_of_window
from flows.cli.app import app
from flows.cli.windows import find_window
from tests.jobs import SPLITS, Published, run_small, small_table, write_table
from tests.references import in_order, temporal_split

SIZE, STRIDES = 4, [1, 3]
COLUMNS = {"time": "t", "target": "y", "passthrough": ["name"]}


@pytest.fixture(scope="module", params=["shuffled", "ties"])
def frame(request) -> pd.DataFrame:
    return small_table(100, order=request.param).to_pandas()


@pytest.fixture(scope="module")
def published(frame, tmp_path_factory) -> Published:
    """Windows of a table out of order, in chunks smaller than some windows' reach."""
    folder = tmp_path_factory.mktemp("windows")
    source = write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "t.parquet", group_rows=40)
    job = {"columns": COLUMNS, "windows": {"size": SIZE, "strides": STRIDES}, "split": {"gap": "PT30M"}}
    return run_small(source, folder / "out", runtime={"chunk_rows": 11}, **job)


def sink_of(published: Published) -> Path:
    return Path(published.outcome.sink)


def test_every_window_has_the_rows_of_its_split_in_time_order(frame, published):
    ordered = in_order(frame, "t")
    membership = temporal_split(ordered["t"], (0.8, 0.1, 0.1), timedelta(minutes=30))
    from_row = cache(partial(rows_from, sink_of(published)))  # the same for every stride
    scattered = 0
    for split in SPLITS:
        series = ordered[membership == split]
        for stride in STRIDES:
            windows = published.windows[stride][split].to_pandas()
            for number, window in enumerate(windows.itertuples()):
                expected = series.iloc[number * stride : number * stride + SIZE]
                found = rows_of_window(sink_of(published), stride=stride, split=split, number=number)
                assert (found.split, found.start) == (split, number * stride)
                rows = found.rows.to_pandas()
                assert rows["row_number"].tolist() == expected.index.tolist()
                assert rows["name"].tolist() == expected["name"].tolist()
                assert rows["row_number"].iloc[[0, -1]].tolist() == [window.first_row, window.last_row]
                assert rows[["t", "y"]].iloc[-1].tolist() == [window.end_time, window.y]
                assert from_row(window.first_row) == found
                scattered += not np.array_equal(np.diff(rows["row_number"]), np.ones(SIZE - 1))
    assert scattered > 100


def test_its_features_are_those_that_it_was_scored_by(published):
    names = published.feature_names
    found = rows_of_window(sink_of(published), stride=3, split="train", number=7)
    assert found.rows.column_names == ["row_number", "t", "y", "name", *names]
    block = np.stack([found.rows[name].to_numpy() for name in names], axis=1)
    np.testing.assert_array_equal(block, published.block("train")[21:25])


@pytest.mark.parametrize(
    ("stride", "split", "number", "words"),
    [
        (2, "train", 0, "no windows of stride 2; it has strides 1, 3"),
        (1, "apply", 0, "no split 'apply'; it has train, validation, test"),
        (3, "test", -1, "no window -1 of stride 3"),
        (3, "test", 3, "no window 3 of stride 3 in the test split: it has 3, numbered from 0"),
    ],
)
def test_windows_that_are_not_there(published, stride, split, number, words):
    with pytest.raises(PlanError, match=words):
        rows_of_window(sink_of(published), stride=stride, split=split, number=number)


def test_rows_that_begin_no_window(published, tmp_path):
    last = published.features["train"]["row_number"][-1].as_py()
    with pytest.raises(
        PlanError, match=r"No window begins there: it is row (\d+) of \d+ in the train split, and windows have 4"
    ):
        rows_from(sink_of(published), last)
    with pytest.raises(PlanError, match=r"No feature row of .* has row_number 100"):
        rows_from(sink_of(published), 100)
    with pytest.raises(DataError, match="Nothing is published at"):
        rows_from(tmp_path, 0)


def test_a_result_without_windows(tmp_path):
    source = write_table(small_table(60), tmp_path / "t.parquet")
    run_small(source, tmp_path / "out", windows={"strides": []})
    with pytest.raises(DataError, match="holds no windows: the job asked for none"):
        rows_from(tmp_path / "out", 0)


def test_the_command(published):
    """As CSV, which holds the values to the last bit, and as lines to read."""
    first_row = published.windows[3]["validation"]["first_row"][1].as_py()
    command = ["window-rows", str(sink_of(published))]
    by_number = [*command, "--stride", "3", "--split", "validation", "--window", "1", "--csv"]
    printed = CliRunner().invoke(app, by_number, catch_exceptions=False).output
    expected = published.features["validation"].slice(3, SIZE)
    lines = list(csv.reader(io.StringIO(printed)))
    assert lines[0] == expected.column_names
    assert [[row[0], *map(float, row[4:])] for row in lines[1:]] == [
        [str(row["row_number"]), *(row[name] for name in published.feature_names)] for row in expected.to_pylist()
    ]
    by_row = CliRunner().invoke(app, [*command, "--first-row", str(first_row)], catch_exceptions=False).output
    assert by_row.startswith("4 rows of the validation split, from its row 3 on, in order:\n")
    assert by_row.splitlines()[1].split() == ["row_number", *map(str, expected["row_number"].to_pylist())]


def test_a_window_is_named_in_one_way(published):
    with pytest.raises(PlanError, match="--first-row, or by --stride, --split and --window"):
        find_window(sink_of(published), first_row=1, stride=1, split=None, number=None)


def test_a_window_of_many_series_has_the_rows_of_its_own_series(tmp_path):
    """Against the windows' own columns, and the last rows of a series, where none begins."""
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "id": pa.array(rng.choice(["a", "b", "c"], 90)),
            "t": pa.array(rng.permutation(90) * 60, pa.timestamp("s")),
            "x": pa.array(rng.normal(size=90)),
        }
    )
    source = write_table(table, tmp_path / "t.parquet", group_rows=20)
    split = {"method": "temporal", "fractions": [0.8, 0.2, 0.0]}
    job = {"columns": {"time": "t", "entity": "id"}, "windows": {"size": SIZE, "strides": STRIDES}, "split": split}
    published = run_small(source, tmp_path / "out", runtime={"chunk_rows": 13}, **job)
    for stride in STRIDES:
        for number, window in enumerate(published.windows[stride]["train"].to_pylist()):
            found = rows_of_window(tmp_path / "out", stride=stride, split="train", number=number).rows
            assert set(found["id"].to_pylist()) == {window["id"]}
            assert found["row_number"].to_pylist()[:: SIZE - 1] == [window["first_row"], window["last_row"]]
    features = published.features["train"].to_pandas()
    for _, rows in features.groupby("id"):
        with pytest.raises(PlanError, match="No window begins there"):
            rows_from(tmp_path / "out", int(rows["row_number"].iloc[-1]))
