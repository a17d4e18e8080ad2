"""bigframes against the test server: exploring a table in a notebook, and handing its frames to the library.

The server takes less SQL than BigQuery and no TLS, so that three things of bigframes are replaced, here only.
"""

from __future__ import annotations

import uuid
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, bigquery_storage_v1

from emberharmony.errors import DataError
from emberharmony.features import TerabyteFeatureExtractor
from emberharmony.features.columns import FeatureColumn
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec

pytestmark = [pytest.mark.xdist_group("bigquery-sink"), pytest.mark.filterwarnings("ignore")]

COLUMNS = ["time_hour", "carrier", "distance", "temp", "arr_delay", "overnight"]


@pytest.fixture(scope="module")
def session(connection):
    import bigframes  # takes a second, which all other processes that collect the tests have no use for
    from bigframes.session import Session
    from bigframes.session import anonymous_dataset as datasets
    from bigframes.session import bigquery_session as sessions
    from bigframes.session import clients as providers
    from bigframes.session import time as clocks

    with pytest.MonkeyPatch.context() as patch, connection.open() as clients, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clients.jobs.create_dataset("frames", exists_ok=True)
        reader = bigquery_storage_v1.BigQueryReadClient(transport=clients.reader.transport)
        writer = bigquery_storage_v1.BigQueryWriteClient(transport=clients.writer.transport)
        patch.setattr(providers.ClientsProvider, "bqstoragereadclient", property(lambda self: reader))
        patch.setattr(providers.ClientsProvider, "bqstoragewriteclient", property(lambda self: writer))

        def sync(self):
            self._sync_remote_time = pd.Timestamp.now("UTC").to_pydatetime()
            self._sync_monotonic_time = clocks.time.monotonic()

        patch.setattr(clocks.BigQuerySyncedClock, "sync", sync)

        def create_temp_table(self, schema, cluster_cols=()):
            name = self.allocate_temp_table()
            self.bqclient.create_table(bigquery.Table(name, schema=list(schema)))
            return name

        patch.setattr(datasets.AnonymousDatasetManager, "create_temp_table", create_temp_table)

        def create_session_table(self, schema, cluster_cols=()):
            name = bigquery.TableReference.from_string(f"{connection.project}.frames.frame_{uuid.uuid4().hex}")
            self.bqclient.create_table(bigquery.Table(name, schema=list(schema)))
            return name

        patch.setattr(sessions.SessionResourceManager, "create_temp_table", create_session_table)
        options = bigframes.BigQueryOptions(
            credentials=AnonymousCredentials(),
            project=connection.project,
            location=connection.location,
            ordering_mode="partial",
            skip_bq_connection_check=True,
            client_endpoints_override={"bqclient": connection.api_endpoint},
        )
        made = Session(options)
        yield made
        made.close()


@pytest.fixture(scope="module")
def frame(session, flights):
    return session.read_gbq(str(flights.table), columns=COLUMNS, filters=[("month", "==", 2)])


@pytest.fixture(scope="module")
def rows(flights) -> pa.Table:
    return pq.read_table(flights.path, columns=[*COLUMNS, "month"], filters=[("month", "=", 2)]).drop_columns("month")


def test_exploring(frame, rows):
    expected = rows.to_pandas()
    assert frame.shape == expected.shape
    missing = frame.isnull().mean().to_pandas()
    assert missing.to_dict() == pytest.approx(expected.isnull().mean().to_dict())
    top = frame["carrier"].value_counts().head(3).to_pandas()
    assert top.to_dict() == expected["carrier"].value_counts().head(3).to_dict()
    assert frame["distance"].median(exact=False) == expected["distance"].median()


def test_figures_agree_with_the_generated_statement(frame, connection, flights):
    spec = BigQuerySourceSpec(table=str(flights.table), where="month = 2", connection=connection)
    columns = [FeatureColumn("distance", "numeric"), FeatureColumn("temp", "numeric")]
    figures = BigQuerySource(spec).profile(columns, time=None)
    numbers = frame[["distance", "temp"]].agg(["count", "mean", "std", "min", "max"]).to_pandas()
    for name, found in figures.items():
        assert numbers.loc["count", name] == found.moments.count
        assert numbers.loc["mean", name] == pytest.approx(found.moments.mean)
        assert numbers.loc["std", name] ** 2 == pytest.approx(found.moments.m2 / (found.moments.count - 1))
        assert (numbers.loc["min", name], numbers.loc["max", name]) == (found.moments.minimum, found.moments.maximum)


@pytest.fixture(scope="module")
def ordered(session, flights):
    """Some days' flights, in order."""
    few = [("month", "==", 2), ("day", "<=", 3)]
    return session.read_gbq(str(flights.table), columns=COLUMNS, filters=few).sort_values(COLUMNS)


@pytest.fixture(scope="module")
def local(flights) -> pd.DataFrame:
    """The same rows in the same order, as a pandas frame."""
    rows = pq.read_table(flights.path, filters=[("month", "=", 2), ("day", "<=", 3)]).select(COLUMNS)
    return rows.to_pandas().sort_values(COLUMNS, kind="stable", ignore_index=True)


@pytest.fixture
def extractor() -> TerabyteFeatureExtractor:
    return TerabyteFeatureExtractor(chunk_size=1_000, verbose=False, preferred_backend="numpy")


def fetched(frame, texts=()) -> pd.DataFrame:
    """A frame's rows, in its order and with its index, in numbers of NumPy, but for columns of texts."""
    found = frame.to_pandas()
    return found.astype(dict.fromkeys(found.columns.difference(texts), "float64"))


@pytest.mark.parametrize("entity", [[], ["carrier"]], ids=str)
def test_a_frame_in_a_frame_out(ordered, local, extractor, session, entity):
    """What is made of a frame in BigQuery lies there too, and is what is made of the same rows as a pandas frame."""
    from bigframes.dataframe import DataFrame

    settings = {"target_column": "arr_delay", "index_col": "time_hour", "entity": entity}
    found = extractor.prepare_data(ordered, **settings)
    expected = extractor.prepare_data(local, **settings)
    assert found.feature_names == expected.feature_names
    for split in ("train", "validation", "test"):
        frame = getattr(found, split)
        assert isinstance(frame, DataFrame)
        assert frame._session is session
        theirs = getattr(expected, split)
        ours = fetched(frame, entity)
        assert ours.columns.equals(theirs.columns)
        assert ours.index.name == "time_hour"
        np.testing.assert_array_equal(ours.index.to_numpy(), theirs.index.to_numpy())
        np.testing.assert_array_equal(ours[entity], theirs[entity])
        numbers = theirs.drop(columns=entity).astype("float64")
        np.testing.assert_allclose(ours.drop(columns=entity), numbers, rtol=0, atol=1e-6)
    # It is a frame like any other of the session, which is still open.
    assert found.train["temp"].mean() == pytest.approx(expected.train["temp"].mean(), abs=1e-4)


def test_features_keep_index_and_order(ordered, local, extractor):
    state = extractor.prepare_data(local, target_column="arr_delay", index_col="time_hour").state
    expected = extractor.transform(local, state).astype("float64")
    assert len(local) > 2_000  # of a batch each
    unnamed = ordered.set_index("distance", drop=False).rename_axis([None])
    for frame, index in [
        (ordered, pd.RangeIndex(len(local))),
        (ordered.set_index("time_hour"), pd.Index(local["time_hour"])),
        (unnamed, pd.Index(local["distance"].to_numpy())),
    ]:
        features = fetched(extractor.transform(frame, state))
        assert features.columns.equals(expected.columns)
        assert features.index.name == index.name
        np.testing.assert_array_equal(features.index.to_numpy(), index.to_numpy())
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-6)


def test_times_are_circles_where_the_rows_are(ordered, local, extractor, caplog):
    frame = ordered.assign(day=ordered["time_hour"].astype("date32[day][pyarrow]"))
    rows = local.assign(day=local["time_hour"].dt.floor("D").dt.tz_localize(None))
    for column in ("time_hour", "day"):
        found = extractor._create_datetime_features(frame, column).drop(columns=list(frame.columns))
        expected = extractor._create_datetime_features(rows, column).drop(columns=list(rows.columns))
        assert found.columns.equals(expected.columns)
        np.testing.assert_allclose(fetched(found), expected, rtol=0, atol=1e-6)
    assert extractor._create_datetime_features(frame, "carrier") is frame
    assert "Column 'carrier' of the frame in BigQuery holds no times" in caplog.text


def test_a_frame_is_divided_where_it_is(ordered, local, extractor):
    for ours, theirs in zip(
        extractor._split_data(ordered, "time_hour"), extractor._split_data(local, "time_hour"), strict=True
    ):
        np.testing.assert_array_equal(ours["time_hour"].to_pandas().to_numpy(), theirs["time_hour"].to_numpy())
    with pytest.raises(DataError, match="'carrier' is not one"):
        extractor._split_data(ordered, "carrier")
