"""Every type of source keeps to the contract, under the name that jobs give it."""

import pytest

from emberharmony.io.sources.base import Source
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import SOURCES, open_source
from flows.config.job import parse_job

SPECS = {
    "parquet": ParquetSourceSpec("t.parquet"),
    "bigquery": BigQuerySourceSpec(table="my-project.raw.flights"),
}


def methods_of(protocol):
    return {name for name in vars(protocol) if not name.startswith("_")}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_keeps_to_the_contract(name):
    spec, source = SPECS[name], SOURCES[name].spec
    assert (type(spec), spec.type) == (source, name)
    assert spec.order_text
    assert not spec.profiles_by_query
    opened = open_source(spec)
    assert methods_of(Source) <= {*dir(opened)}


@pytest.mark.parametrize(
    "source",
    [{"path": "t.parquet"}, {"type": "parquet", "path": "t.parquet"}, {"type": "bigquery", "table": "my-project.raw.flights"}],
    ids=str,
)
def test_a_job_names_its_source_by_type(source):
    job = parse_job({"source": source, "sink": {"path": "out"}})
    assert job.source == SPECS[source.get("type", "parquet")]


def test_order_without_a_time_column():
    assert ParquetSourceSpec("t").order_text == "the table's order"
    assert BigQuerySourceSpec(table="raw.flights", key="id").order_text == "by id"
    assert "hash" in BigQuerySourceSpec(query="SELECT 1 AS x").order_text
