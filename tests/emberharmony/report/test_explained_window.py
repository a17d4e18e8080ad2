"""A window's rows are those that its scores come from, and lie where its explanation says."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.pipeline.state import read_state
from emberharmony.report.explained_window import explain_window
from tests.jobs import SPLITS, run_small, small_table, write_table

SIZE, STRIDES = 3, [1, 2]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Windows of three series, from two files whose rows are in no order."""
    folder = tmp_path_factory.mktemp("windows")
    table = small_table(240).append_column("id", [[f"id {i * 7 % 3}" for i in range(240)]])
    source = write_table(table, folder / "t", files=2, group_rows=50)
    columns = {"time": "t", "target": "y", "entity": "id", "drop": ["name"]}
    job = {"columns": columns, "windows": {"size": SIZE, "strides": STRIDES}, "runtime": {"chunk_rows": 40}}
    return source, run_small(source, folder / "out", **job)


def test_scores_come_from_the_rows(published):
    source, result = published
    sink = result.outcome.sink
    names, state = result.feature_names, read_state(sink)
    features = pa.concat_tables([result.features[split] for split in SPLITS]).to_pandas().set_index("row_number")
    table = pa.concat_tables([pq.read_table(path) for path in sorted(source.iterdir())])
    times, files = table["t"].to_pylist(), {str(path): pq.read_table(path)["t"].to_pylist() for path in source.iterdir()}
    for stride in STRIDES:
        pca = state.pcas[stride]
        for split in SPLITS:
            for number, window in list(enumerate(result.windows[stride][split].to_pylist()))[::13]:
                told = explain_window(sink, stride=stride, split=split, number=number)
                rows = [row.row_number for row in told.rows]
                assert [rows[0], rows[-1]] == [window["first_row"], window["last_row"]]
                scores = (features.loc[rows, names].to_numpy().ravel() - pca.mean) @ pca.components.T
                np.testing.assert_allclose([*told.scores.values()], scores, atol=1e-4)
                assert told.label == window["y"] == table["y"][rows[-1]].as_py()
                assert told.entity == {"id": window["id"]}
                assert [row.time for row in told.rows] == [times[row].isoformat() for row in rows]
                for row in told.rows:
                    assert files[row.file][row.row_in_file] == times[row.row_number]


def test_windows_of_an_entity_are_counted_by_themselves(published):
    _, result = published
    windows = result.windows[2]["train"].to_pylist()
    for entity in ("id 0", "id 1", "id 2"):
        own = [window for window in windows if window["id"] == entity]
        for number in (0, 1, len(own) - 1):
            told = explain_window(result.outcome.sink, stride=2, split="train", number=number, entity=[entity])
            assert told.rows[0].row_number == own[number]["first_row"]
        with pytest.raises(PlanError, match=f"split of {entity}: it has {len(own)}, numbered from 0"):
            explain_window(result.outcome.sink, stride=2, split="train", number=len(own), entity=[entity])
    with pytest.raises(PlanError, match=r"told by 1 values here \(`columns.entity`: id\), not by 2"):
        explain_window(result.outcome.sink, stride=2, split="train", number=0, entity=["a", "b"])


def test_what_is_left_out_and_not_clear(published):
    _, result = published
    with pytest.raises(PlanError, match="Name the stride of the window with --stride: 1, 2"):
        explain_window(result.outcome.sink, stride=None, number=0)
    with pytest.raises(PlanError, match="Name the split of the window with --split: train, validation, test"):
        explain_window(result.outcome.sink, stride=1, number=0)


def test_a_source_that_has_changed(tmp_path):
    source = write_table(small_table(120), tmp_path / "t.parquet")
    run_small(source, tmp_path / "out", columns={"drop": ["name"]}, windows={"size": 2, "strides": [2]})
    told = explain_window(tmp_path / "out", stride=None, split="test", number=1)
    assert told.source == ""
    assert told.rows[0].file.endswith("t.parquet")
    assert (told.rows[0].time, told.label) == (None, None)
    write_table(small_table(120, seed=1), tmp_path / "t.parquet")
    changed = explain_window(tmp_path / "out", stride=2, split="test", number=1)
    assert "the source has changed" in changed.source
    assert [row.row_number for row in changed.rows] == [row.row_number for row in told.rows]
    assert {row.file for row in changed.rows} == {None}
    source.unlink()
    assert explain_window(tmp_path / "out", stride=2, split="test", number=1) == changed
    json.dumps(changed.to_json(), allow_nan=False)
    with pytest.raises(DataError, match="Nothing is published at"):
        explain_window(tmp_path / "nowhere", stride=2, split="test", number=1)
