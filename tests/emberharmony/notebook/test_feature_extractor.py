"""The extractor against pandas and scikit-learn."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.exceptions import NotFittedError

from emberharmony.backend import get_backend
from emberharmony.errors import DataError, PlanError
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from tests.frames import NOW
from tests.references import reference_job


def test_equals_pandas_and_sklearn(path, table, backend):
    before = get_backend()
    extractor = TerabyteFeatureExtractor(chunk_size=250, max_memory_gb=4, preferred_backend=backend)
    prepared = extractor.prepare_data(path, "y", force_categorical_columns=["count"], drop_columns=["name"], index_col="t")
    assert get_backend() == before
    nullable = {pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int32Dtype()}
    expected = reference_job(
        table.to_pandas(types_mapper=nullable.get),
        time="t",
        target="y",
        drop=["name"],
        forced_categorical=["count"],
        strides=(1,),
        size=2,
    )
    assert list(prepared.feature_names) == expected.feature_names
    assert prepared.dropped == {"name": "dropped by the configuration"}
    times = table["t"].to_pandas()
    for split in ("train", "validation", "test"):
        frame, reference = getattr(prepared, split), expected.features[split]
        assert list(frame.columns) == [*expected.feature_names, "y"]
        assert (frame.dtypes[expected.feature_names] == np.float32).all()
        np.testing.assert_allclose(frame[expected.feature_names], reference[expected.feature_names], atol=1e-5)
        np.testing.assert_array_equal(frame["y"], table["y"].to_numpy()[reference["row_number"]])
        assert frame.index.name == "t"
        np.testing.assert_array_equal(frame.index, times[reference["row_number"]])
    assert [len(prepared.train), len(prepared.validation), len(prepared.test)] == [720, 90, 90]


def test_without_times_the_first_rows_train(path, extractor, table):
    prepared = extractor.prepare_data(str(path), drop_columns=["name", "t"])
    again = TerabyteFeatureExtractor(chunk_size=70, verbose=False).prepare_data(path, drop_columns=["name", "t"])
    pd.testing.assert_frame_equal(prepared.train, again.train)
    rows = [frame.index.tolist() for frame in (prepared.train, prepared.validation, prepared.test)]
    assert rows == [[*range(720)], [*range(720, 810)], [*range(810, 900)]]
    assert prepared.train.index.name == "row_number"
    walk = table["walk"].to_pandas()
    filled = walk.fillna(walk[prepared.train.index].median())
    train = filled[prepared.train.index]
    expected = (filled - train.mean()) / train.std(ddof=0)
    np.testing.assert_allclose(prepared.test["walk"], expected[prepared.test.index], atol=1e-4)


def test_an_index_that_is_no_time_is_carried_along(path, extractor, table):
    prepared = extractor.prepare_data(path, "y", index_col="name")
    assert not any(name.startswith("name") for name in prepared.feature_names)
    names = set(prepared.train.index) | set(prepared.validation.index) | set(prepared.test.index)
    assert names == set(table["name"].to_pylist())


@pytest.mark.parametrize("make", [lambda t: t, lambda t: t.to_pandas(), pl.from_arrow, lambda t: t.to_pandas().set_index("t")])
def test_frames_give_what_their_file_gives(path, extractor, table, make):
    prepared = extractor.prepare_data(make(table), "y", drop_columns=["name"], index_col="t")
    expected = extractor.prepare_data(path, "y", drop_columns=["name"], index_col="t")
    assert sorted(prepared.feature_names) == sorted(expected.feature_names)
    for split in ("train", "validation", "test"):
        a, b = getattr(prepared, split), getattr(expected, split)
        np.testing.assert_allclose(a[b.columns], b, atol=1e-6)
        np.testing.assert_array_equal(a.index, b.index)


def test_transform_repeats_the_features(path, extractor, table):
    prepared = extractor.prepare_data(path, "y", drop_columns=["name"])
    features = extractor.transform(table.to_pandas(), prepared.state)
    np.testing.assert_array_equal(features.loc[prepared.test.index], prepared.test[list(prepared.feature_names)])
    with pytest.raises(DataError, match="lacks walk"):
        extractor.transform(table.drop_columns("walk").to_pandas(), prepared.state)


def test_a_saved_state_makes_the_same_features(extractor, tmp_path):
    with pytest.raises(NotFittedError):
        extractor.save(tmp_path / "state")
    prepared = extractor.prepare_data(NOW)
    extractor.save(tmp_path / "state")
    loaded = TerabyteFeatureExtractor.load(tmp_path / "state", verbose=False)
    assert loaded.state == prepared.state
    pd.testing.assert_frame_equal(loaded.transform(NOW), extractor.transform(NOW))
    with pytest.raises(DataError, match="state of TerabyteFeatureExtractor"):
        TerabyteTemporalStrideProcessor.load(tmp_path / "state")


def test_choices(extractor):
    shared = extractor.prepare_data(NOW, index_col="t", fractions=(0.5, 0.25, 0.25))
    assert [len(part) for part in (shared.train, shared.validation, shared.test)] == [30, 15, 15]
    drawn = extractor.prepare_data(NOW, index_col="t", split_method="random")
    assert drawn.train.index.max() > drawn.test.index.min()
    few = extractor.prepare_data(NOW, index_col="t", max_categories=1)
    assert [name for name in few.feature_names if name.startswith("s_")] == ["s_a", "s_other", "s_null"]
    zoned = NOW.assign(t=NOW.t.dt.tz_localize("UTC"))
    there = extractor.prepare_data(zoned, index_col="t", time_zone="America/New_York")
    hours = zoned.t.dt.tz_convert("America/New_York").dt.hour
    np.testing.assert_allclose(there.train["t_sin_hour"], np.sin(2 * np.pi * hours[:48] / 23), atol=1e-6)


def test_what_is_no_table_or_state_is_refused(extractor):
    for nothing in (NOW.iloc[:0], pd.DataFrame()):
        with pytest.raises(DataError, match=r"The frame has no (rows|columns)"):
            extractor.prepare_data(nothing)
    with pytest.raises(TypeError, match="columns is a sequence of columns"):
        extractor.process_in_chunks(NOW, len, columns="x")
    with pytest.raises(TypeError, match=r"state is what prepare_data returned.*got 7"):
        extractor.transform(NOW, 7)


def test_categories_of_numbers_stay_categories(extractor):
    frame = NOW.assign(k=pd.Categorical(NOW.k))
    prepared = extractor.prepare_data(frame, index_col="t")
    assert prepared.feature_names[1:7] == ("k_0", "k_1", "k_2", "k_3", "k_other", "k_null")
    features = extractor.transform(frame).filter(like="k_")
    np.testing.assert_array_equal(features[:48], prepared.train.filter(like="k_"))
    np.testing.assert_array_equal(features[["k_0", "k_1", "k_2", "k_3"]].to_numpy().argmax(axis=1), NOW.k)


def test_what_is_refused(path, extractor, table):
    with pytest.raises(PlanError, match="'yy' is not in the table"):
        extractor.prepare_data(path, target_column="yy")
    with pytest.raises(DataError, match="does not exist"):
        extractor.prepare_data("missing.parquet")
    with pytest.raises(TypeError, match="got builtins"):
        extractor.prepare_data(7)
    with pytest.raises(DataError, match=r"Column 'odd' of the frame cannot be converted .*'x'"):
        extractor.prepare_data(pd.DataFrame({"odd": [1, "x", dt.date(2024, 1, 1)] * 5}))
    with pytest.raises(DataError, match="more than one column called a"):
        extractor.prepare_data(pd.DataFrame(np.zeros((20, 2)), columns=["a", "a"]))
    with pytest.raises(PlanError, match=r"GiB"):
        TerabyteFeatureExtractor(max_memory_gb=0.01).prepare_data(path)
    with pytest.raises(ValueError, match="chunk_size"):
        TerabyteFeatureExtractor(chunk_size=0)
    with pytest.raises(ValueError, match="max_memory_gb"):
        TerabyteFeatureExtractor(max_memory_gb=0)
    with pytest.raises(TypeError, match=r"drop_columns is a sequence.*write \['name'\]"):
        extractor.prepare_data(path, drop_columns="name")
    with pytest.raises(TypeError, match=r"force_categorical_columns.*\['name'\]"):
        extractor.prepare_data(path, force_categorical_columns="name")
    with pytest.raises(DataError, match=r"does not have yy. It has: t, "):
        extractor.process_in_chunks(table.to_pandas(), len, columns=["t", "yy"])


def test_the_two_classes_together(path, extractor):
    prepared = extractor.prepare_data(path, "y", drop_columns=["name"], index_col="t")
    names = list(prepared.feature_names)
    processor = TerabyteTemporalStrideProcessor(verbose=False)
    scores = processor.process_large_dataset(prepared.train[names].iloc[i : i + 100] for i in range(0, 720, 100))
    assert scores[1].shape == (716, 32)
    assert 0.5 < processor.get_explained_variance(1) <= 1.0
