"""Proposed expectations in the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emberharmony.errors import DataError
from emberharmony.expectations.checks import Figures
from emberharmony.expectations.propose import proposed_section
from emberharmony.io.store.address import without_query
from emberharmony.pipeline.published_slices import published_slices
from emberharmony.pipeline.state import read_state
from emberharmony.pipeline.state_registry import resolve_state
from flows.config.job import load_any

_JOB_FILES: Final = (".yaml", ".yml")


MOST_SLICES: Final = 28
"""Slices that bounds are widened to, at most."""


def show_proposed(place: str, overrides: list[str], *, slices_at: str | None = None) -> None:
    """Print a section `expect` that the training rows of a state meet.

    Parameters
    ----------
    place : str
        A job file, or the place of a state: of the job's `state`, or of what it has fitted itself.
    overrides : list of str
        Settings of the job file to override.
    slices_at : str, optional
        The `sink.path` of slices that were good: their last ones meet the bounds as well.

    Raises
    ------
    PlanError
        If the job file cannot be read.
    DataError
        If no state is published there, or no slice whose drift was measured.
    """
    from flows.cli.console import print_text

    address = _state_of(place, overrides) if without_query(place).endswith(_JOB_FILES) else place
    state = read_state(resolve_state(address))
    kinds = {column.name: column.kind for column in state.preprocessing.columns}
    found = [] if slices_at is None else _figures_of(slices_at)
    where, beside = without_query(state.address), without_query(slices_at or "")
    print_text(proposed_section(state.baselines, kinds, where=where, slices=found, slices_at=beside))


def _figures_of(sink: str) -> list[Mapping[str, Figures]]:
    found = [part.manifest.drift for part in published_slices(sink) if part.manifest.drift]
    if not found:
        raise DataError(
            f"{without_query(sink)} holds no slices to which a state was applied. Name the `sink.path` of such a job, as "
            f"`emberharmony slices` takes it."
        )
    return found[-MOST_SLICES:]


def _state_of(config: str, overrides: list[str]) -> str:
    job = load_any(config, overrides)
    return job.state_address or job.resolved().sink.path
