"""Results as assets: keys that a server takes, lineage, and no failure of a job that is done."""

from __future__ import annotations

import dataclasses

import pytest
from prefect.assets import Asset

from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from flows.prefect.assets import MAX_SOURCES, asset_key, materialize_sink
from flows.prefect.names import ResultName, uri_of
from tests.emberharmony.report.test_summary import MANIFEST, RESULT
from tests.flows.prefect.test_names import SINKS

NAME = ResultName("s3://lake/out", "2026-11-28")


@pytest.fixture
def sent(monkeypatch):
    found = []
    monkeypatch.setattr("prefect.events.emit_event", lambda event, **given: found.append((event, given)))
    return found


@pytest.mark.parametrize("sink", [*SINKS, "/data/a b#c?d&e%f\"g'h<i>j[k]l{m}|n\\o^p`q"])
def test_a_key_is_one_that_the_server_takes(sink):
    key = asset_key(uri_of(sink))
    assert Asset(key=key).key == key


def test_long_keys_are_apart_and_short_ones_are_the_address():
    keys = [asset_key(uri_of(sink)) for sink in SINKS]
    assert len({*keys}) == len(keys)
    assert asset_key(uri_of("s3://lake/out/features?endpoint=http://127.0.0.1:9")) == "s3://lake/out/features"


def test_the_sink_is_made_of_the_table_and_of_the_state_that_was_applied(sent):
    manifest = dataclasses.replace(MANIFEST, applied_state={"address": "s3://lake/states/2026-11-23?region=eu-west-1"})
    source = ParquetSourceSpec(("s3://lake/days/{slice}?region=eu-west-1", "/data/more"))
    materialize_sink(dataclasses.replace(RESULT, manifest=manifest), NAME, source)
    read = {"s3://lake/days", "file:///data/more", "s3://lake/states/2026-11-23"}
    of_event = {(event, given["resource"]["prefect.resource.id"]) for event, given in sent}
    made = ("prefect.asset.materialization.succeeded", "s3://lake/out")
    assert of_event == {("prefect.asset.referenced", uri) for uri in read} | {made}
    (given,) = [given for event, given in sent if event == made[0]]
    assert given["payload"] == {"slice": "2026-11-28", "fingerprint": "0123", "rows": 997}
    assert given["resource"] == {"prefect.resource.id": "s3://lake/out"}, "no properties: people may have set some"
    assert {related["prefect.resource.id"] for related in given["related"]} == read | {"emberharmony"}


@pytest.mark.parametrize(
    ("source", "read"),
    [
        (BigQuerySourceSpec(table="project.flights.raw"), ["bigquery://project/flights/raw"]),
        (BigQuerySourceSpec(query="SELECT 1"), []),
        (ParquetSourceSpec(tuple(f"s3://lake/{i}" for i in range(1000))), [f"s3://lake/{i}" for i in range(MAX_SOURCES)]),
    ],
    ids=["table", "query", "many files"],
)
def test_lineage_of_other_sources(sent, source, read):
    materialize_sink(RESULT, NAME, source)
    *referenced, _ = sent
    assert sorted(given["resource"]["prefect.resource.id"] for _, given in referenced) == sorted(read)


def test_an_asset_that_cannot_be_registered_is_a_warning(monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr("prefect.events.emit_event", fail)
    materialize_sink(RESULT, NAME, ParquetSourceSpec("t.parquet"))
    assert caplog.messages == ["The asset s3://lake/out was not registered: no space"]
