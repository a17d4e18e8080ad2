"""Parameters of a query keep the types that YAML gave them, on the way to BigQuery and to other processes."""

from __future__ import annotations

import pickle

import pytest
from google.cloud import bigquery

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.parameters import TypedValue
from emberharmony.io.bigquery.queries import _parameter
from emberharmony.pipeline.spec import PipelineSpec
from flows.config.job import load_job

GIVEN = {
    "day": ("2026-11-01", "DATE", "2026-11-01"),
    "moment": ("2026-11-01T12:30:00Z", "TIMESTAMP", "2026-11-01 12:30:00+00:00"),
    "local": ("2026-11-01 12:30:00.5", "DATETIME", "2026-11-01 12:30:00.500000"),
    "text": ("'2026-11-01'", "STRING", "2026-11-01"),
    "count": ("7", "INT64", "7"),
    "share": ("0.5", "FLOAT64", 0.5),
    "flag": ("yes", "BOOL", "true"),
    "price": ("{type: NUMERIC, value: '0.1'}", "NUMERIC", "0.1"),
}


@pytest.fixture
def spec(tmp_path) -> PipelineSpec:
    lines = "".join(f"    {name}: {text}\n" for name, (text, _, _) in GIVEN.items())
    (tmp_path / "job.yaml").write_text(
        f"source:\n  type: bigquery\n  query: SELECT 1\n  parameters:\n{lines}sink: {{path: {tmp_path}/out}}\n"
    )
    return load_job(tmp_path / "job.yaml").spec


def sent(spec: PipelineSpec) -> dict[str, tuple[str, object]]:
    """Type and value of each parameter, as they are sent."""
    sent = [_parameter(bigquery, name, value).to_api_repr() for name, value in spec.source.parameters.items()]
    return {one["name"]: (one["parameterType"]["type"], one["parameterValue"]["value"]) for one in sent}


def test_unquoted_values_have_their_types(spec):
    assert sent(spec) == {name: (kind, value) for name, (_, kind, value) in GIVEN.items()}


def test_other_processes_send_the_same(spec):
    there = PipelineSpec.from_json(spec.to_json())
    assert sent(there) == sent(spec)
    assert there == spec == pickle.loads(pickle.dumps(spec))
    assert there.fingerprint(dict(there.source.parameters)) == spec.fingerprint(dict(spec.source.parameters))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[1]", r"source: `parameters\.x` is \[1\]"),
        ("", r"source: `parameters\.x` is None"),
        (str(2**63), "type: BIGNUMERIC"),
        ("{type: GEOGRAPHY, value: x}", r"types: BOOL"),
    ],
)
def test_what_is_no_scalar_is_refused(tmp_path, value, said):
    (tmp_path / "job.yaml").write_text(
        f"source: {{type: bigquery, query: SELECT 1, parameters: {{x: {value}}}}}\nsink: {{path: {tmp_path}/out}}\n"
    )
    with pytest.raises(PlanError, match=said):
        load_job(tmp_path / "job.yaml")


def test_a_typed_value_keeps_its_type():
    assert _parameter(bigquery, "x", TypedValue("DATE", "2026-01-01")).type_ == "DATE"
