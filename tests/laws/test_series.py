"""Laws 1, 4 and 5 for tables of many series in any order, against pandas `groupby` and windows that are built one by one."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ColumnSpec
from emberharmony.pipeline.execute import run_job
from flows.config.job import ApplyJob, load_job, parse_job
from flows.engines.local import LocalEngine
from flows.flights import prepare_weather
from tests.jobs import SPLITS, read_published, run_small, write_table

CONFIGS = Path(__file__).parent.parent.parent / "configs"

SIZE, STRIDES = 4, (1, 3)
MINUTE = np.timedelta64(1, "m")


def many_series(lengths, *, seed=0, gaps=False, two_columns=False):
    """Rows of series of these lengths, shuffled; one entity is null, and times repeat across series."""
    rng = np.random.default_rng(seed)
    frames = []
    for i, n_rows in enumerate(lengths):
        minutes = rng.integers(0, 60) + np.cumsum(rng.integers(1, 120 if gaps else 5, n_rows))
        frame = pd.DataFrame({"t": np.datetime64("2024-01-01", "us") + minutes * MINUTE})
        frame["id"] = None if i == 2 else f"sensor {i // 2 if two_columns else i}"
        frame["site"] = i % 2
        frame["x"] = rng.normal(size=n_rows).cumsum()
        frame["y"] = rng.normal(size=n_rows)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True).sample(frac=1, random_state=seed).reset_index(drop=True)


def expected_windows(features, entity, names, *, size, stride, time, max_gap=None, horizon=0):
    """(split, first row, last row) -> values of every window, from published features by pandas."""
    windows = {}
    features = features.sort_values([time, "row_number"], ignore_index=True)
    times, numbers = features[time].to_numpy(), features["row_number"].to_numpy()
    values, splits = features[names].to_numpy(np.float64), features["split"].to_numpy()
    series = features.groupby(["split", *entity], dropna=False, sort=False).ngroup().to_numpy()
    by_series = np.argsort(series, kind="stable")  # in time order within each
    for rows in np.split(by_series, np.flatnonzero(np.diff(series[by_series])) + 1):
        cuts = np.flatnonzero(np.diff(times[rows]) > max_gap) + 1 if max_gap is not None else []
        for begin, end in itertools.pairwise([0, *cuts, len(rows)]):
            for p in range(begin, end - size - horizon + 1, stride):
                window = rows[p : p + size]
                windows[splits[window[0]], numbers[window[0]], numbers[window[-1]]] = values[window].ravel()
    return windows


def check(published, table, entity, max_gap=None, *, size=SIZE, strides=STRIDES, time="t", horizon=0):
    """Every row once, with its own entity; every window once; and scores as scikit-learn's."""
    features = pd.concat([published.features[name].to_pandas().assign(split=name) for name in SPLITS], ignore_index=True)
    assert sorted(features["row_number"]) == list(range(len(table)))
    for name in entity:
        own = table[name].to_numpy()[features["row_number"]]
        assert all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(own, features[name], strict=True))
    for stride in strides:
        names = published.feature_names
        windows = {"size": size, "stride": stride, "time": time, "max_gap": max_gap, "horizon": horizon}
        expected = expected_windows(features, entity, names, **windows)
        found = pd.concat([published.windows[stride][name].to_pandas().assign(split=name) for name in SPLITS])
        keys = list(zip(found["split"], found["first_row"], found["last_row"], strict=True))
        assert len(set(keys)) == len(keys)
        assert set(keys) == set(expected)
        values = np.stack([expected[key] for key in keys])
        scores = found[[name for name in found.columns if name.startswith("pc_")]].to_numpy()
        model = PCA(scores.shape[1], svd_solver="covariance_eigh").fit(values[(found["split"] == "train").to_numpy()])
        n = int((model.explained_variance_ > 1e-2 * model.explained_variance_[0]).sum())
        by_sign = np.sign((scores[:, :n] * model.transform(values)[:, :n]).sum(axis=0))
        np.testing.assert_allclose(scores[:, :n] * by_sign, model.transform(values)[:, :n], atol=1e-4)


def run(table, tmp_path, *, columns=None, windows=None, chunk_rows=None, group_rows=100, **job):
    path = tmp_path / "t.parquet"
    path.unlink(missing_ok=True)
    write_table(pa.Table.from_pandas(table, preserve_index=False), path, group_rows=group_rows)
    windows = {"size": SIZE, "strides": list(STRIDES)} | (windows or {})
    runtime = {"chunk_rows": chunk_rows} if chunk_rows else {}
    columns = columns or {"time": "t", "entity": "id"}
    return run_small(path, tmp_path / "out", columns=columns, windows=windows, runtime=runtime, **job)


@settings(max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=4, max_size=12),
    chunk_rows=st.integers(20, 400),
    group_rows=st.integers(10, 300),
    seed=st.integers(0, 99),
)
def test_windows_of_random_series_in_any_chunks(lengths, chunk_rows, group_rows, seed, tmp_path_factory):
    table = many_series([*lengths, 40, 40], seed=seed)
    published = run(table, tmp_path_factory.mktemp("series"), chunk_rows=chunk_rows, group_rows=group_rows)
    check(published, table, ["id"])


def test_a_table_that_is_partitioned_twice(tmp_path, monkeypatch):
    """As a terabyte would be: groups of chunks first, then the chunks of each group, as many rows at once as memory holds."""
    monkeypatch.setattr("emberharmony.planning.chunk_groups.MOST_PARTS", 10)
    monkeypatch.setattr("emberharmony.planning.memory.INPUT_ROWS", 60)
    table = many_series([60, 5, 80, 1, 200, 40, 40])
    published = run(table, tmp_path, chunk_rows=25, group_rows=50)
    assert len(published.manifest["computed"]["regroup"]) == 1
    check(published, table, ["id"])


@pytest.mark.parametrize("chunk_rows", [25, 5_000])
def test_a_gap_in_time_begins_another_series(tmp_path, chunk_rows):
    table = many_series([60, 5, 80, 1, 200], gaps=True)
    published = run(table, tmp_path, windows={"max_gap": "PT90M"}, chunk_rows=chunk_rows)
    check(published, table, ["id"], max_gap=90 * MINUTE)


def test_a_gap_without_entities(tmp_path):
    table = many_series([300], gaps=True)
    published = run(table, tmp_path, columns={"time": "t", "drop": ["id"]}, windows={"max_gap": "PT90M"}, chunk_rows=40)
    check(published, table, [], max_gap=90 * MINUTE)


def test_an_entity_of_two_columns_is_split_as_a_whole_by_hash(tmp_path):
    table = many_series([20] * 60, two_columns=True)
    entity = ["id", "site"]
    published = run(table, tmp_path, columns={"time": "t", "entity": entity}, split={"method": "hash"}, chunk_rows=100)
    check(published, table, entity)
    splits = pd.concat([published.features[name].to_pandas().assign(split=name) for name in SPLITS])
    assert (splits.groupby(entity, dropna=False)["split"].nunique() == 1).all()


def test_rows_that_lie_series_by_series_are_read_as_they_are(tmp_path):
    table = many_series([60, 5, 80, 1, 200]).sort_values(["id", "t"]).reset_index(drop=True)
    published = run(table, tmp_path, chunk_rows=50)
    check(published, table, ["id"])
    assert "arrange" not in published.manifest["computed"]


def test_short_series_are_counted(tmp_path):
    published = run(many_series([60, 2, 80, 1, 200, 3], seed=3), tmp_path, split={"fractions": [1.0, 0.0, 0.0]})
    assert published.manifest["series"]["train"] == {"series": 6, "shorter_than_window": 3, "longest": 200}


@pytest.mark.parametrize(
    ("columns", "windows", "error", "message"),
    [
        ({"time": "t", "entity": "idd"}, {}, PlanError, "Column 'idd' is not in the table. Did you mean 'id'"),
        ({"time": "t", "entity": "x"}, {}, PlanError, "The entity column 'x' is of type double"),
        ({"time": "t", "entity": "empty"}, {}, DataError, "The entity empty is null in every row"),
        ({"time": "t", "entity": "untyped"}, {}, PlanError, "The entity column 'untyped' is of type null"),
        (
            {"time": "t", "entity": "nested"},
            {},
            PlanError,
            "'nested' is nested, and read as the columns nested_a.* one of these",
        ),
        ({"time": "t", "entity": "row"}, {}, PlanError, "the longest of the .* training series has 1"),
        ({"entity": "id"}, {"max_gap": "PT1H"}, PlanError, "this job has no time column"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, columns, windows, error, message):
    table = many_series([60, 60, 60])
    table["row"] = np.arange(len(table))
    table["empty"] = pd.Series([None] * len(table), dtype="string")
    table["untyped"] = None
    table["nested"] = [{"a": 1, "b": "x"}] * len(table)
    with pytest.raises(error, match=message):
        run(table, tmp_path, columns=columns, windows=windows)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("chunk_rows", [15, 5_000])
def test_a_windows_label_is_that_of_a_later_row_of_its_series(tmp_path, chunk_rows):
    table = many_series([60, 5, 6, 7, 80, 1, 200])
    columns = {"time": "t", "entity": "id", "target": "y"}
    published = run(table, tmp_path, columns=columns, windows={"horizon": 3}, chunk_rows=chunk_rows)
    check(published, table, ["id"], horizon=3)
    for split in SPLITS:
        rows = table.loc[published.features[split]["row_number"].to_numpy()].assign(split=split)
        labels = rows.sort_values(["id", "t"]).groupby("id", dropna=False)["y"].shift(-3)
        for window in published.windows[1][split].to_pylist():
            assert window["y"] == labels[window["last_row"]]


def test_a_horizon_needs_labels(tmp_path):
    with pytest.raises(PlanError, match="this job has no labels: name them in `columns"):
        run(many_series([60, 60]), tmp_path, windows={"horizon": 3})


@pytest.mark.parametrize("chunk_rows", [None, 15])
def test_rows_without_labels_make_windows_up_to_their_series_end(tmp_path, chunk_rows):
    table = many_series([60, 5, 6, 7, 80])
    columns = {"time": "t", "entity": "id", "target": "y"}
    run(table, tmp_path, columns=columns, windows={"horizon": 3})
    write_table(pa.Table.from_pandas(table.drop(columns="y"), preserve_index=False), tmp_path / "new.parquet")
    places = {"source": {"path": str(tmp_path / "new.parquet")}, "sink": {"path": str(tmp_path / "applied")}}
    runtime = {"engine": "local", "workers": 1, "chunk_rows": chunk_rows}
    job = parse_job({"state": str(tmp_path / "out/state"), **places, "runtime": runtime}, model=ApplyJob)
    applied = run_job(job, LocalEngine(1))
    lengths = table.groupby("id", dropna=False).size()
    assert applied.manifest.strides["1"].windows == {"apply": int((lengths - SIZE + 1).clip(lower=0).sum())}


def of_config(name, source, sink, *settings):
    """Run a job of configs/ on another table, and read its result."""
    job = load_job(CONFIGS / name, [f"source.path={source}", f"sink.path={sink}", "runtime.engine=local", *settings])
    return read_published(sink, run_job(job, LocalEngine(1)))


def test_every_plane_of_a_tenth_of_the_flights_is_a_series(tenth_of_flights, tmp_path):
    published = of_config("flights-by-plane.yaml", tenth_of_flights, tmp_path / "out", "categories.max_categories=5")
    flights = pd.read_parquet(tenth_of_flights)
    check(published, flights, ["tailnum"], strides=(1,), time="time_hour")
    lengths = pd.concat([published.features[split].to_pandas().assign(split=split) for split in SPLITS])
    lengths = lengths.groupby(["split", "tailnum"], dropna=False).size()
    found = {split: (of["series"], of["shorter_than_window"]) for split, of in published.manifest["series"].items()}
    assert found == {split: (len(lengths[split]), (lengths[split] < SIZE).sum()) for split in SPLITS}


def test_missing_hours_end_the_series_of_an_airports_weather(tmp_path):
    weather = prepare_weather(tmp_path / "weather.parquet")
    published = of_config("weather.yaml", weather, tmp_path / "out")
    gap = np.timedelta64(1, "h")
    check(published, pd.read_parquet(weather), ["origin"], gap, size=24, strides=(1, 24), time="time_hour")


def test_an_entity_has_no_other_role():
    with pytest.raises(ValueError, match="both as 'entity' and as 'target'"):
        ColumnSpec(entity="id", target="id")
