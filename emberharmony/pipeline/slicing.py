"""A job of one slice: which rows it reads, and what of its settings names the slice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from emberharmony.errors import PlanError
from emberharmony.messages import shortened
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.slices import Slice, SlicesSpec, SliceTimes, placeholders_in


def in_slice(spec: PipelineSpec, slices: SlicesSpec, part: Slice) -> PipelineSpec:
    """Return the spec of the job that reads, and publishes, the rows of one slice.

    A job that fits reads `slices.history`; one that applies a state reads `windows.lookback` before the slice, as context.

    Parameters
    ----------
    spec : PipelineSpec
        The job of the whole table.
    slices : SlicesSpec
        Its section `slices`.
    part : Slice
        The slice.

    Raises
    ------
    PlanError
        If there is no time column that tells which rows belong to the slice, and no setting of the source names it.
    """
    start, column = _first_read(spec, slices, part), spec.columns.time
    if column is None and not any(map(placeholders_in, spec.source.texts.values())):
        raise PlanError(
            f"Which rows belong to slice {part.name}? Name the time column in `columns.time`, or write {{slice}} into the "
            f"source, such as `path: events/day={{slice}}`."
        )
    return replace(spec, source=spec.source.of_slice(SliceTimes(slices, part, start), column), slice=part)


def check_no_slice(place: str, texts: Mapping[str, str | Sequence[str]]) -> None:
    """Refuse a job that names a slice in its settings, and is run without one.

    Parameters
    ----------
    place : str
        Section of the job: ``source`` or ``sink``.
    texts : mapping of str to str, or to a sequence of str
        Its settings that may name one.

    Raises
    ------
    PlanError
        If one does; the message names it.

    Examples
    --------
    >>> check_no_slice("source", {"path": "events/day={slice}"})
    Traceback (most recent call last):
    emberharmony.errors.PlanError: source.path is 'events/day={slice}': name the slice to run, such as --slice 2026-11-28.
    """
    for key, text in texts.items():
        if placeholders_in(text):
            raise PlanError(f"{place}.{key} is {shortened(repr(text))}: name the slice to run, such as --slice 2026-11-28.")


def _first_read(spec: PipelineSpec, slices: SlicesSpec, part: Slice) -> dt.datetime:
    """The time from which rows are read."""
    if spec.job.fits:
        return part.stop - slices.history if slices.history else part.start
    lookback = spec.windows.lookback if spec.windows.strides else None
    return part.start - lookback if lookback else part.start
