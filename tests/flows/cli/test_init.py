"""`emberharmony init`: what it prints runs as it stands, or it says why no job could read the table."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from emberharmony.errors import DataError, EmberharmonyError, PlanError
from emberharmony.io.sources.base import TableInfo
from emberharmony.pipeline.execute import run_job
from flows.cli.app import app
from flows.cli.init import Named, job_for
from flows.config.job import parse_job, with_sections
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table
from tests.laws.test_any_table import N_ROWS, odd_columns

RUNTIME = {"engine": "local", "backend": "numpy", "workers": 1}


def init(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)], env={"COLUMNS": "200"})


def run_text(text: str):
    """Run a job file as it stands, but for the engine."""
    data = with_sections(yaml.safe_load(text))
    shutil.rmtree(data["sink"]["path"], ignore_errors=True)
    return run_job(parse_job({**data, "runtime": RUNTIME}), LocalEngine(1))


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, int]:
    """A table of odd columns, with or without times, and the rows of its row groups."""
    names = draw(
        st.lists(st.sampled_from(["x", "id", "target", "no", "row_number", "split", "a: b", "é\x7f", "year"]), max_size=4)
    )
    columns = {name: draw(odd_columns()) for name in dict.fromkeys([*names, "c"])}
    step = draw(st.sampled_from([None, 0, 1, 2, 5]))
    if step is not None:  # times that rise with every row, or are shared by several
        hours = [dt.timedelta(hours=i // max(step, 1) if step else 0) for i in range(N_ROWS)]
        columns["t"] = pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + hour for hour in hours])
    n_rows = draw(st.sampled_from([1, 2, 7, 25, N_ROWS]))
    return pa.table(columns).slice(0, n_rows), draw(st.sampled_from([7, N_ROWS]))


@given(drawn=tables())
@settings(max_examples=40)
def test_what_it_prints_runs_or_it_says_why_not(tmp_path: Path, drawn: tuple[pa.Table, int]):
    table, group_rows = drawn
    source = tmp_path / "t.parquet"
    try:
        pq.write_table(table, source, row_group_size=group_rows)
    except (pa.ArrowException, OSError):  # Parquet cannot store this table
        return
    try:
        text = job_for(str(source), Named())
    except (PlanError, DataError) as refused:
        assert len(str(refused)) < 1_000  # noqa: PT017 - a refusal is one of two correct outcomes
        with pytest.raises(EmberharmonyError):  # it is right: a job that leaves everything open does not run either
            run_text(
                yaml.safe_dump(
                    {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "o")}, "windows": {"strides": []}}
                )
            )
        return
    try:
        assert sum(run_text(text).manifest.rows.values()) > 0
    except DataError as refused:  # of the only column there is; others are left out
        assert "too far apart for a standard deviation" in str(refused)  # noqa: PT017


@pytest.mark.parametrize("order", ["sorted", "shuffled", "ties"])
@pytest.mark.parametrize("n_rows", [3, 12, 30])
def test_small_tables_run(tmp_path, order, n_rows):
    source = write_table(small_table(n_rows, order=order), tmp_path / "t.parquet", group_rows=50)
    manifest = run_text(job_for(str(source), Named())).manifest
    assert sum(manifest.rows.values()) == n_rows
    assert manifest.spec["columns"]["time"] == ("other" if order == "ties" and n_rows == 3 else "t")


def test_a_table_of_sensors_as_a_newcomer_has_it(tmp_path):
    rng = np.random.default_rng(0)
    hours = np.repeat(np.datetime64("2024-01-01T00", "us") + np.arange(200) * np.timedelta64(3_600_000_000, "us"), 3)
    table = pa.table(
        {
            "reading_id": np.arange(600),
            "measured": hours,
            "sensor": np.tile(["north", "south", "west"], 200),
            "value": rng.normal(size=600),
            "label": rng.integers(0, 2, 600),
            "label_copy": pa.nulls(600, pa.int64()),
            "site": ["here"] * 600,
        }
    )
    table = table.set_column(5, "label_copy", table["label"])
    pq.write_table(table, tmp_path / "t.parquet")
    text = job_for(str(tmp_path / "t.parquet"), Named())
    job = yaml.safe_load(text)
    assert job["columns"] == {
        "time": "measured",
        "entity": "sensor",
        "target": "label",
        "drop": ["label_copy"],
        "passthrough": ["reading_id"],
    }
    assert job["windows"] == {"size": 5, "strides": [1, 3, 5]}
    assert "- label_copy  # equals the target" in text
    assert "# Constant in every row; constant columns make no features: site" in text
    assert "half of the 3 training series have 160 rows or more" in text
    result = run_text(text)
    assert result.manifest.strides["1"].windows["train"] == 3 * (160 - 4)


def test_a_folder_and_a_pattern(tmp_path):
    folder = write_table(small_table(90, order="sorted"), tmp_path / "months", files=3)
    for table in (folder, folder / "*.parquet"):
        text = job_for(str(table), Named())
        assert yaml.safe_load(text)["sink"]["path"] == str(tmp_path / "months-result")
        assert sum(run_text(text).manifest.rows.values()) == 90


def test_roles_that_are_named_are_not_guessed(tmp_path):
    source = write_table(small_table(200), tmp_path / "t.parquet")
    job = yaml.safe_load(job_for(str(source), Named("other", ("color", "flag"), "count")))
    assert [job["columns"][role] for role in ("time", "entity", "target")] == ["other", ["color", "flag"], "count"]
    with pytest.raises(PlanError, match=r"--time names 'oter', which is not in the table\. Did you mean 'other'"):
        job_for(str(source), Named("oter"))


def test_whoever_is_there_is_asked_where_a_guess_is_not_sure(tmp_path):
    source = write_table(small_table(200), tmp_path / "t.parquet")
    asked = []

    def answer(role, guess):
        asked.append((role, guess.name))
        return {"target": "walk"}.get(role, guess.name)

    pq.write_table(small_table(200).rename_columns(["t", "walk", "count", "flag", "color", "other", "z", "name"]), source)
    job = yaml.safe_load(job_for(str(source), Named(), ask=answer))
    assert ("target", None) in asked
    assert job["columns"]["target"] == "walk"
    assert "time" not in dict(asked)


def test_files_are_not_replaced_without_force(tmp_path):
    source, output = write_table(small_table(200), tmp_path / "t.parquet"), tmp_path / "job.yaml"
    assert init(source, "--output", output).exit_code == 0
    printed = init(source)
    assert yaml.safe_load(printed.output) == yaml.safe_load(output.read_text(encoding="utf-8"))
    output.write_text("mine")
    refused = init(source, "--output", output)
    assert "exists. Name another file with --output, or replace it with --force" in str(refused.exception)
    assert output.read_text() == "mine"
    assert init(source, "--output", output, "--force").exit_code == 0
    assert yaml.safe_load(output.read_text(encoding="utf-8"))["columns"]["time"] == "t"


def test_tables_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(EmberharmonyError, match="does not exist"):
        job_for(str(tmp_path / "none.parquet"), Named())
    pq.write_table(small_table(5).slice(0, 0), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="has no rows"):
        job_for(str(tmp_path / "t.parquet"), Named())


def test_the_schema_is_written_beside_and_named(tmp_path):
    source, output = write_table(small_table(200), tmp_path / "t.parquet"), tmp_path / "jobs" / "job.yaml"
    output.parent.mkdir()
    assert init(source, "--output", output, "--schema", tmp_path / "job.schema.json").exit_code == 0
    text = output.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../job.schema.json\n")
    schema = json.loads((tmp_path / "job.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))
    assert "--schema, or replace" in str(init(source, "--schema", tmp_path / "job.schema.json").exception)


def test_a_table_of_bigquery_is_guessed_from_names_and_types(monkeypatch):
    """Its rows are not looked at: a query would be paid for. The source stands in for BigQuery's metadata."""
    schema = pa.schema({"created_at": pa.timestamp("us", "UTC"), "no": pa.string(), "label": pa.int64(), "x": pa.float64()})

    class Described:
        def describe(self):
            return TableInfo(schema, 5_000_000, {}, dict.fromkeys(schema.names, 8.0))

    monkeypatch.setattr("flows.cli.init.open_source", lambda spec: Described())
    text = job_for("my-project.sales.orders", Named(entity=("no",)))
    job = yaml.safe_load(text)
    assert job["source"] == {"type": "bigquery", "table": "my-project.sales.orders"}
    assert job["columns"] == {"time": "created_at", "entity": "no", "target": "label"}
    assert job["sink"]["path"] == "my-project.sales.orders-result"
    assert "guessed from names and types alone" in text
    assert parse_job(job).source.type == "bigquery"
