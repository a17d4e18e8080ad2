"""Fitted states: what is written is read again, and what cannot be read says why."""

from __future__ import annotations

import json
import shutil

import pytest

from emberharmony.errors import DataError
from emberharmony.pipeline.state import read_state
from flows.config.job import FitJob, parse_job
from flows.run import run
from tests.jobs import small_table, write_table


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    source = {"path": str(write_table(small_table(200), folder / "table.parquet"))}
    runtime = {"engine": "local", "backend": "numpy", "workers": 1}
    sink = {"path": str(folder / "fitted")}
    run(parse_job({"source": source, "sink": sink, "columns": {"time": "t", "target": "y"}, "runtime": runtime}, model=FitJob))
    return folder / "fitted"


@pytest.fixture
def copied(published, tmp_path):
    """The state folder alone, whose files may be changed: no manifest has their hashes."""
    return shutil.copytree(published / "state", tmp_path / "state")


def changed(folder, name, change):
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))


def test_a_state_is_the_same_wherever_it_is_read(published, copied):
    states = [read_state(place) for place in (published, copied)]
    assert states[0].digest == states[1].digest
    assert states[0].preprocessing == states[1].preprocessing
    assert states[0].target == "y"
    assert [column.name for column in states[0].preprocessing.columns] == [
        "t",
        "walk",
        "count",
        "flag",
        "color",
        "other",
        "name",
    ]


@pytest.mark.parametrize("of", ["features", "job"])
def test_a_kind_that_no_package_adds_is_named(copied, of):
    """To fit or publish the state again would not help."""
    if of == "features":
        changed(copied, "preprocessing.json", lambda data: data["columns"][1].update(kind="unit_interval"))
    else:  # the column made no feature
        changed(copied, "job.json", lambda data: data["spec"]["columns"]["kinds"].update(walk="unit_interval"))
    with pytest.raises(DataError, match="Install the package that adds them") as told:
        read_state(copied)
    assert "'walk' (unit_interval)" in str(told.value)
    assert "emberharmony.kinds" in str(told.value)
    assert "publish" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("job.json", lambda data: data.update(version=99), "version 99"),
        ("preprocessing.json", lambda data: data["columns"][1].pop("kind"), "publish it again"),
        ("job.json", lambda data: data.update(schema="AAAA"), "publish it again"),
    ],
)
def test_a_state_that_cannot_be_read(copied, name, change, said):
    changed(copied, name, change)
    with pytest.raises(DataError, match=said):
        read_state(copied)


def test_the_counts_of_the_training_rows(published, copied):
    state = read_state(published)
    assert state.baselines.keys() == {column.name for column in state.preprocessing.columns}
    assert {baseline.counts.n_rows for baseline in state.baselines.values()} == {state.n_train_rows}
    changed(copied, "baseline.json", lambda data: next(iter(data.values())).pop("bins"))
    with pytest.raises(DataError, match=r"baseline\.json cannot be read .* publish the state again"):
        _ = read_state(copied).baselines


def test_a_changed_file_of_a_published_state_is_refused(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "all")
    (folder / "state" / "baseline.json").write_text("{}")
    with pytest.raises(DataError, match="is not what its run published"):
        read_state(folder)
