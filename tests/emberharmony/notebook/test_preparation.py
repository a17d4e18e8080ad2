"""Frames of tables of many series, against pandas."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emberharmony.errors import PlanError
from emberharmony.features import TerabyteFeatureExtractor
from emberharmony.notebook import preparation
from emberharmony.pipeline.plan import make_plan

SPLITS = ("train", "validation", "test")


def many_series(n_times=100):
    """Rows of eight entities, all at the same times; one has no site."""
    sites, sensors = ["north", "south", None, "west"], [1, 2]
    times = pd.date_range("2024-01-01", periods=n_times, freq="h")
    index = pd.MultiIndex.from_product([sites, sensors, times], names=["site", "sensor", "t"])
    table = index.to_frame(index=False)
    values = np.random.default_rng(0).normal(size=(len(table), 2)) + np.array([10, 0])
    return table.assign(x=values[:, 0], y=values[:, 1])


def as_frame(table, _folder):
    return table


def as_file(table, folder):
    table.to_parquet(folder / "t.parquet", row_group_size=50, index=False)
    return folder / "t.parquet"


def series_of(frame, entity):
    """Entities of a frame, as often as one follows another, and the rows of each."""
    keys = frame[entity].astype(object).where(frame[entity].notna(), "none")
    begins = (keys != keys.shift()).any(axis=1).cumsum()
    return [(tuple(keys.loc[rows.index[0]]), rows) for _, rows in frame.groupby(begins)]


@pytest.mark.parametrize("make", [as_frame, as_file])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_rows_come_series_by_series_in_the_order_of_time(tmp_path, make, is_shuffled):
    table = many_series()
    given = table.sample(frac=1, random_state=0) if is_shuffled else table
    extractor = TerabyteFeatureExtractor(chunk_size=60, verbose=False)
    prepared = extractor.prepare_data(make(given, tmp_path), "y", index_col="t", entity=["site", "sensor"])
    assert prepared.entity == ("site", "sensor")
    assert not {"site", "sensor", "y"} & {*prepared.feature_names}
    bounds = table["t"].quantile([0.8, 0.9], interpolation="higher").tolist()
    split_of = np.searchsorted(bounds, table["t"], side="right")
    train = table["x"][split_of == 0]
    expected = table.assign(x=(table["x"] - train.mean()) / train.std(ddof=0), split=split_of)
    for i, split in enumerate(SPLITS):
        frame = getattr(prepared, split)
        assert list(frame.columns) == [*prepared.feature_names, "site", "sensor", "y"]
        found = series_of(frame.reset_index(), ["site", "sensor"])
        assert len(found) == 8
        assert len({entity for entity, _ in found}) == 8
        for (site, sensor), rows in found:
            of = expected[
                (expected["site"].fillna("none") == site) & (expected["sensor"] == sensor) & (expected["split"] == i)
            ]
            pd.testing.assert_frame_equal(
                rows[["t", "x", "y"]].reset_index(drop=True),
                of[["t", "x", "y"]].reset_index(drop=True),
                check_dtype=False,
                atol=1e-5,
            )
    assert tuple(extractor.transform(given[["t", "x"]]).columns) == prepared.feature_names


@pytest.mark.parametrize("split_method", [None, "hash"])
def test_without_times_whole_entities_are_divided(split_method):
    table = pd.DataFrame({"id": pd.Categorical(np.arange(900) % 90), "x": np.arange(900.0)})
    extractor = TerabyteFeatureExtractor(chunk_size=70, verbose=False)
    prepared = extractor.prepare_data(table, entity="id", split_method=split_method)
    frames = [getattr(prepared, split) for split in SPLITS]
    assert prepared.feature_names == ("x",)
    assert sorted(np.concatenate([frame["id"].unique() for frame in frames])) == list(range(90))
    for frame in frames:
        np.testing.assert_array_equal(frame["id"], frame.index % 90)
        assert all(len(rows) == 10 and rows.index.is_monotonic_increasing for _, rows in series_of(frame, ["id"]))


def test_whole_entities_can_be_divided_in_a_table_with_times():
    prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(
        many_series(10), index_col="t", entity=["site", "sensor"], split_method="hash", fractions=(0.5, 0.5, 0.0)
    )
    assert {
        len(rows)
        for frame in (prepared.train, prepared.validation)
        for _, rows in series_of(frame.reset_index(), ["site", "sensor"])
    } == {10}
    assert len(prepared.train) + len(prepared.validation) == 80


def test_limit_takes_the_earliest_rows_of_all_series():
    table = many_series().sample(frac=1, random_state=0)
    extractor = TerabyteFeatureExtractor(chunk_size=60, verbose=False)
    prepared = extractor.prepare_data(table, index_col="t", entity=["site", "sensor"], limit=160)
    every = pd.concat([getattr(prepared, split) for split in SPLITS])
    np.testing.assert_array_equal(np.sort(every.index), np.sort(table["t"])[:160])
    assert {len(rows) for _, rows in series_of(every.reset_index().sort_values(["site", "sensor"]), ["site", "sensor"])} == {
        20
    }


def test_a_split_without_entities_is_refused():
    table = pd.DataFrame({"id": ["a", "b"] * 30, "x": range(60)})
    with pytest.raises(PlanError, match=r"which is no row\. Rows of equal id stay together"):
        TerabyteFeatureExtractor(verbose=False).prepare_data(table, entity="id")


def test_the_index_keeps_its_name_beside_entities():
    table = many_series(20).set_index("t").rename_axis(None)
    prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(table, entity=["site", "sensor"])
    assert prepared.train.index.name is None
    assert prepared.entity == ("site", "sensor")


def test_frames_larger_than_memory_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(preparation, "make_plan", lambda spec, resources: make_plan(spec, replace(resources, max_memory_gb=4)))
    with pytest.raises(
        PlanError, match=r"640 rows .* need 0\.0 GiB while they are made, more than the 1e-06 GiB of max_memory_gb"
    ):
        TerabyteFeatureExtractor(max_memory_gb=1e-6, verbose=False).prepare_data(many_series(80), index_col="t")
