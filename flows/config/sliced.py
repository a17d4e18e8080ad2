"""The slice of a job: what becomes of its sink, and what it may not leave out."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BeforeValidator

from emberharmony.errors import PlanError
from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.sources.base import SourceSpec
from emberharmony.pipeline.slicing import check_no_slice
from emberharmony.slices import SlicesSpec


def _written(value: Any) -> Any:
    """A date, as YAML reads the name of a slice, as text."""
    return str(value) if type(value) is dt.date else value


SliceName = Annotated[str, BeforeValidator(_written)]
"""The name of a slice in a job: `2026-11-28`."""


def check_is_whole(source: SourceSpec, sink: SinkSpec, slices: SlicesSpec | None) -> None:
    """Refuse a job that is run as a whole, and is meant to be run slice by slice.

    Raises
    ------
    PlanError
        If it has a section `slices`, or names a slice in its source or sink.
    """
    if slices is not None:
        raise PlanError(
            "The job has a section `slices`, so it is run slice by slice: name the slice, such as --slice 2026-11-28, or the "
            "first and last of several, --slice 2026-11-01..2026-11-28."
        )
    check_no_slice("source", source.texts)
    check_no_slice("sink", sink.texts)
