"""The profile that BigQuery computes agrees with the one that streams the rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sqlglot
from google.cloud import bigquery
from sqlglot import exp

from emberharmony.arrow import ticks
from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnSpec, FeatureColumn, assign_roles
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.bigquery import TableName
from emberharmony.io.bigquery.schema import table_fields
from emberharmony.io.sources.bigquery.profile import ProfileSpec, profile_sql
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec

pytestmark = pytest.mark.xdist_group("bigquery-sink")

COLUMNS = [
    FeatureColumn("x", "numeric"),
    FeatureColumn("n", "numeric"),
    FeatureColumn("d", "numeric"),
    FeatureColumn("b", "boolean"),
    FeatureColumn("s", "categorical"),
    FeatureColumn("code", "categorical"),
    FeatureColumn("when", "datetime"),
]
KINDS = {"x": "FLOAT64", "n": "INT64", "d": "NUMERIC", "b": "BOOL", "s": "STRING", "code": "INT64", "when": "DATE"}


def agree(figures, streamed: ColumnProfile, n_rows: int) -> None:
    assert (figures.n_rows, figures.n_null, figures.n_nonfinite) == (n_rows, streamed.n_null, streamed.n_nonfinite)
    ours, theirs = streamed.moments, figures.moments
    assert (theirs.count, theirs.minimum, theirs.maximum) == (ours.count, ours.minimum, ours.maximum)
    assert theirs.mean == pytest.approx(ours.mean, rel=1e-9, abs=1e-12)
    assert theirs.m2 == pytest.approx(ours.m2, rel=1e-9, abs=1e-12)
    if ours.count:
        # An approximate median lies within 1 % of the ranks around the true one.
        assert (
            streamed.quantiles.quantile(0.49)
            <= figures.quantiles[len(figures.quantiles) // 2]
            <= streamed.quantiles.quantile(0.51)
        )
    counts = streamed.categories
    if counts.n_distinct:
        assert list(figures.top)[:20] == counts.top(20)


def test_flights_agree_with_the_streamed_states(connection, flights):
    table = pq.read_table(flights.path)
    columns = assign_roles(table.schema, ColumnSpec(time="time_hour", categorical=("flight",))).features
    source = BigQuerySource(BigQuerySourceSpec(table=str(flights.table), connection=connection))
    times, _, _ = ticks(table["time_hour"])
    before = int(np.quantile(times, 0.8))
    # This server takes a second for every column's thousand cuts.
    figures = source.profile(columns, time="time_hour", before=before, spec=ProfileSpec(quantiles=100))
    rows = table.filter(pa.array(times < before))
    for column in columns:
        agree(figures[column.name], kind_named(column.kind).profile(rows[column.name], FeatureSpecs()), rows.num_rows)


def test_numbers_that_are_none_are_counted_apart(connection):
    rng = np.random.default_rng(5)
    n = 5_000
    x = rng.normal(1e6, 1.0, n)
    x[:7], x[7:10], x[10:12] = np.nan, np.inf, -np.inf
    table = pa.table(
        {
            "x": pa.array(x, mask=np.arange(n) % 11 == 10),
            "n": pa.array(rng.integers(-5, 5, n), mask=rng.random(n) < 0.3),
            "d": pc.cast(pa.array(rng.integers(0, 9, n)), pa.decimal128(38, 9)),
            "b": pa.array(rng.random(n) < 0.2, mask=rng.random(n) < 0.1),
            "s": pa.array(rng.choice(["ä", "b`", 'c"', "null"], n), mask=rng.random(n) < 0.5),
            "code": pa.array(rng.integers(0, 3, n)),
            "when": pa.array(rng.integers(-500, 20_000, n), pa.int32(), mask=rng.random(n) < 0.1).cast(pa.date32()),
            "nothing": pa.nulls(n, pa.float64()),
        }
    )
    columns = [*COLUMNS, FeatureColumn("nothing", "numeric")]
    name = TableName(connection.project, "profiles", "odd")
    with connection.open() as clients:
        clients.jobs.create_dataset("profiles", exists_ok=True)
        clients.jobs.create_table(bigquery.Table(str(name), table_fields(table.schema, table.column_names, {})))
        config = bigquery.LoadJobConfig(source_format="PARQUET")
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        clients.jobs.load_table_from_file(pa.BufferReader(sink.getvalue()), str(name), job_config=config).result()
    source = BigQuerySource(BigQuerySourceSpec(table=str(name), connection=connection))
    figures = source.profile(columns, time=None)
    assert figures["x"].n_nonfinite == 12 - 1
    for column in columns:
        agree(figures[column.name], kind_named(column.kind).profile(table[column.name], FeatureSpecs()), n)


def test_a_scan_over_the_ceiling_is_refused_by_the_dry_run(connection, flights, monkeypatch):
    dear = dataclasses.replace(connection, maximum_bytes_billed=1_000_000)
    with dear.open() as clients:
        configs, query, rows_of = [], clients.jobs.query, clients.jobs.query_and_wait

        def watched(sql, **settings):
            configs.append(settings["job_config"])
            job = query(sql, **settings)
            if settings["job_config"].dry_run:
                job._properties["statistics"]["query"]["totalBytesProcessed"] = str(estimate)
            return job

        def waited(sql, **settings):
            configs.append(settings["job_config"])
            return rows_of(sql, **settings)

        monkeypatch.setattr(clients.jobs, "query", watched)
        monkeypatch.setattr(clients.jobs, "query_and_wait", waited)
        source = BigQuerySource(BigQuerySourceSpec(table=str(flights.table), connection=dear), clients)
        estimate = 999
        source.profile([FeatureColumn("distance", "numeric")], time=None)
        _, dry, real = configs
        assert (dry.dry_run, real.dry_run) == (True, False)
        assert real.maximum_bytes_billed == 1_000_000
        assert real.labels == {"suite": "integration"}
        estimate = 5_000_000
        configs.clear()
        with pytest.raises(PlanError, match=r"5,000,000 bytes, over the 1,000,000"):
            source.profile([FeatureColumn("distance", "numeric")], time=None)
        assert [config.dry_run for config in configs] == [True]


# Aggregates and functions of GoogleSQL's reference; an emulator on DuckDB would take many more.
GOOGLE_SQL = {
    *("APPROX_QUANTILES", "APPROX_TOP_COUNT", "ARRAY_AGG", "AVG", "CAST", "COUNT", "COUNTIF"),
    *("COUNT_IF", "APPROX_TOP_K", "APPROX_QUANTILE", "STDDEV", "VARIANCE_POP", "VAR_POP", "FLOOR", "IF", "IS_INF"),
    *("IS_NAN", "MAX", "MIN", "STRUCT", "UNIX_DATE", "UNIX_MICROS", "TIMESTAMP", "APPROX_DISTINCT", "AND", "OR", "CASE"),
}


def test_the_statement_is_google_sql():
    sql = profile_sql("`a-b.c.d`", COLUMNS, KINDS, where="(`x` > 1)")
    [tree] = sqlglot.parse(sql, dialect="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
    called = {f.name.upper() if isinstance(f, exp.Anonymous) else f.sql_name() for f in tree.find_all(exp.Func)}
    assert called <= GOOGLE_SQL, called - GOOGLE_SQL
    names = [select.alias for select in tree.selects]
    assert len(names) == len(set(names))
