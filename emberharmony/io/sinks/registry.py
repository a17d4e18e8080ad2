"""The sinks that a job can name. To add one, write its folder and add its line to `SINKS`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from emberharmony.io.sinks import bigquery, delta, parquet
from emberharmony.io.sinks.base import Sink, SinkSpec
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.delta.spec import DeltaSinkSpec
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.store.base import Store
from emberharmony.io.vendor import Vendor

NOTE = "sink.json"
"""File, in a staged run, of the sink's spec: any worker can open the sink from it."""


SINKS: Mapping[str, Vendor[Sink]] = {
    "parquet": Vendor(ParquetSinkSpec, parquet.open_sink),
    "delta": Vendor(DeltaSinkSpec, delta.open_sink),
    "bigquery": Vendor(BigQuerySinkSpec, bigquery.open_sink),
}
"""By the `type` of a sink's spec."""


def open_sink(spec: SinkSpec) -> Sink:
    """Return the sink that a spec names. Nothing is connected to before it is used."""
    return SINKS[spec.type].open(spec)


def note_sink(run: Store, spec: SinkSpec, *, report: bool = True) -> None:
    """Write the sink's spec into a staged run, for whichever worker opens it later.

    Without `report`, the run writes no page whatever the spec says: what draws it is not installed.
    """
    noted = sink_adapter(spec.type).dump_python(spec, mode="json")
    run.write_json(NOTE, noted | {"report": spec.report and report})


def noted_sink(run: Store) -> Sink:
    """Return the sink that `note_sink` wrote into a staged run; a folder of Parquet files where it wrote none."""
    data = run.find_json(NOTE)
    if data is None:
        return open_sink(ParquetSinkSpec(run.address, report=False))
    return open_sink(sink_adapter(data["type"]).validate_python(data))


@cache
def sink_adapter(kind: str) -> Any:
    """Return the pydantic adapter that reads and writes the specs of a kind of sink; made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(SINKS[kind].spec)
