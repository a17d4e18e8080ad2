"""Tables of a notebook: the frames that become of splits, empty ones too."""

import logging
import re
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.features import TerabyteFeatureExtractor
from tests.frames import NOW

FRAME = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=50), "x": range(50), "y": range(50)})


@pytest.mark.parametrize("index_col", [None, "t"])
@pytest.mark.parametrize("fractions", [(1, 0, 0), (0.8, 0.2, 0), (0.8, 0, 0.2)], ids=str)
def test_a_split_that_is_not_asked_for_is_an_empty_frame(fractions, index_col):
    prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(FRAME, "y", index_col=index_col, fractions=fractions)
    frames = (prepared.train, prepared.validation, prepared.test)
    assert [len(frame) for frame in frames] == [50 * fraction for fraction in fractions]
    for frame in frames:
        pd.testing.assert_series_equal(frame.dtypes, prepared.train.dtypes)
        assert (frame.index.dtype, frame.index.name) == (prepared.train.index.dtype, index_col or "row_number")


@pytest.mark.parametrize("index_col", [None, "t"])
def test_a_split_that_gets_no_row_is_refused(index_col):
    with pytest.raises(PlanError, match=re.escape("The validation split gets 0.1 of 5 rows, which is no row")):
        TerabyteFeatureExtractor(verbose=False).prepare_data(FRAME[:5], index_col=index_col)


def test_an_index_of_half_precision_is_carried_along(extractor):
    half = pa.array(np.arange(60, dtype=np.float16))
    prepared = extractor.prepare_data(pa.table({"x": NOW.x, "h": half}), index_col="h")
    index = np.concatenate([prepared.train.index, prepared.validation.index, prepared.test.index])
    np.testing.assert_array_equal(np.sort(index), np.arange(60))


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


@pytest.mark.parametrize("limit", [None, 700])
def test_the_order_of_the_rows_changes_nothing(limit):
    values = np.random.default_rng(0).normal(size=(1_000, 2))
    frame = pd.DataFrame(values, columns=["x", "y"], index=pd.date_range("2024-01-01", periods=1_000, freq="h"))
    extractor = TerabyteFeatureExtractor(chunk_size=40, verbose=False)  # in more chunks than can be read from shuffled rows
    expected = extractor.prepare_data(frame[:limit], "y")
    shuffled = frame.sample(frac=1, random_state=0)
    prepared = extractor.prepare_data(shuffled, "y", limit=limit)
    for split in ("train", "validation", "test"):
        pd.testing.assert_frame_equal(getattr(prepared, split), getattr(expected, split), atol=1e-6)
    together = pd.concat([prepared.train, prepared.validation, prepared.test])
    np.testing.assert_array_equal(together["y"], frame["y"][:limit])


def test_chunks_of_files_come_as_they_are_stored(tmp_path):
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=1_000, freq="h"), "x": np.arange(1_000)})
    frame.sample(frac=1, random_state=0).to_parquet(tmp_path / "t.parquet", row_group_size=50, index=False)
    extractor = TerabyteFeatureExtractor(chunk_size=40, verbose=False)
    as_stored = extractor.process_in_chunks(tmp_path / "t.parquet", lambda rows: rows["x"].to_numpy())
    np.testing.assert_array_equal(np.concatenate(as_stored), frame.sample(frac=1, random_state=0)["x"])


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


def test_bigquery_without_its_libraries_says_how_to_get_them(monkeypatch, extractor):
    monkeypatch.setitem(sys.modules, "bigframes", None)
    for call in (extractor.prepare_data, extractor.row_count, extractor.detect_column_types):
        with pytest.raises(ImportError, match=r"pip install 'emberharmony\[bigquery\]'"):
            call("project.dataset.table")
    assert extractor.row_count(pd.DataFrame({"a": [1, 2]})) == 2
