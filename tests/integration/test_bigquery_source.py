"""A table of a real server as the job's source: what it counts, cuts and reads is what the rows are."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery

from emberharmony.arrow import ticks
from emberharmony.errors import DataError, PlanError, TerminalError
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.bigquery import TableName
from emberharmony.io.sources.bigquery import table as table_module
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.capabilities import RowGroups
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.planning.chunks import NO_ROWS, Chunk, cut_times, time_buckets
from emberharmony.planning.partitions import TimePartitions

pytestmark = pytest.mark.xdist_group("bigquery-job")

TIME = "time_hour"


@pytest.fixture(scope="module")
def rows(flights) -> pa.Table:
    """The flights in the order that a job reads them in."""
    return sort_rows(pq.read_table(flights.path), by=TIME)


@pytest.fixture
def spec(connection, flights) -> BigQuerySourceSpec:
    return BigQuerySourceSpec(table=str(flights.table), connection=connection)


def chunks_of(source: BigQuerySource, time: str, chunk_rows: int) -> list[Chunk]:
    span = source.time_range(time)

    def count(start, width, n_buckets):
        return source.count_times(time, start, width, n_buckets)

    return cut_times(list(time_buckets(count, span.first, span.last, max_rows=chunk_rows)), chunk_rows)


def test_description(spec, rows):
    info = BigQuerySource(spec).describe()
    assert info.n_rows == rows.num_rows
    assert info.schema.names == rows.schema.names
    assert [field.type for field in info.schema] == [field.type for field in rows.schema]
    assert info.bytes_per_row["dep_time"] == 8.0
    assert info.bytes_per_row["tailnum"] >= 16.0
    again = BigQuerySource(spec).describe()
    assert info.identity == again.identity  # another moment, the same content
    assert BigQuerySource(dataclasses.replace(spec, where="month = 1")).describe().identity != info.identity


def test_times_are_counted_where_they_are(spec, rows):
    source = BigQuerySource(spec)
    times, _, _ = ticks(rows[TIME])
    span = source.time_range(TIME)
    assert (span.first, span.last, span.n_null) == (times.min(), times.max(), 0)
    width, n_buckets = 86_400_000_000, 40
    expected, _ = np.histogram(times, span.first + width * np.arange(n_buckets + 1))
    # histogram's last bucket is closed, the plan's are not
    expected[-1] -= np.count_nonzero(times == span.first + width * n_buckets)
    assert np.array_equal(source.count_times(TIME, span.first, width, n_buckets), expected)
    edges = span.first, span.first + width, span.first + 3 * width
    day, two_days = map(np.sort, source.times_between(TIME, [*pairwise(edges)]))
    assert np.array_equal(day, np.sort(times[times < edges[1]]))
    assert np.array_equal(two_days, np.sort(times[(times >= edges[1]) & (times < edges[2])]))
    assert not isinstance(source, RowGroups)


@pytest.mark.parametrize("chunk_rows", [4_000, 15_000])
def test_chunks_are_the_table_in_order(spec, rows, chunk_rows):
    source = BigQuerySource(spec)
    chunks = chunks_of(source, TIME, chunk_rows)
    assert sum(chunk.n_rows for chunk in chunks) == rows.num_rows
    columns = rows.column_names
    parts = [source.read(chunk, columns, time=TIME) for chunk in reversed(chunks)]
    table = pa.concat_tables(reversed(parts))
    assert np.array_equal(table["row_number"].to_numpy(), np.arange(rows.num_rows))
    assert table.drop_columns("row_number").replace_schema_metadata(None).equals(rows)


def test_a_row_keeps_its_number_whatever_columns_are_read(spec, rows):
    source = BigQuerySource(spec)
    chunk = chunks_of(source, TIME, 2_000)[3]
    part = source.read(chunk, ["flight", TIME], time=TIME)
    assert part.column_names == ["row_number", "flight", TIME]
    assert part["flight"].equals(rows["flight"].slice(chunk.first_row, chunk.n_rows))


def test_rows_of_one_time_are_in_the_order_asked_for_whatever_is_read(spec, rows):
    """Profile and featurize read different columns: a row whose number moved between them would change its split."""
    order = ("flight", "carrier", "origin")
    source = BigQuerySource(dataclasses.replace(spec, order_by=order))
    chunk = chunks_of(source, TIME, 2_000)[1]
    wide = source.read(chunk, ["arr_delay", "air_time", "dest"], time=TIME)
    narrow = source.read(chunk, ["dest"], time=TIME)
    assert narrow["dest"].equals(wide["dest"])
    frame = rows.slice(chunk.first_row, chunk.n_rows).to_pandas()
    assert not frame.duplicated([TIME, *order]).any()
    assert narrow["dest"].to_pylist() == frame.sort_values([TIME, *order])["dest"].tolist()


def test_where_and_columns(spec, rows):
    wanted = rows.filter((pa.compute.field("month") == 2) & (pa.compute.field("carrier") == "UA"))
    spec = dataclasses.replace(
        spec, where="month = 2 AND carrier = 'UA' -- only these", columns=("time_hour", "carrier", "month", "distance")
    )
    source = BigQuerySource(spec)
    assert source.describe().n_rows == wanted.num_rows
    assert source.describe().schema.names == ["month", "carrier", "distance", "time_hour"]
    [chunk] = chunks_of(source, TIME, 10_000)
    part = source.read(chunk, ["distance"], time=TIME)
    assert sorted(part["distance"].to_pylist()) == sorted(wanted["distance"].to_pylist())


@pytest.mark.parametrize(
    ("column", "granularity", "field", "expected"),
    [
        ("DATE", "MONTH", "t", TimePartitions("MONTH", "s")),
        ("DATETIME", "HOUR", "T", TimePartitions("HOUR")),  # names of columns know no case
        ("TIMESTAMP", "YEAR", "t", TimePartitions("YEAR")),
        ("TIMESTAMP", "DAY", None, None),  # by the time of loading
        ("TIMESTAMP", "DAY", "other", None),
    ],
)
def test_how_a_table_is_partitioned(spec, connection, column, granularity, field, expected):
    fields = [bigquery.SchemaField("t", column), bigquery.SchemaField("other", "TIMESTAMP")]
    table = bigquery.Table(f"{connection.project}.raw.partitioned_{column}_{granularity}_{field}", fields)
    table.time_partitioning = bigquery.TimePartitioning(type_=granularity, field=field)
    with connection.open() as clients:
        clients.jobs.create_table(table)
    assert BigQuerySource(dataclasses.replace(spec, table=str(table.reference))).order("t").partitions == expected


@pytest.mark.parametrize(("chunk_rows", "n_chunks"), [(2_000, 12 * 2 + 1), (6_500, 6)])
def test_chunks_are_whole_partitions_or_pieces_of_one(spec, connection, flights, rows, chunk_rows, n_chunks):
    """Twelve months of 2,400 to 3,800 flights, and the last evening's, which is the next year's in UTC."""
    name = TableName(connection.project, "raw", "by_month")
    with connection.open() as clients:
        cut = f"PARTITION BY TIMESTAMP_TRUNC({TIME}, MONTH) AS SELECT {TIME}, distance FROM {flights.table.sql}"
        clients.jobs.query_and_wait(f"CREATE TABLE IF NOT EXISTS {name.sql} {cut}")
    pipeline = PipelineSpec(dataclasses.replace(spec, table=str(name)), ColumnSpec(time=TIME))
    chunks = make_plan(pipeline, Resources(chunk_rows=chunk_rows)).chunks
    assert len(chunks) == n_chunks
    month = np.array(rows[TIME].to_numpy(), "M8[M]").astype(int)
    for chunk in chunks:
        own = month[chunk.first_row : chunk.first_row + chunk.n_rows]
        assert len(np.unique(own)) == 1 or chunk.n_rows == np.isin(month, own).sum()
    source = BigQuerySource(pipeline.source)
    table = pa.concat_tables(source.read(chunk, [TIME], time=TIME) for chunk in chunks)
    assert table["row_number"].to_pylist() == list(range(rows.num_rows))
    assert table[TIME].equals(rows[TIME])


def test_a_key_orders_a_job_without_time(spec, rows):
    source = BigQuerySource(dataclasses.replace(spec, key="flight"))
    expected = sort_rows(rows, by="flight")
    chunks = make_plan(PipelineSpec(dataclasses.replace(spec, key="flight")), Resources(chunk_rows=777)).chunks
    assert sum(chunk.n_rows for chunk in chunks) == rows.num_rows
    for chunk in chunks[::13]:
        part = source.read(chunk, ["flight", "tailnum", TIME], time=None)
        assert part["row_number"][0].as_py() == chunk.first_row
        same = expected.slice(chunk.first_row, chunk.n_rows).select(["flight", "tailnum", TIME])
        assert part.drop_columns("row_number").replace_schema_metadata(None).equals(same)


def test_a_key_of_64_bits_is_cut_too(spec, connection):
    """Hashes as keys: differences of two of them are no 64-bit numbers."""
    rng = np.random.default_rng(6)
    hashes = [-(2**63), 2**63 - 1, *rng.integers(-(2**63), 2**63 - 1, 300).tolist()]
    name = TableName(connection.project, "raw", "hashed")
    with connection.open() as clients:
        clients.jobs.query_and_wait(f"CREATE OR REPLACE TABLE {name.sql} (id INT64)")
        clients.jobs.query_and_wait(f"INSERT INTO {name.sql} (id) VALUES {', '.join(f'({number})' for number in hashes)}")
    spec = dataclasses.replace(spec, table=str(name), key="id")
    chunks = make_plan(PipelineSpec(spec), Resources(chunk_rows=64)).chunks
    found = [number for chunk in chunks for number in BigQuerySource(spec).read(chunk, ["id"], time=None)["id"].to_pylist()]
    assert found == sorted(hashes)
    assert len(chunks) >= 5


def test_without_time_or_key_there_is_no_order(spec):
    with pytest.raises(PlanError, match=r"source\.key"):
        BigQuerySource(spec).order(None)


def test_a_worker_reads_what_was_planned(spec, connection, rows):
    """The pinned spec survives the plan's JSON and a pickle, and reads the table as it was."""
    name = TableName(connection.project, "raw", "growing")
    with connection.open() as clients:
        insert = f"CREATE OR REPLACE TABLE {name.sql} AS SELECT TIMESTAMP '2026-01-01' AS t, 1 AS x"
        clients.jobs.query_and_wait(insert)
        source = BigQuerySource(dataclasses.replace(spec, table=str(name)))
        planned = source.pin("t")
        identity = BigQuerySource(planned).describe().identity
        clients.jobs.query_and_wait(f"INSERT INTO {name.sql} (t, x) VALUES (TIMESTAMP '2026-01-02', 2)")
    from pydantic import TypeAdapter

    adapter = TypeAdapter(BigQuerySourceSpec)
    travelled = pickle.loads(pickle.dumps(adapter.validate_python(adapter.dump_python(planned, mode="json"))))
    assert travelled == planned
    assert BigQuerySource(travelled).describe().n_rows == 1
    assert BigQuerySource(travelled).describe().identity == identity
    assert BigQuerySource(dataclasses.replace(spec, table=str(name))).describe().n_rows == 2


def test_a_query_is_materialised_once(spec, connection, flights):
    query = f"SELECT {TIME}, distance FROM {flights.table.sql} WHERE carrier = @carrier AND {TIME} < @end -- a comment"
    parameters = {"carrier": "HA", "end": dt.datetime(2014, 1, 2, tzinfo=dt.UTC)}
    spec = dataclasses.replace(
        spec, table=None, query=query, parameters=parameters, temporary_dataset="raw", temporary_hours=2.0
    )
    first, second = BigQuerySource(spec), BigQuerySource(spec)
    assert first.describe().n_rows == 34
    assert first.describe().identity == second.describe().identity
    planned = first.pin(TIME)
    assert planned.pin.table == second.pin(TIME).pin.table
    with connection.open() as clients:
        copy = clients.jobs.get_table(planned.pin.table)
        left = copy.expires - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=1.9) < left < dt.timedelta(hours=2.1)
    [chunk] = chunks_of(BigQuerySource(planned), TIME, 10_000)
    assert BigQuerySource(planned).read(chunk, ["distance"], time=TIME)["distance"].to_pylist() == [4983] * 34
    other = dataclasses.replace(spec, parameters=parameters | {"carrier": "AS"})
    assert BigQuerySource(other).describe().n_rows == 74


def test_a_view_is_materialised_too(spec, connection, flights):
    view = TableName(connection.project, "raw", "far_flights")
    with connection.open() as clients:
        clients.jobs.query_and_wait(
            f"CREATE OR REPLACE VIEW {view.sql} AS SELECT * FROM {flights.table.sql} WHERE distance > 4000"
        )
    spec = dataclasses.replace(spec, table=str(view))
    with pytest.raises(PlanError, match="temporary_dataset"):
        BigQuerySource(spec).describe()
    source = BigQuerySource(dataclasses.replace(spec, temporary_dataset="raw"), by=TIME)
    assert source.describe().n_rows == 71
    with connection.open() as clients:
        assert clients.jobs.get_table(source.pin(TIME).pin.table).clustering_fields == [TIME]


@pytest.mark.parametrize(("clustered", "said"), [([TIME, "carrier"], False), (["carrier", TIME], True)])
def test_ranges_of_a_column_that_a_table_is_not_laid_out_by_are_warned_of(spec, monkeypatch, caplog, clustered, said):
    real = table_module.table_of

    def large(clients, table):
        metadata = real(clients, table)
        metadata._properties |= {"numBytes": str(3 * 10**12), "clustering": {"fields": clustered}}
        return metadata

    monkeypatch.setattr(table_module, "table_of", large)
    BigQuerySource(spec).order(TIME)
    assert ("scans all 3000 GB" in caplog.text) == said


def test_a_moment_is_not_asked_of_a_copy_that_is_made_later(spec, connection, flights):
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(ValueError, match="FOR SYSTEM_TIME AS OF"):
        BigQuerySourceSpec(query="SELECT 1 AS x", snapshot_time=moment, connection=connection)
    view = TableName(connection.project, "raw", "few_flights")
    with connection.open() as clients:
        clients.jobs.query_and_wait(f"CREATE OR REPLACE VIEW {view.sql} AS SELECT * FROM {flights.table.sql} LIMIT 5")
    asked = dataclasses.replace(spec, table=str(view), temporary_dataset="raw", snapshot_time=moment)
    with pytest.raises(PlanError, match="is a view"):
        BigQuerySource(asked).describe()


def test_a_change_after_the_moment_is_no_name_for_what_was_read(spec, connection, monkeypatch):
    """Rows as of a moment, named by a later change, would be taken up again by a run that reads the changed rows."""
    real = table_module.table_of

    def changed_since(clients, table):
        metadata = real(clients, table)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        metadata._properties["lastModifiedTime"] = str(int(later.timestamp() * 1000))
        return metadata

    monkeypatch.setattr(table_module, "table_of", changed_since)
    first, second = (BigQuerySource(spec).pin(TIME).pin for _ in range(2))
    assert first.read_at.isoformat() in first.content
    assert first.content != second.content


def test_a_table_without_rows(spec):
    none = BigQuerySource(dataclasses.replace(spec, where="month = 13"))
    assert none.describe().n_rows == 0
    assert none.describe().name.endswith("flights, where month = 13,")
    assert none.read(NO_ROWS, ["distance"], time=TIME).schema.names == ["row_number", "distance"]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"table": "raw.nowhere"}, TerminalError, "raw.nowhere"),
        ({"where": "no_such_column = 1"}, TerminalError, "no_such_column"),
        ({"where": "SELECT"}, TerminalError, "not a valid request"),
        ({"columns": ("time_hour", "nope")}, DataError, "nope"),
    ],
)
def test_what_is_wrong_is_said_at_once(spec, changes, error, said):
    with pytest.raises(error, match=said):
        BigQuerySource(dataclasses.replace(spec, **changes)).describe()


def test_a_sample_is_bounded_and_spread(spec, rows):
    """The first rows of each stream; in the test's server there may be one stream only."""
    names = ["time_hour", "dep_time", "tailnum"]
    sample = BigQuerySource(spec).sample(names, 500)
    assert sample.num_rows == 500
    assert sample.schema.equals(rows.select(names).schema)
    known = {tuple(row.values()) for row in rows.select(names).to_pylist()}
    assert {tuple(row.values()) for row in sample.to_pylist()} <= known
    assert BigQuerySource(spec).sample(names, 10**9).num_rows == rows.num_rows
    assert BigQuerySource(spec).sample_is_charged
