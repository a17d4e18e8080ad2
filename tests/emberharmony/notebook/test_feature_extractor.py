"""The extractor against pandas and scikit-learn, and against the formulas of the user's guide."""

import datetime as dt
import logging
import re
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.exceptions import NotFittedError

from emberharmony.backend import get_backend
from emberharmony.errors import DataError, PlanError
from emberharmony.features import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor
from emberharmony.features.preprocessing import Preprocessing
from tests.backends import BACKENDS, on_device
from tests.jobs import small_table, write_table
from tests.references import reference_job


@pytest.fixture(params=BACKENDS)
def backend(request):
    return on_device(request.param)


@pytest.fixture(scope="module")
def table():
    return small_table(900)


@pytest.fixture
def path(table, tmp_path):
    return write_table(table, tmp_path / "table.parquet", group_rows=200)


@pytest.fixture
def extractor():
    return TerabyteFeatureExtractor(chunk_size=250, max_memory_gb=4, verbose=False)


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


def test_without_times_rows_are_drawn(path, extractor, table):
    prepared = extractor.prepare_data(str(path), drop_columns=["name", "t"])
    again = TerabyteFeatureExtractor(chunk_size=70, verbose=False).prepare_data(path, drop_columns=["name", "t"])
    pd.testing.assert_frame_equal(prepared.train, again.train)
    rows = np.concatenate([prepared.train.index, prepared.validation.index, prepared.test.index])
    assert sorted(rows) == list(range(900))
    assert prepared.train.index.name == "row_number"
    assert 680 < len(prepared.train) < 760
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


def test_bigframes_come_page_by_page(extractor, table, path):
    """And their rows go back to where they came from, one load for each frame."""
    loads = []

    class DataFrame(pd.DataFrame):
        pages = 0

        @property
        def _session(self):
            return SimpleNamespace(read_parquet=lambda path, engine: loads.append(path) or DataFrame(pd.read_parquet(path)))

        def to_pandas_batches(self, page_size, allow_large_results):
            assert allow_large_results
            for begin in range(0, len(self), page_size):
                type(self).pages += 1
                yield pd.DataFrame(self.iloc[begin : begin + page_size])

        def head(self, n):
            return DataFrame(self.iloc[:n])

    DataFrame.__module__ = "bigframes.dataframe"
    frame = DataFrame(table.to_pandas())
    prepared = extractor.prepare_data(frame, "y", drop_columns=["name"], index_col="t")
    expected = extractor.prepare_data(path, "y", drop_columns=["name"], index_col="t")
    assert DataFrame.pages == 4
    assert len(loads) == 3
    for split in ("train", "validation", "test"):
        pd.testing.assert_frame_equal(getattr(prepared, split), getattr(expected, split), check_index_type=False)
    features = extractor.transform(frame, expected.state)
    pd.testing.assert_frame_equal(features, extractor.transform(table.to_pandas(), expected.state))
    DataFrame.pages = 0
    assert len(extractor.prepare_data(frame, drop_columns=["t"], limit=100).train) < 100
    assert DataFrame.pages == 1
    assert extractor.row_count(frame) == 900
    assert extractor.detect_column_types(frame).boolean == ["flag"]


def test_limit_takes_the_first_rows(path, extractor, table):
    by_time = extractor.prepare_data(path, "y", drop_columns=["name"], limit=300, index_col="t")
    times = np.sort(table["t"].to_numpy())[:300]
    every = pd.concat([by_time.train, by_time.validation, by_time.test])
    np.testing.assert_array_equal(every.index.tz_localize(None), times)
    as_they_come = extractor.prepare_data(path, drop_columns=["t"], limit=301)
    rows = np.concatenate([getattr(as_they_come, split).index for split in ("train", "validation", "test")])
    assert sorted(rows) == list(range(301))
    assert len(extractor.prepare_data(table.to_pandas(), limit=10_000, index_col="t").train) == 720
    with pytest.raises(ValueError, match="limit"):
        extractor.prepare_data(path, limit=0)


def test_transform_repeats_the_features(path, extractor, table):
    prepared = extractor.prepare_data(path, "y", drop_columns=["name"])
    features = extractor.transform(table.to_pandas(), prepared.state)
    np.testing.assert_array_equal(features.loc[prepared.test.index], prepared.test[list(prepared.feature_names)])
    with pytest.raises(DataError, match="lacks walk"):
        extractor.transform(table.drop_columns("walk").to_pandas(), prepared.state)


NOW = pd.DataFrame(
    {"x": np.linspace(0, 1, 60), "k": np.arange(60) % 4, "s": [*"abc"] * 20, "t": pd.date_range("2024-01-01", periods=60)}
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": NOW.k.astype(float).astype(str)}, "'k' is large_string (it was int64)"),
        ({"k": NOW.k + 0.5}, "'k' is double (it was int64)"),
        ({"s": 1}, "'s' is int64 (it was "),
        ({"x": [True] * 60}, "'x' is bool (it was double)"),
        ({"x": "abc", "s": 1.5}, "'x' is large_string (it was double); 's' is double"),
        ({"t": NOW.t.dt.tz_localize("UTC")}, "'t' is timestamp["),
        ({"t": NOW.t.astype(str)}, "'t' is large_string"),
        ({"t": NOW.t.astype("int64")}, "'t' is int64"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_transform_refuses_other_types(extractor, change, message):
    state = extractor.prepare_data(NOW, force_categorical_columns=["k"]).state
    with pytest.raises(DataError, match=re.escape(message)):
        extractor.transform(NOW.assign(**change), state)


def test_transform_takes_what_holds_the_same_values(extractor):
    prepared = extractor.prepare_data(NOW, force_categorical_columns=["k"])
    expected = extractor.transform(NOW, prepared.state)
    same = [
        NOW[["t", "s", "k", "x"]].assign(other=[object()] * 60),
        NOW.astype({"k": "int8", "s": "category", "x": "float64[pyarrow]", "t": "datetime64[s]"}),
        pl.from_pandas(NOW),
    ]
    for frame in same:
        np.testing.assert_array_equal(extractor.transform(frame), expected)
    some = NOW.assign(k=NOW.k.astype(float).where(NOW.index > 3))  # what pandas makes of whole numbers with missing values
    np.testing.assert_array_equal(extractor.transform(some)[4:], expected[4:])
    assert (extractor.transform(some)["k_null"][:4] == 1).all()


@pytest.mark.parametrize("column", ["x", "k", "s", "t"])
def test_a_column_without_a_value_may_have_any_type(extractor, column):
    state = extractor.prepare_data(NOW).state
    nothing = extractor.transform(NOW.assign(**{column: [None] * 60}), state)
    typed = {"x": "float64", "k": "Int64", "s": "string", "t": "datetime64[us]"}[column]
    expected = extractor.transform(NOW.assign(**{column: pd.Series([None] * 60, dtype=typed)}), state)
    pd.testing.assert_frame_equal(nothing, expected)


def test_a_state_of_before_knows_no_types(extractor):
    state = extractor.prepare_data(NOW).state
    data = state.to_json()
    del data["schema"]
    old = Preprocessing.from_json(data)
    pd.testing.assert_frame_equal(extractor.transform(NOW, old), extractor.transform(NOW, state))
    with pytest.raises(DataError, match="lacks x"):
        extractor.transform(NOW.drop(columns="x"), old)


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


def test_a_frame_with_an_index_of_times_is_ordered_by_it(extractor):
    frame = NOW.drop(columns="t").set_axis(NOW.t[::-1].to_numpy(), axis=0)
    prepared = extractor.prepare_data(frame)
    assert prepared.feature_names[-8:] == datetime_names("time")
    assert prepared.train.index.name is None
    assert prepared.train.index.max() < prepared.validation.index.min() < prepared.test.index.min()
    expected = extractor.prepare_data(NOW.assign(t=NOW.t[::-1].to_numpy()), index_col="t")
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(prepared, split), getattr(expected, split))
    np.testing.assert_array_equal(extractor.transform(frame, prepared.state).sort_index()[:48], prepared.train)
    named = extractor.prepare_data(frame.rename_axis("when"))
    assert (named.train.index.name, named.feature_names[-8:]) == ("when", datetime_names("when"))
    taken = extractor.prepare_data(frame.rename(columns={"x": "time"}))
    assert taken.feature_names[-8:] == datetime_names("time_index")
    assert len(extractor.transform(frame.rename(columns={"x": "time"}))) == 60
    without = extractor.prepare_data(frame.rename(columns={"k": "time"}), "time")
    assert len(extractor.transform(frame.drop(columns="k"), without.state)) == 60
    kept = extractor.prepare_data(NOW.set_index("t", drop=False))
    assert kept.train.index.max() < kept.test.index.min()


def test_an_index_of_times_stands_in_for_no_other_column(extractor):
    state = extractor.prepare_data(NOW).state
    frame = NOW.drop(columns="t").set_axis(NOW.t.to_numpy(), axis=0)
    with pytest.raises(DataError, match="lacks t"):
        extractor.transform(frame, state)
    assert len(extractor.transform(frame.rename_axis("t"), state)) == 60


def test_an_index_of_half_precision_is_carried_along(extractor):
    half = pa.array(np.arange(60, dtype=np.float16))
    prepared = extractor.prepare_data(pa.table({"x": NOW.x, "h": half}), index_col="h")
    index = np.concatenate([prepared.train.index, prepared.validation.index, prepared.test.index])
    np.testing.assert_array_equal(np.sort(index), np.arange(60))


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


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"limit": 1.5}, TypeError, "limit is a whole number"),
        ({"limit": True}, TypeError, "limit is a whole number"),
        ({"high_null_threshold": 2}, ValueError, "high_null_threshold is more than 0 and at most 1"),
        ({"high_null_threshold": float("nan")}, ValueError, "high_null_threshold"),
        ({"high_null_threshold": "0.5"}, TypeError, "high_null_threshold"),
        ({"index_col": "tt"}, PlanError, "index_col: Column 'tt' is not in the table"),
        ({"index_col": 3}, TypeError, "index_col is the name of a column"),
        ({"target_column": "yy"}, PlanError, "target_column: Column 'yy'"),
        ({"target_column": "t", "index_col": "t"}, PlanError, "'t' is given both in target_column and in index_col"),
        ({"drop_columns": ["x", "x"]}, PlanError, "'x' is given twice in drop_columns"),
        ({"drop_columns": ["z"]}, PlanError, "drop_columns: Column 'z'"),
        ({"force_categorical_columns": [1]}, TypeError, "each of force_categorical_columns"),
        ({"force_categorical_columns": None}, TypeError, "force_categorical_columns is a sequence"),
        ({"time_zone": "Mars"}, ValueError, "Mars"),
        ({"time_zone": None}, TypeError, "time_zone is a text"),
        ({"fractions": (0.5, 0.5)}, ValueError, "fractions are those of train, validation and test"),
        ({"fractions": 0.8}, TypeError, "fractions are three numbers"),
        ({"fractions": (0.9, 0.9, 0.9)}, ValueError, "up to 1"),
        ({"split_method": "hash"}, ValueError, "split_method is one of"),
        ({"max_categories": 0}, ValueError, "max_categories is at least 1"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(extractor, arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        extractor.prepare_data(NOW, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"chunk_size": "x"}, TypeError),
        ({"chunk_size": 1.5}, TypeError),
        ({"max_memory_gb": float("nan")}, ValueError),
        ({"max_memory_gb": "4"}, TypeError),
        ({"verbose": "no"}, TypeError),
    ],
    ids=str,
)
def test_wrong_settings_are_named(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        TerabyteFeatureExtractor(**arguments)


def test_what_is_no_table_or_state_is_refused(extractor):
    for nothing in (NOW.iloc[:0], pd.DataFrame()):
        with pytest.raises(DataError, match=r"The frame has no (rows|columns)"):
            extractor.prepare_data(nothing)
    with pytest.raises(TypeError, match="columns is a sequence of columns"):
        extractor.process_in_chunks(NOW, len, columns="x")
    with pytest.raises(TypeError, match=r"state is what prepare_data returned.*got 7"):
        extractor.transform(NOW, 7)


def test_rows_without_a_target_are_counted(caplog):
    frame = NOW.assign(y=NOW.x.where(NOW.index % 7 != 0))
    with caplog.at_level(logging.INFO, "emberharmony"):
        TerabyteFeatureExtractor().prepare_data(frame, "y", index_col="t")
    assert "9 rows have no y: their target is null" in caplog.text


def test_columns_that_are_dropped_may_hold_anything(extractor):
    frame = NOW.assign(odd=[object()] * 60)
    prepared = extractor.prepare_data(frame, drop_columns=["odd"])
    assert prepared.dropped == {"odd": "dropped by the configuration"}
    assert len(extractor.transform(frame)) == 60


def test_categories_of_numbers_stay_categories(extractor):
    frame = NOW.assign(k=pd.Categorical(NOW.k))
    prepared = extractor.prepare_data(frame, index_col="t")
    assert prepared.feature_names[1:7] == ("k_0", "k_1", "k_2", "k_3", "k_other", "k_null")
    features = extractor.transform(frame).filter(like="k_")
    np.testing.assert_array_equal(features[:48], prepared.train.filter(like="k_"))
    np.testing.assert_array_equal(features[["k_0", "k_1", "k_2", "k_3"]].to_numpy().argmax(axis=1), NOW.k)


def datetime_names(column):
    parts = ("hour", "dayofweek", "day", "month")
    return tuple(f"{column}_{function}_{part}" for part in parts for function in ("sin", "cos"))


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


def test_a_result_larger_than_memory_is_refused_before_it_is_made(extractor):
    with pytest.raises(PlanError, match=r"7\.5 GiB while they are made, more than the 4 GiB of max_memory_gb"):
        extractor._check_result_fits(10_000_000, 100)


def test_bigquery_without_its_libraries_says_how_to_get_them(monkeypatch, extractor):
    monkeypatch.setitem(sys.modules, "bigframes", None)
    for call in (extractor.prepare_data, extractor.row_count, extractor.detect_column_types):
        with pytest.raises(ImportError, match=r"pip install 'emberharmony\[bigquery\]'"):
            call("project.dataset.table")
    assert extractor.row_count(pd.DataFrame({"a": [1, 2]})) == 2


# ---- looking at a table ------------------------------------------------------------------------------------------------


def test_process_in_chunks(path, extractor, table):
    seen = extractor.process_in_chunks(path, lambda frame: frame)
    assert [len(frame) for frame in seen] == [200, 200, 200, 200, 100]
    pd.testing.assert_frame_equal(pd.concat(seen, ignore_index=True)[["y", "name"]], table.to_pandas()[["y", "name"]])
    sums = extractor.process_in_chunks(table.to_pandas(), lambda frame: (list(frame.columns), frame["y"].sum()), ["y"])
    assert len(sums) == 4
    assert sums[0][0] == ["y"]
    assert sum(part for _, part in sums) == pytest.approx(table["y"].to_pandas().sum())
    assert extractor.process_in_chunks(path, lambda frame: list(frame.columns), columns=["y", "walk"])[0] == ["y", "walk"]


def test_a_failing_function_is_not_swallowed(path, extractor):
    with pytest.raises(ZeroDivisionError):
        extractor.process_in_chunks(path, lambda frame: 1 / 0)


def test_row_count_and_column_types(path, extractor, tmp_path):
    assert extractor.row_count(path) == 900
    types = extractor.detect_column_types(path)
    assert types.numeric == ["walk", "count", "y"]
    assert types.datetime == ["t", "other"]
    assert types.categorical == ["color", "name"]
    assert types.boolean == ["flag"]
    odd = pa.table({"s": [{"a": 1}], "l": [[1]], "b": [b"x"], "x": [1.5]})
    pq.write_table(odd, tmp_path / "odd.parquet")
    for table in (odd, tmp_path / "odd.parquet"):
        types = extractor.detect_column_types(table)
        assert (types.struct, types.unsupported, types.numeric) == (["s"], ["l", "b"], ["x"])


def test_split_data(extractor):
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=100, freq="h")[::-1], "x": range(100)})
    split = extractor._split_data(frame, "t")
    assert [len(part) for part in split] == [80, 10, 10]
    assert split.train["t"].max() < split.validation["t"].min() <= split.validation["t"].max() < split.test["t"].min()
    assert split.train["t"].is_monotonic_increasing
    indexed = extractor._split_data(frame.set_index("t"), "t")
    np.testing.assert_array_equal(indexed.test["x"], split.test["x"])
    in_order = extractor._split_data(frame)
    assert [list(part["x"]) for part in in_order] == [[*range(80)], [*range(80, 90)], [*range(90, 100)]]
    prepared = extractor.prepare_data(frame)
    for part, same in zip(in_order, (prepared.train, prepared.validation, prepared.test), strict=True):
        np.testing.assert_array_equal(part.index, same.index)
    assert len(extractor._split_data(frame.iloc[:0], "t").train) == 0
    with pytest.raises(DataError, match="1 rows have no time"):
        extractor._split_data(pd.DataFrame({"t": [pd.NaT, pd.Timestamp(0)]}), "t")
    with pytest.raises(DataError, match="neither a column nor an index 'u'"):
        extractor._split_data(frame, "u")


# ---- the user's formula ------------------------------------------------------------------------------------------------


def formula(times, col):
    """The user's guide, word for word."""
    parts = {
        "hour": times.dt.hour / 23.0,
        "dayofweek": times.dt.day_of_week / 6.0,
        "day": (times.dt.day - 1) / 30.0,
        "month": (times.dt.month - 1) / 11.0,
    }
    features = {}
    for name, part in parts.items():
        features[f"{col}_sin_{name}"] = np.sin(2 * np.pi * part)
        features[f"{col}_cos_{name}"] = np.cos(2 * np.pi * part)
    return pd.DataFrame(features)


STAMPS = pd.Series(pd.to_datetime(["2024-01-01 00:00", "2024-12-31 23:59", None, "1969-07-20 20:17", "2024-02-29 12:30"]))


@pytest.mark.parametrize(
    "make",
    [
        lambda s: s,
        lambda s: s.astype("datetime64[s]"),
        lambda s: s.astype("datetime64[ns]"),
        lambda s: s.dt.tz_localize("UTC"),
        lambda s: s.dt.tz_localize("America/New_York"),
        lambda s: s.astype("timestamp[us][pyarrow]"),
        lambda s: s.dt.strftime("%Y-%m-%d %H:%M:%S"),
        lambda s: s.dt.strftime("%m/%d/%Y %H:%M"),
        lambda s: s.dt.strftime("%Y-%m-%dT%H:%M:%SZ").astype(object),
        lambda s: s.astype(object),
    ],
)
def test_datetime_features_follow_the_formula(backend, make):
    frame = pd.DataFrame({"when": make(STAMPS), "x": range(5)}, index=[5, 3, 9, 1, 7])
    frame["when"] = make(STAMPS).to_numpy() if make(STAMPS).dtype == object else make(STAMPS).array
    before = frame.copy()
    made = TerabyteFeatureExtractor(preferred_backend=backend, verbose=False)._create_datetime_features(frame, "when")
    expected = formula(STAMPS, "when")
    assert list(made.columns) == ["when", "x", *expected.columns]
    assert list(made.index) == [5, 3, 9, 1, 7]
    np.testing.assert_allclose(made[expected.columns], expected, atol=1e-6)
    assert made.loc[9, list(expected.columns)].isna().all()
    pd.testing.assert_frame_equal(frame, before)


def test_dates_are_times_at_midnight(extractor):
    days = [dt.date(2024, 5, 17), dt.date(1999, 12, 31)]
    for column in (days, pd.array(days, dtype="date32[pyarrow]")):
        made = extractor._create_datetime_features(pd.DataFrame({"d": column}), "d")
        np.testing.assert_allclose(made.iloc[:, 1:], formula(pd.Series(pd.to_datetime(days)), "d"), atol=1e-6)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["2024-01-01", "yesterday-ish"], "'yesterday-ish'"),
        ([1, 2], "int64"),
        ([object(), None], "object object"),
        ([None, "2024-01-01", 20240102], "20240102"),
        (pd.Categorical([5, 7]), "5"),
        (pd.Categorical(["2024-01-01", "never"]), "'never'"),
        (["12:30", "now"], "'12:30'"),
        (["now"], "'now'"),
        (["2024-01-01", "today"], "'today'"),
        (["02/03/2024", "04/05/2024"], "'02/03/2024', which is 2024-03-02 by %d/%m/%Y and 2024-02-03 by %m/%d/%Y"),
        (["13/02/2024", "02/13/2024"], "no time by"),
        (["2024-01-01", "01/31/2024"], "no time by"),
        (["2024-01-01T00:00Z", "2024-01-01"], "'2024-01-01'"),
        (["2024"], "'2024'"),
        (["2024-01-01", ""], "''"),
        ([pd.Timestamp("2024-01-01"), "2024-01-02"], "'2024-01-02'"),
        ([dt.time(3)], "time(3, 0)"),
    ],
)
def test_what_is_no_time_leaves_the_frame(extractor, caplog, column, message):
    frame = pd.DataFrame({"c": pd.Series(column)})
    with caplog.at_level(logging.WARNING, "emberharmony"):
        made = extractor._create_datetime_features(frame, "c")
    pd.testing.assert_frame_equal(made, frame)
    assert message in caplog.text
    assert "'c'" in caplog.text


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["13/02/2024", "02/03/2024"], ["2024-02-13", "2024-03-02"]),
        (["02/03/2024", None, "02/13/2024"], ["2024-02-03", None, "2024-02-13"]),
        (["31.01.2024 17:30", "01.02.2024 00:00"], ["2024-01-31 17:30", "2024-02-01"]),
        (["1/31/2024 5:00 PM"], ["2024-01-31 17:00"]),
        (["05 Feb 2024", "06 Mar 2024"], ["2024-02-05", "2024-03-06"]),
        (["February 5, 2024"], ["2024-02-05"]),
        (["02/02/2024", "03/03/2024"], ["2024-02-02", "2024-03-03"]),
        (["20240131"], ["2024-01-31"]),
        (["2024-01-01T00:30+01:00", "2024-07-01T00:30+02:00"], ["2023-12-31 23:30", "2024-06-30 22:30"]),
    ],
    ids=str,
)
def test_texts_of_one_format_are_times(extractor, texts, days):
    made = extractor._create_datetime_features(pd.DataFrame({"d": pd.Series(texts, dtype=object)}), "d")
    expected = formula(pd.Series([pd.Timestamp(day) for day in days]), "d")
    np.testing.assert_allclose(made[expected.columns], expected, atol=1e-6)


def test_a_column_that_is_not_there_leaves_the_frame(extractor, caplog):
    frame = pd.DataFrame({"c": [1]})
    with caplog.at_level(logging.WARNING, "emberharmony"):
        assert extractor._create_datetime_features(frame, "when") is frame
    assert "'when'" in caplog.text


def test_a_name_of_two_columns_leaves_the_frame(extractor, caplog):
    frame = pd.DataFrame([["2024-01-01", "2024-01-02"]], columns=["when", "when"])
    with caplog.at_level(logging.WARNING, "emberharmony"):
        assert extractor._create_datetime_features(frame, "when") is frame
    assert "2 columns 'when'" in caplog.text


def test_the_two_classes_together(path, extractor):
    prepared = extractor.prepare_data(path, "y", drop_columns=["name"], index_col="t")
    names = list(prepared.feature_names)
    processor = TerabyteTemporalStrideProcessor(verbose=False)
    scores = processor.process_large_dataset(prepared.train[names].iloc[i : i + 100] for i in range(0, 720, 100))
    assert scores[1].shape == (716, 32)
    assert 0.5 < processor.get_explained_variance(1) <= 1.0
