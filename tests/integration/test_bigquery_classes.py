"""The notebook's extractor on BigQuery tables by name: what it makes of them is what it makes of their file."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import PlanError
from emberharmony.features import TerabyteFeatureExtractor
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.notebook import feature_extractor

pytestmark = pytest.mark.xdist_group("bigquery-sink")

DROPPED = ["dep_time", "dep_delay", "arr_time", "air_time", "month", "day", "hour", "tailnum"]


@pytest.fixture
def extractor(connection, monkeypatch) -> TerabyteFeatureExtractor:
    monkeypatch.setattr(feature_extractor, "BigQueryConnection", lambda **_: connection)
    return TerabyteFeatureExtractor(project_id=connection.project, chunk_size=100_000, max_memory_gb=4, verbose=False)


def test_looking_at_a_table(extractor, all_flights):
    assert extractor.row_count(str(all_flights.table)) == 336_776
    types = extractor.detect_column_types(str(all_flights.table))
    assert types == extractor.detect_column_types(all_flights.path)
    late = extractor.process_in_chunks(
        str(all_flights.table), lambda chunk: (len(chunk), chunk["arr_delay"].sum()), ["arr_delay"], index_col="time_hour"
    )
    expected = pq.read_table(all_flights.path, columns=["arr_delay"])["arr_delay"].to_pandas()
    assert sum(n for n, _ in late) == 336_776
    assert sum(total for _, total in late) == expected.sum()
    assert max(n for n, _ in late) <= 100_000


def test_prepared_as_from_its_file(extractor, flights, tmp_path):
    settings = {"target_column": "arr_delay", "drop_columns": DROPPED, "limit": 20_000, "index_col": "time_hour"}
    rows = sort_rows(pq.read_table(flights.path), by="time_hour").slice(0, 20_000)  # ties as they are told apart there
    pq.write_table(rows, tmp_path / "rows.parquet")
    found = extractor.prepare_data(str(flights.table), **settings)
    expected = extractor.prepare_data(tmp_path / "rows.parquet", **settings)
    assert sorted(found.feature_names) == sorted(expected.feature_names)
    for split in ("train", "validation", "test"):
        ours, theirs = getattr(found, split), getattr(expected, split)
        np.testing.assert_allclose(ours[theirs.columns], theirs, atol=1e-5)
        np.testing.assert_array_equal(ours.index, theirs.index)


def test_many_series_as_from_its_file(extractor, flights, tmp_path):
    settings = {"drop_columns": DROPPED, "index_col": "time_hour", "entity": ["carrier", "origin"]}
    pq.write_table(sort_rows(pq.read_table(flights.path), by="time_hour"), tmp_path / "rows.parquet")
    found = extractor.prepare_data(str(flights.table), "arr_delay", **settings)
    expected = extractor.prepare_data(tmp_path / "rows.parquet", "arr_delay", **settings)
    for split in ("train", "validation", "test"):
        ours, theirs = getattr(found, split), getattr(expected, split)
        assert list(ours.columns[-3:]) == ["carrier", "origin", "arr_delay"]
        np.testing.assert_array_equal(ours.index, theirs.index)
        np.testing.assert_array_equal(ours[["carrier", "origin"]], theirs[["carrier", "origin"]])
        np.testing.assert_allclose(ours[[*found.feature_names]], theirs[[*found.feature_names]], atol=1e-5)


def test_a_table_without_an_order_is_refused_in_words(extractor, flights):
    for call in (extractor.prepare_data, lambda table: extractor.process_in_chunks(table, len)):
        with pytest.raises(PlanError, match="Give `index_col`"):
            call(str(flights.table))
