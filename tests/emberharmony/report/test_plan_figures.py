"""The figures of a plan: their JSON is what the schema says, for a job of any kind."""

import json
from pathlib import Path

import jsonschema

from emberharmony.report.plan_figures import plan_schema
from emberharmony.report.plan_report import plan_report
from emberharmony.report.plan_sample import SampleSize
from flows.config.job import parse_job
from tests.jobs import small_table, write_table

DOCS = Path(__file__).parents[3] / "docs"


def described(schema):
    """Every property of a schema and of its definitions, with its description."""
    for definition in (schema, *schema.get("$defs", {}).values()):
        yield from ((name, one.get("description", "")) for name, one in definition.get("properties", {}).items())


def test_the_json_of_a_plan_is_what_the_schema_says(tmp_path):
    source = {"path": str(write_table(small_table(400), tmp_path / "t.parquet"))}
    job = {"source": source, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t", "target": "y"}}
    checker = jsonschema.Draft202012Validator(plan_schema() | {"additionalProperties": False})
    without, with_rows = (plan_report(parse_job(job), size).figures.to_json() for size in (None, SampleSize(rows=300)))
    for figures in (without, with_rows):
        # As it is printed: NaN would be refused here, and tuples are lists there.
        checker.validate(json.loads(json.dumps(figures, allow_nan=False)))
    assert without["sample"] is None
    assert with_rows["sample"]["trial"]["rows"] == 300
    assert {key: value for key, value in with_rows.items() if key not in ("sample", "warnings", "memory")} == {
        key: value for key, value in without.items() if key not in ("sample", "warnings", "memory")
    }


def test_every_key_is_described_and_the_page_has_the_schema():
    assert [name for name, text in described(plan_schema()) if not text] == []
    assert json.loads((DOCS / "plan.schema.json").read_text()) == plan_schema()
