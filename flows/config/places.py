"""Sources and sinks as a job names them: one of several kinds, told by its type."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag

from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.sinks.registry import SINKS
from emberharmony.io.sources.base import SourceSpec
from emberharmony.io.sources.registry import SOURCES


def kind_of_place(value: Any) -> str:
    """Type of a source or sink; Parquet by default."""
    return str(value.get("type", "parquet") if isinstance(value, dict) else getattr(value, "type", "parquet"))


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Has the JSON schema of a kind of place ask for the type, unless it is the default.

    A Prefect server checks parameters by that schema, and refuses what two kinds would take.
    """

    name: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> Any:
        schema = handler(core_schema)
        if self.name != kind_of_place({}):
            of_kind = handler.resolve_ref_schema(schema)
            of_kind["required"] = sorted({"type", *of_kind.get("required", ())})
        return schema


def _one_of(specs: Mapping[str, type]) -> Any:
    """A place of one of several kinds, told by its type."""
    kinds = tuple(Annotated[spec, Tag(name), _Kind(name)] for name, spec in specs.items())
    return Annotated[Union[kinds], Discriminator(kind_of_place)]  # noqa: UP007  (made of a registry)


if TYPE_CHECKING:
    Source, Sink = SourceSpec, SinkSpec
else:
    Source = _one_of({name: source.spec for name, source in SOURCES.items()})
    Sink = _one_of({name: sink.spec for name, sink in SINKS.items()})
