"""Two published results against each other."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.state import read_state
from emberharmony.pipeline.state_comparison import compare_states
from emberharmony.report.result_comparison import compare_results
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import run_small, small_table, write_table
from tests.stored import publish_by_hand

COLUMNS = {"time": "t", "target": "y", "drop": ["name"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs, on other rows and with other settings, and the first one's state applied to both tables."""
    folder = tmp_path_factory.mktemp("compared")
    table = small_table(300, seed=1)
    shifted = table.slice(0, 280)
    shifted = shifted.set_column(1, "walk", pa.array([None if w is None else w + 50 for w in shifted["walk"].to_pylist()]))
    sources = {"a": write_table(table, folder / "a.parquet"), "b": write_table(shifted, folder / "b.parquet")}
    run_small(sources["a"], folder / "a", columns=COLUMNS, windows={"size": 3, "strides": [1]})
    more = {"columns": COLUMNS | {"drop": ["name", "other"]}, "windows": {"size": 4, "strides": [1, 2]}}
    run_small(sources["b"], folder / "b", **more)
    for name, source in sources.items():
        data = {"state": str(folder / "a"), "source": {"path": str(source)}, "sink": {"path": str(folder / f"applied-{name}")}}
        run_job(parse_job(data | {"runtime": {"engine": "local", "workers": 1}}, model=ApplyJob), LocalEngine(1))
    return folder


def compared(folder, a, b):
    return compare_results(*(result_at(folder / name).snapshot() for name in (a, b)))


def test_two_runs(folder):
    found = compared(folder, "a", "b")
    assert [result["address"] for result in found.results] == [str(folder / "a"), str(folder / "b")]
    assert found.settings == {
        "source.path": (str(folder / "a.parquet"), str(folder / "b.parquet")),
        "columns.drop": (["name"], ["name", "other"]),
        "windows.size": (3, 4),
        "windows.strides": ([1], [1, 2]),
    }
    assert found.data["rows read"] == (300, 280)
    assert found.data["rows of train"] == (240, 224)
    assert found.data["windows of train, stride 1"] == (238, 221)
    assert found.data["windows of test, stride 2"] == (None, 13)
    assert "rows without a time" not in found.data
    assert found.features_added == ()
    assert {name.rsplit("_", 2)[0] for name in found.features_removed} == {"other"}
    assert found.state == compare_states(read_state(folder / "a"), read_state(folder / "b"))
    assert (found.same_state, found.drift) == (False, {})
    lines = list(found.lines())
    assert dict(lines)["settings"].startswith("source.path: ")
    assert ("", "windows.size: 3 -> 4") in lines
    assert ("data", "rows read: 300 -> 280") in lines
    assert ("", "windows of test, stride 2: none -> 13") in lines
    n_features = [len(result_at(folder / name).snapshot().manifest.features) for name in "ab"]
    assert ("state", f"240 -> 224 training rows, {n_features[0]} -> {n_features[1]} features") in lines
    assert ("", "columns removed: other") in lines
    assert "drift" not in dict(lines)
    assert json.loads(json.dumps(found.to_json()))["settings"]["windows.size"] == [3, 4]


def test_two_tables_that_one_state_was_applied_to(folder):
    found = compared(folder, "applied-a", "applied-b")
    assert (found.same_state, found.state) == (True, None)
    assert found.settings.keys() == {"source.path"}
    assert found.drift["walk"][1]["psi"] > 1 > found.drift["walk"][0]["psi"]
    lines = list(found.lines())
    assert ("state", "the same") in lines
    assert ("features", "the same") in lines
    (first,) = (text for label, text in lines if label == "drift")
    assert first.startswith("walk: PSI 0.")
    assert found.to_json()["drift"]["walk"] == [dict(drift) for drift in found.drift["walk"]]


def test_a_result_against_itself(folder):
    texts = dict(list(compared(folder, "a", "a").lines())[2:])
    assert texts == dict.fromkeys(("settings", "data", "features", "state"), "the same")


def test_many_differences_are_counted(tmp_path):
    for name in ("a", "b"):
        publish_by_hand(tmp_path / name, name)
        manifest = tmp_path / name / "manifest.json"
        data = json.loads(manifest.read_text())
        data["spec"] |= {f"key{i}": name for i in range(30)}
        manifest.write_text(json.dumps(data))
    found = compared(tmp_path, "a", "b")
    lines = list(found.lines())
    assert ("", "and 10 more, which --json lists") in lines
    assert len(found.to_json()["settings"]) == 30
    assert dict(lines)["state"] == "not compared: one of the results has none"
