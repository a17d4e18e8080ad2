"""Two fitted states against each other, and a fit against the one before it in a folder of states."""

from __future__ import annotations

import json
import logging

import numpy as np
import pyarrow as pa
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from emberharmony.io.store import opening
from emberharmony.io.store.address import child_address
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.state import read_state
from emberharmony.pipeline.state_comparison import StateComparison, VocabularyChange, compare_states
from emberharmony.report.summary import summary_lines
from flows.config.job import FitJob, Job, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import write_table
from tests.stores import MemoryObjects

RNG = np.random.default_rng(0)
N = 200


def table(n_rows, *, shift=0.0, colors=("red", "blue"), **more):
    columns = {
        "t": pa.array(np.arange(n_rows) * 3_600_000_000, pa.timestamp("us")),
        "x": RNG.normal(10 + shift, 2, n_rows),
        "z": RNG.normal(size=n_rows),
        "color": pa.array([colors[i % len(colors)] for i in range(n_rows)]),
    }
    return pa.table(columns | {name: pa.array(make(n_rows)) for name, make in more.items()})


def fit(folder, name, rows, tmp_path, *, model=FitJob, **settings):
    source = write_table(rows, tmp_path / f"rows-of-{name}.parquet")
    data = {
        "source": {"path": str(source)},
        "sink": {"path": child_address(str(folder), name)},
        "columns": {"time": "t"},
        "windows": {"size": 2, "strides": [1, 3]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1},
    }
    return run_job(parse_job(data | settings, model=model), LocalEngine(1))


EARLIER = table(N, colors=("red", "blue", "black"), old=lambda n: RNG.random(n), size=lambda n: np.arange(n) % 7)
LATER = table(N + 50, shift=1, colors=("red", "blue", "green", "pink"), size=lambda n: [f"size {i % 3}" for i in range(n)])


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    fit(folder, "2026-11-16", EARLIER, folder)
    later = fit(folder, "2026-11-23", LATER, folder, windows={"size": 2, "strides": [1]})
    return folder, later


def train(rows, name):
    return rows[name].to_numpy()[: int(rows.num_rows * 0.8)]


def test_two_states(states):
    folder, _ = states
    old, new = (read_state(folder / name) for name in ("2026-11-16", "2026-11-23"))
    found = compare_states(old, new)
    assert found.rows == (160, 200)
    assert found.features == tuple(len(state.preprocessing.feature_names) for state in (old, new))
    assert (found.columns_added, found.columns_removed) == ((), ("old",))
    assert found.kinds == {"size": ("numeric", "categorical")}
    assert found.categories == {
        "color": VocabularyChange(("green", "pink"), ("black",)),
        "size": VocabularyChange(("size 0", "size 1", "size 2"), ()),
    }
    expected = {
        name: (np.median(train(LATER, name)) - np.median(train(EARLIER, name))) / train(EARLIER, name).std()
        for name in ("x", "z")
    }
    assert found.medians == pytest.approx(expected)
    assert found.medians["x"] > 0.2
    assert found.explained.keys() == {"1", "3"}
    assert found.explained["3"][1] == ()
    assert [len(ratios) for ratios in found.explained["1"]] == [pca.n_components for pca in (old.pcas[1], new.pcas[1])]
    back = compare_states(new, old)
    assert back.columns_added == ("old",)
    assert back.categories["color"] == VocabularyChange(("black",), ("green", "pink"))
    assert back.explained["1"] == found.explained["1"][::-1]
    assert StateComparison.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_explained_variance_is_that_of_scikit_learn(tmp_path):
    rows = [table(N).select(["x", "z"]) for _ in range(2)]
    alone = {"columns": {}, "windows": {"size": 2, "strides": [1]}, "pca": {"components": 4}}
    for name, some in zip("ab", rows, strict=True):
        fit(tmp_path, name, some, tmp_path, **alone)
    found = compare_states(*(read_state(tmp_path / name) for name in "ab")).explained["1"]
    for ratios, some in zip(found, rows, strict=True):
        scaled = StandardScaler().fit_transform(np.stack([train(some, "x"), train(some, "z")], axis=1))
        windows = np.lib.stride_tricks.sliding_window_view(scaled, 2, axis=0).reshape(len(scaled) - 1, 4)
        assert ratios == pytest.approx(PCA().fit(windows).explained_variance_ratio_, rel=1e-4)


def test_a_state_compared_with_itself(states):
    state = read_state(states[0] / "2026-11-16")
    found = compare_states(state, state)
    assert (found.columns_added, found.columns_removed, found.kinds, found.categories) == ((), (), {}, {})
    assert set(found.medians.values()) == {0.0}
    assert all(before == after for before, after in found.explained.values())


def test_a_fit_is_compared_with_the_state_before_it(states):
    folder, later = states
    comparison = dict(result_at(folder / "2026-11-23").snapshot().manifest.comparison)
    earlier = result_at(folder / "2026-11-16").snapshot().manifest
    assert comparison.pop("address") == str(folder / "2026-11-16")
    assert comparison.pop("fingerprint") == earlier.fingerprint
    expected = compare_states(*(read_state(folder / name) for name in ("2026-11-16", "2026-11-23")))
    assert StateComparison.from_json(comparison) == expected
    assert earlier.comparison == {}
    texts = [text for _, text in summary_lines(later)]
    assert f"with {folder / '2026-11-16'}, fingerprint {earlier.fingerprint}:" in texts
    assert "categories of color: 2 added (green, pink), 1 removed (black)" in texts


def test_what_is_not_compared(states, tmp_path):
    fit(tmp_path, "2026-11-16", EARLIER, tmp_path)
    other = pa.table({"time": EARLIER["t"], "other": EARLIER["x"]})
    settings = {"columns": {"time": "time"}}
    assert fit(tmp_path, "2026-11-23", other, tmp_path, **settings).manifest.comparison == {}  # another table
    assert fit(tmp_path, "2026-11-09", EARLIER, tmp_path).manifest.comparison == {}  # none before it
    assert fit(tmp_path, "2026-11-30", EARLIER, tmp_path, model=Job).manifest.comparison == {}  # publishes rows
    assert fit(tmp_path, "2026-12-07", EARLIER, tmp_path).manifest.comparison["address"] == str(tmp_path / "2026-11-30")


def test_a_state_that_cannot_be_read_is_a_warning(tmp_path, caplog):
    fit(tmp_path, "2026-11-16", EARLIER, tmp_path)
    (tmp_path / "2026-11-16" / "state" / "job.json").write_text("{}")
    with caplog.at_level(logging.WARNING, "emberharmony"):
        assert fit(tmp_path, "2026-11-23", LATER, tmp_path).manifest.comparison == {}
    assert "The state is not compared with the one before it." in caplog.text
    assert "2026-11-16/state/job.json is not what its run published" in caplog.text


class CountedObjects(MemoryObjects):
    """Notes which folders are listed, and which objects beside those of one result are read."""

    def __init__(self, own):
        super().__init__()
        self.own, self.listed, self.read = own, [], []

    def folders(self, prefix):
        if not prefix.startswith(self.own):
            self.listed.append(prefix)
        return super().folders(prefix)

    def get(self, key):
        if not key.startswith(self.own):
            self.read.append(key)
        return super().get(key)


def test_a_fit_that_is_alone_costs_one_listing(tmp_path, monkeypatch):
    objects = CountedObjects("lake/fitted")
    monkeypatch.setattr(opening, "Bucket", lambda _: objects)
    assert fit("s3://memory/lake", "fitted", EARLIER, tmp_path).manifest.comparison == {}
    assert (objects.listed, objects.read) == (["lake"], [])
    objects.own = "lake/later"
    found = fit("s3://memory/lake?region=eu-west-1", "later", LATER, tmp_path).manifest.comparison
    assert found["address"] == "s3://memory/lake/fitted?region=eu-west-1"
    assert objects.listed == ["lake", "lake"]
