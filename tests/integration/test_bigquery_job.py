"""The whole job from table to tables equals the job from Parquet to Parquet, and is done once however often it is begun."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from emberharmony.errors import DataError, PlanError
from emberharmony.io.bigquery import TableName
from emberharmony.io.bigquery.column_types import converted
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sources.bigquery.order import sort_rows
from emberharmony.pipeline import stages
from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import SampleSize
from flows.config.job import ApplyJob, Job, load_job, parse_job
from flows.run import run
from tests.integration.conftest import ROOT
from tests.laws.test_memory import measured

pytestmark = pytest.mark.xdist_group("bigquery-job")


def connection_of(connection) -> dict:
    return dataclasses.asdict(connection)


@pytest.fixture(scope="module")
def settings() -> dict:
    """The demo's job without its source and sink, and with fewer columns of categories."""
    job = yaml.safe_load((ROOT / "configs" / "flights.yaml").read_text())
    job["runtime"] = {"engine": "local", "backend": "numpy", "max_memory_gb": 4, "workers": 2, "chunk_rows": 6_000}
    job["categories"] = {"max_categories": 8}
    return {name: section for name, section in job.items() if name not in ("source", "sink")}


@pytest.fixture(scope="module")
def parquet_run(settings, flights, tmp_path_factory) -> Path:
    """The same rows as a file, in the order that ties have in BigQuery, through the same job."""
    folder = tmp_path_factory.mktemp("parquet-run")
    pq.write_table(sort_rows(pq.read_table(flights.path), by="time_hour"), folder / "flights.parquet", row_group_size=5_000)
    source = {"type": "parquet", "path": str(folder / "flights.parquet")}
    run(parse_job({**settings, "source": source, "sink": {"type": "parquet", "path": str(folder / "out")}}))
    return folder / "out"


def bigquery_job(settings, connection, flights, path, **sink) -> Job:
    source = {"type": "bigquery", "table": str(flights.table), "connection": connection_of(connection)}
    sink = {"type": "bigquery", "path": str(path), "connection": connection_of(connection), **sink}
    return parse_job({**settings, "source": source, "sink": sink})


def published(connection, dataset: str, table: str) -> pa.Table:
    with connection.open() as clients:
        return read_rows(clients, TableName(connection.project, dataset, table), columns=[])


def same_rows(found: pa.Table, folder: Path, by: str) -> None:
    """Rows of a published table are those of a folder of parts: exact, but for floats that are summed in another order."""
    expected = pq.read_table(folder).sort_by(by)
    found = found.sort_by(by)
    assert sorted(found.column_names) == sorted({*expected.column_names, "run_id"} - {"stride"})
    assert found.num_rows == expected.num_rows
    for name in {*found.column_names} - {"run_id"}:
        ours, theirs = found[name], expected[name]
        if pa.types.is_floating(ours.type):
            np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            assert converted(ours, name).equals(converted(theirs, name)), name


@pytest.mark.slow
def test_flights_from_table_to_tables(settings, connection, flights, parquet_run, tmp_path):
    with connection.open() as clients:
        clients.jobs.create_dataset("flights_out")
    job = bigquery_job(settings, connection, flights, tmp_path / "out", dataset="flights_out")
    outcome = run(job)
    assert outcome.did_work
    same_rows(published(connection, "flights_out", "features"), parquet_run / "features", "row_number")
    for stride in (1, 3, 5):
        windows = published(connection, "flights_out", f"windows_stride_{stride}")
        same_rows(windows, parquet_run / "windows" / f"stride={stride}", "first_row")
    [line] = published(connection, "flights_out", "runs").to_pylist()
    assert line["fingerprint"] == outcome.manifest.fingerprint
    assert line["source_rows"] == 33_831

    assert not run(job).did_work
    moved = bigquery_job(settings, connection, flights, tmp_path / "out", dataset="elsewhere")
    with pytest.raises(PlanError, match="flights_out"):
        run(moved)


def test_the_peak_is_within_the_plan(connection, all_flights, tmp_path):
    """Law 7, with messages on their way."""
    source = {"type": "bigquery", "table": str(all_flights.table), "key": "time_hour", "connection": connection_of(connection)}
    job = {"columns": {"target": "arr_delay"}, "windows": {"strides": []}}
    measured(source, tmp_path / "out", 131_072, max_memory_gb=2.0, **job)


def test_the_example_names_every_section():
    job = load_job(
        ROOT / "configs" / "bigquery.yaml", ["source.connection.project=my-project", "source.table=my-project.flights.raw"]
    )
    assert (job.source.connection.project, job.sink.dataset) == ("my-project", "FEATURES")


@pytest.fixture(scope="module")
def winter(settings, connection, flights, tmp_path_factory):
    """Makes jobs on the flights of two months, and has run one."""
    with connection.open() as clients:
        clients.jobs.create_dataset("winter", exists_ok=True)
    folder = tmp_path_factory.mktemp("winter")

    def job(name: str, *, overrides: dict | None = None, **source) -> Job:
        made = bigquery_job(settings, connection, flights, folder / name, dataset="winter", prefix=f"{name}_")
        data = made.model_dump(mode="json")
        data["source"] |= {"where": "month <= 2", "columns": COLUMNS, **source}
        return parse_job(
            data | {"columns": {"time": "time_hour", "target": "arr_delay"}, "windows": {"strides": [2]}} | (overrides or {})
        )

    run(job("first"))
    return job


COLUMNS = ("time_hour", "arr_delay", "dep_delay", "carrier", "distance", "temp", "overnight")


def test_profile_by_query_agrees_with_the_streamed_one(winter, connection):
    streamed, asked = winter("first"), winter("asked", profile="query")
    run(asked)
    ours, theirs = (published(connection, "winter", f"{name}_features").sort_by("row_number") for name in ("first", "asked"))
    assert ours.column_names == theirs.column_names
    assert run(streamed).manifest.fingerprint != run(asked).manifest.fingerprint
    for name in {*ours.column_names} - {"run_id"}:
        if pa.types.is_floating(ours[name].type) and name not in ("dep_delay", "temp"):
            np.testing.assert_allclose(theirs[name].to_numpy(), ours[name].to_numpy(), rtol=1e-6, atol=1e-6, err_msg=name)
        elif pa.types.is_floating(ours[name].type):
            # Filled with an approximate median: the scale moves with what is filled in.
            np.testing.assert_allclose(theirs[name].to_numpy(), ours[name].to_numpy(), rtol=1e-2, atol=1e-2, err_msg=name)
        else:
            assert ours[name].equals(theirs[name]), name


def test_profile_by_query_counts_the_series_that_gaps_make(winter):
    gaps = {"windows": {"strides": [2], "max_gap": "1h"}}
    streamed, asked = (run(winter(f"gaps_{profile}", profile=profile, overrides=gaps)) for profile in ("stream", "query"))
    assert asked.manifest.series == streamed.manifest.series
    assert asked.manifest.series["train"]["series"] > 1
    windows = [result.manifest.strides["2"].windows for result in (asked, streamed)]
    assert windows[0] == windows[1]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"split": {"method": "sequential"}}, "split.method: temporal"),
        ({"numbers": {"scale": "all"}}, "numbers.scale: all"),
        ({"datetime": {"epoch": True}}, "datetime.epoch"),
    ],
)
def test_what_a_query_cannot_profile_is_refused_when_planning(winter, overrides, said):
    with pytest.raises(PlanError, match=f"{said}.*source.profile: stream"):
        plan_report(winter("refused", profile="query", overrides=overrides))


def test_more_components_than_windows_have_are_refused_when_planning(winter):
    with pytest.raises(PlanError, match=r"9,999 components were asked for.*Lower `pca\.components`"):
        plan_report(winter("refused", overrides={"pca": {"components": 9999}}))


@pytest.mark.parametrize("step", ["_count", "_publish"])
def test_death_while_publishing(winter, connection, monkeypatch, step):
    """Killed between upload and publishing, or with some tables published: started again, the same rows are there, once."""
    job = winter(f"killed{step}")
    real = getattr(Publication, step)

    def dies(self, table, *arguments):
        if getattr(table, "name", "") != "features":  # not at once: some tables are through
            raise KeyboardInterrupt
        return real(self, table, *arguments)

    monkeypatch.setattr(Publication, step, dies)
    with pytest.raises(KeyboardInterrupt):
        run(job)
    assert not (Path(job.sink.path) / "manifest.json").exists()
    monkeypatch.setattr(Publication, step, real)
    outcome = run(job)
    assert outcome.did_work
    for table in ("features", "windows_stride_2"):
        ours, first = (published(connection, "winter", f"{p}_{table}") for p in (f"killed{step}", "first"))
        by = [(name, "ascending") for name in ("row_number", "first_row") if name in ours.column_names]
        assert ours.sort_by(by).equals(first.sort_by(by))
    assert published(connection, "winter", f"killed{step}_runs").num_rows == 1


def test_rows_that_were_not_planned_are_not_published(winter, connection, flights, monkeypatch):
    """Reads ask for the moment that was planned; this server ignores it, so that rows which come in are seen, and refused."""
    name = TableName(connection.project, "raw", "growing_flights")
    with connection.open() as clients:
        rows = f"SELECT {', '.join(COLUMNS)}, month FROM {flights.table.sql} WHERE month = 1"
        clients.jobs.query_and_wait(f"CREATE TABLE {name.sql} AS {rows}")
        job = winter("growing", table=str(name))
        featurize = stages.STAGES["featurize"]

        def grows(run, chunk, *rest):
            twice = f"INSERT INTO {name.sql} ({', '.join(COLUMNS)}, month) SELECT {', '.join(COLUMNS)}, month FROM {name.sql}"
            clients.jobs.query_and_wait(f"{twice} WHERE distance > 4900")
            return featurize.work(run, chunk, *rest)

        monkeypatch.setitem(stages.STAGES, "featurize", dataclasses.replace(featurize, work=grows))
        with pytest.raises(DataError, match="planned with 2,699 rows and 2,705 came"):
            run(job)
        monkeypatch.setitem(stages.STAGES, "featurize", featurize)
    assert run(job).manifest.source_rows == 2_705


def test_a_state_is_applied_from_table_to_tables(winter, connection):
    """Another month through what the first run has fitted, appended to its tables of another name."""
    first = winter("first")
    source = first.source
    march = dataclasses.replace(source, where="month = 3")
    sink = dataclasses.replace(first.sink, path=f"{first.sink.path}-march", prefix="march_", write_disposition="append")
    data = {"state": first.sink.path, "runtime": first.runtime.model_dump(), "source": march, "sink": sink}
    outcome = run(parse_job(data, model=ApplyJob))
    applied, trained = (published(connection, "winter", f"{name}_features") for name in ("march", "first"))
    assert applied.num_rows == outcome.manifest.source_rows == 2_636
    assert applied.column_names == trained.column_names
    assert published(connection, "winter", "march_windows_stride_2").num_rows == (2_636 - 5) // 2 + 1


def test_rows_without_time_are_ordered_by_a_key(winter, connection):
    keyed = {"columns": {"target": "arr_delay", "passthrough": ["distance"]}, "split": {}}
    outcome = run(winter("keyed", key="distance", overrides=keyed))
    features = published(connection, "winter", "keyed_features").sort_by("row_number")
    n_rows = outcome.manifest.source_rows
    assert features["row_number"].to_pylist() == list(range(n_rows))
    assert features["distance"].to_pylist() == sorted(features["distance"].to_pylist())
    n_train, n_validation = 8 * n_rows // 10, 9 * n_rows // 10 - 8 * n_rows // 10
    splits = ["train"] * n_train + ["validation"] * n_validation
    assert features["split"].to_pylist() == splits + ["test"] * (n_rows - len(splits))
    with pytest.raises(PlanError, match=r"source\.key"):
        run(winter("keyless", overrides=keyed))


def test_a_plan_with_a_sample_of_the_table(settings, connection, flights, tmp_path):
    source = {"type": "bigquery", "table": str(flights.table), "connection": connection_of(connection)}
    job = parse_job({**settings, "source": source, "sink": {"path": str(tmp_path / "out")}})
    figures = plan_report(job, SampleSize(rows=2_000)).figures
    assert (figures.sample.rows, figures.sample.is_charged, figures.sample.problem) == (2_000, True, "")
    assert (figures.sample.trial.rows, figures.sample.trial.without) == (2_000, "")
    assert figures.sample.columns["origin"].distinct == 3
    assert figures.bytes.charged == figures.bytes.read == 2 * figures.bytes.decoded, "for the profile, and for the features"
