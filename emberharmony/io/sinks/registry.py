"""The sinks that a job can name. To add one, write its folder and add its line to `SINKS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from emberharmony.io.sinks.base import Sink, SinkSpec
from emberharmony.io.sinks.bigquery.publish import BigQuerySink
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.sinks.parquet.publish import ParquetSink
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.store.base import Store

NOTE = "sink.json"
"""File, in a staged run, of the sink's spec: any worker can open the sink from it."""


@dataclass(frozen=True)
class SinkType:
    """A type of sink: the class of its settings, and the function that opens the sink they name."""

    spec: type[Any]
    open: Callable[[Any], Sink]


SINKS: Mapping[str, SinkType] = {
    "parquet": SinkType(ParquetSinkSpec, ParquetSink),
    "bigquery": SinkType(BigQuerySinkSpec, BigQuerySink),
}
"""By the `type` of a sink's spec."""


def open_sink(spec: SinkSpec) -> Sink:
    """Return the sink that a spec names. Nothing is connected to before it is used."""
    return SINKS[spec.type].open(spec)


def note_sink(run: Store, spec: SinkSpec) -> None:
    """Write the sink's spec into a staged run, for whichever worker opens it later."""
    run.write_json(NOTE, sink_adapter(spec.type).dump_python(spec, mode="json"))


def noted_sink(run: Store) -> Sink:
    """Return the sink that `note_sink` wrote into a staged run; a folder of Parquet files where it wrote none."""
    if not run.exists(NOTE):
        return ParquetSink(ParquetSinkSpec(run.address))
    data = run.read_json(NOTE)
    return open_sink(sink_adapter(data["type"]).validate_python(data))


@cache
def sink_adapter(kind: str) -> Any:
    """Return the pydantic adapter that reads and writes the specs of a kind of sink; made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(SINKS[kind].spec)
