"""The JSON schema of job files: it takes what a job takes, and refuses what editors can tell to be wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from flows.config.editor_schema import SCHEMA_LINE, editor_schema, schema_text
from flows.config.job import ApplyJob, Job, parse_job, with_sections
from tests.flows.config.test_settings import keys_of

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "job.schema.json"
EXAMPLES = sorted((ROOT / "configs").glob("*.yaml"))
BASE = {"source": {"path": "t.parquet"}, "sink": {"path": "out"}}


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(editor_schema())
    return jsonschema.Draft202012Validator(editor_schema())


def test_the_file_is_what_the_command_prints():
    assert FILE.read_text(encoding="utf-8") == schema_text() + "\n", "emberharmony schema > docs/job.schema.json"
    assert json.loads(CliRunner().invoke(app, ["schema"]).output) == editor_schema()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_names_the_schema_and_meets_it(path, validator):
    text = path.read_text(encoding="utf-8")
    first = text.split("\n")[0]
    assert first.startswith(SCHEMA_LINE)
    assert (path.parent / first.removeprefix(SCHEMA_LINE)).resolve() == FILE
    validator.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "job",
    [
        BASE,
        {**BASE, "windows": None, "columns": None, "slices": None},
        {**BASE, "windows": {"max_gap": "2h"}, "split": {"gap": 30.5}},
        {**BASE, "columns": {"entity": ["a", "b"], "kinds": {"c": "numeric"}}},
        {**BASE, "state": "states/latest", "windows": {"lookback": "1d"}},
        {**BASE, "source": {"path": ["a", "b"], "columns": ["x"]}},
        {**BASE, "sink": {"type": "delta", "path": "out"}},
        {**BASE, "runtime": {"engine": "pools", "pools": {"gpu": 2}}},
        {**BASE, "expect": {"columns": {"x": {"min": 0}}}},
    ],
)
def test_what_a_job_takes(job, validator):
    parse_job(with_sections(job), model=ApplyJob if "state" in job else Job)
    validator.validate(job)


@pytest.mark.parametrize(
    "job",
    [
        {"source": {"path": "t.parquet"}},
        {**BASE, "window": {}},
        {**BASE, "windows": {"size": "5"}},
        {**BASE, "windows": {"sizes": 5}},
        {**BASE, "columns": {"target": False}},
        {**BASE, "split": {"method": "time"}},
        {**BASE, "source": {"path": "t", "rows": None}},
        {**BASE, "source": {"type": "bigquery", "path": "t"}},
        {**BASE, "sink": {"type": "parket", "path": "t"}},
        {**BASE, "runtime": {"engine": "spark"}},
        {**BASE, "state": "s", "numbers": {}},
        {**BASE, "state": "s", "windows": {"size": 5}},
    ],
)
def test_what_a_job_does_not_take(job, validator):
    assert not validator.is_valid(job)


def test_it_holds_every_setting_with_its_meaning():
    schema = editor_schema()
    told = {key for definition in schema["$defs"].values() for key in definition.get("properties", {})}
    names = {key.split(".")[-1] for model in (Job, ApplyJob) for key in keys_of(model)} - {"NAME"}
    assert names - told == {"pin", "rows"}  # set by plans
    text = schema_text()
    assert "Raises" not in text
    assert '"duration"' not in text  # `2h` is one, too
