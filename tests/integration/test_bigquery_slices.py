"""Slices of tables in BigQuery: each equals that of the same rows in a file."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.execute import run_job
from emberharmony.planning.chunks import Chunk
from emberharmony.slices import SlicesSpec, SliceTimes
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from tests.integration.bigquery_tables import load_file
from tests.laws.test_slices import NIGHTS, events, fitted, parts_of

pytestmark = pytest.mark.xdist_group("bigquery-job")

COPIES = "slice_copies"


@pytest.fixture(scope="module")
def rows():
    found = events(np.random.default_rng(6), [60, 40])
    return found.assign(clock=found["t"].dt.tz_localize(None), day=found["t"].dt.date)


@pytest.fixture(scope="module")
def table(connection, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("slices") / "events.parquet"
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), path, coerce_timestamps="us")
    with connection.open() as clients:
        for name in (COPIES, "slices"):
            clients.jobs.create_dataset(name, exists_ok=True)
        load_file(clients, path, "slices.events", layout="PARTITION BY DATE(t)")
        assert clients.jobs.get_table("slices.events").time_partitioning.field == "t"
        clients.jobs.query_and_wait("CREATE OR REPLACE VIEW slices.seen AS SELECT * FROM slices.events")
    return path


def times_of(zone="UTC", before_h=0):
    spec = SlicesSpec(time_zone=zone)
    night = spec.named(NIGHTS[1])
    return SliceTimes(spec, night, night.start - dt.timedelta(hours=before_h))


def read(connection, column, times, **settings):
    """Labels of the rows of a slice, as a job reads them."""
    spec = BigQuerySourceSpec(**({"table": "slices.events"} | settings), temporary_dataset=COPIES, connection=connection)
    source = open_source(spec.of_slice(times, column))
    source = open_source(source.pin(column))
    n_rows, found = source.describe().n_rows, source.time_range(column)
    assert found.n_null == 0
    step = source.order(column).resolution
    counts = source.count_times(column, found.first - 2 * step, (found.last - found.first) // 3 // step * step + step, 5)
    assert counts.sum() == n_rows
    chunk = Chunk(0, 0, n_rows, times=(found.first, found.last + 1))
    return sorted(source.read(chunk, ["y"], time=column)["y"].to_pylist())


@pytest.mark.parametrize("source", ["table", "view", "query"])
def test_rows_of_the_night_alone_are_read(connection, table, rows, source):
    settings = {
        "table": {"where": "x > 0 -- positive"},
        "view": {"table": "slices.seen", "where": "x > 0"},
        "query": {"table": None, "query": "SELECT * FROM slices.events WHERE x > @least -- all", "parameters": {"least": 0.0}},
    }
    start = dt.datetime.fromisoformat(NIGHTS[1]).replace(tzinfo=dt.UTC)
    inside = (rows["t"] >= start) & (rows["t"] < start + dt.timedelta(days=1)) & (rows["x"] > 0)
    assert read(connection, "t", times_of(), **settings[source]) == sorted(rows["y"][inside])


@pytest.mark.parametrize(("column", "hours"), [("t", 5), ("clock", 0), ("day", 0)])
def test_times_without_a_zone_are_those_of_the_clock_there(connection, table, rows, column, hours):
    """Midnight of New York is 5 o'clock in UTC."""
    clock = rows["t"].dt.tz_localize(None) - dt.timedelta(hours=hours)
    found = read(connection, column, times_of("America/New_York"))
    assert found == sorted(rows["y"][clock.dt.strftime("%Y-%m-%d") == NIGHTS[1]])


def test_earlier_rows_are_read_where_the_texts_say_so(connection, table, rows):
    times = times_of(before_h=24)
    with pytest.raises(PlanError, match=r"source.where names \{slice\}, but rows are read from 2026-11-26T00:00:00"):
        read(connection, "t", times, where="day = '{slice}'")
    found = read(connection, "t", times, where="day >= '{slice_from}' AND day < '{slice_end}'")
    assert found == sorted(rows["y"][rows["t"] < dt.datetime.fromisoformat(NIGHTS[2]).replace(tzinfo=dt.UTC)])


@pytest.mark.parametrize(
    ("column", "said"), [("y", "of type FLOAT; a slice needs one of TIMESTAMP"), ("z", "which .*slices.events does not have")]
)
def test_a_column_that_tells_no_times_is_refused(connection, table, column, said):
    with pytest.raises(PlanError, match=said):
        read(connection, column, times_of())


@pytest.mark.parametrize("kind", ["one", "many"])
def test_nights_equal_those_of_a_file(connection, table, rows, tmp_path, kind):
    """Of one series, rows are read from the table; of many, from a copy that is arranged, of the rows of the night."""
    rows = rows.drop(columns=["clock", "day"])
    used = rows.drop(columns="id").drop_duplicates("t") if kind == "one" else rows
    state = fitted(tmp_path, events(np.random.default_rng(1), [300, 200]).drop(columns=["id"] if kind == "one" else []))
    pq.write_table(pa.Table.from_pandas(used, preserve_index=False), tmp_path / "events.parquet")
    once = "SELECT * FROM slices.events QUALIFY ROW_NUMBER() OVER (PARTITION BY t ORDER BY y) = 1"
    table = {"query": once} if kind == "one" else {"table": "slices.events"}
    sources = {"here": {"path": str(tmp_path / "events.parquet")}}
    connected = {"connection": dataclasses.asdict(connection), "temporary_dataset": COPIES}
    sources["there"] = {"type": "bigquery"} | table | connected
    for name, source in sources.items():
        for night in NIGHTS[1:]:
            data = {"state": str(state), "source": source, "sink": {"path": str(tmp_path / name)}, "slice": night}
            data |= {"windows": {"lookback": "P1D"}, "runtime": {"workers": 1, "backend": "numpy", "engine": "local"}}
            job = parse_job(data, model=ApplyJob).resolved()
            outcome = run_job(job, LocalEngine(1))
            assert outcome.manifest.slice == night
            assert not run_job(job, LocalEngine(1)).did_work
    for night in NIGHTS[1:]:
        for below in ("features/split=apply", "windows/stride=1/split=apply", "windows/stride=3/split=apply"):
            here, there = (
                parts_of(tmp_path / name / f"slice={night}" / below).sort_values("y", ignore_index=True) for name in sources
            )
            assert len(here) > 0
            numbers = [name for name in here if name.startswith("pc_")]
            numbered = [name for name in here if "row" in name]
            np.testing.assert_allclose(here[numbers], there[numbers], atol=1e-5)
            assert here.drop(columns=numbers + numbered).equals(there[here.columns].drop(columns=numbers + numbered))


def test_a_night_without_rows(connection, table, tmp_path):
    state = fitted(tmp_path, events(np.random.default_rng(1), [300, 200]))
    source = {"type": "bigquery", "table": "slices.events", "connection": dataclasses.asdict(connection)}
    source |= {"temporary_dataset": COPIES}
    data = {"state": str(state), "source": source, "sink": {"path": str(tmp_path / "out")}, "slice": "2027-01-01"}
    data |= {"runtime": {"workers": 1, "backend": "numpy", "engine": "local"}}
    assert run_job(parse_job(data, model=ApplyJob).resolved(), LocalEngine(1)).manifest.rows == {"apply": 0}
