"""Sinks are found by the type of their spec, and any worker opens the one that a run was staged for."""

from __future__ import annotations

import pytest

from emberharmony.io.sinks.bigquery.publish import BigQuerySink
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.delta.publish import DeltaSink
from emberharmony.io.sinks.delta.spec import DeltaSinkSpec
from emberharmony.io.sinks.parquet.publish import ParquetSink
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.sinks.registry import NOTE, SINKS, note_sink, noted_sink, open_sink
from emberharmony.io.store.local import LocalStore
from emberharmony.io.vendor import Vendor

SPECS = {
    "parquet": (ParquetSinkSpec("out", mode="group"), ParquetSink),
    "delta": (DeltaSinkSpec("out", write_disposition="append", partition={"night": "2026-11-28"}), DeltaSink),
    "bigquery": (BigQuerySinkSpec("data", "out", labels={"a": "b"}, write_disposition="append"), BigQuerySink),
}


def test_every_sink_is_tested():
    assert SPECS.keys() == SINKS.keys()


@pytest.mark.parametrize("kind", SPECS)
def test_a_worker_opens_the_sink_that_was_noted(tmp_path, kind):
    spec, opened = SPECS[kind]
    assert type(open_sink(spec)) is opened
    store = LocalStore(tmp_path)
    note_sink(store, spec)
    sink = noted_sink(store)
    assert type(sink) is opened
    assert sink._spec == spec


def test_a_run_staged_before_sinks_were_noted_publishes_parquet(tmp_path):
    assert not LocalStore(tmp_path).exists(NOTE)
    assert isinstance(noted_sink(LocalStore(tmp_path)), ParquetSink)


def test_adding_a_sink_is_one_line(monkeypatch, tmp_path):
    class Counting(ParquetSink):
        """Stands for a sink of another vendor."""

    monkeypatch.setitem(SINKS, "parquet", Vendor(ParquetSinkSpec, Counting))
    assert isinstance(open_sink(ParquetSinkSpec(str(tmp_path))), Counting)
