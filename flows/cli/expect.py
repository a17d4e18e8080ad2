"""Proposed expectations in the console."""

from __future__ import annotations

from emberharmony.expectations.propose import proposed_section
from emberharmony.io.store.address import without_query
from emberharmony.pipeline.state import read_state
from emberharmony.pipeline.state_registry import resolve_state
from flows.config.job import load_any

_JOB_FILES = (".yaml", ".yml")


def show_proposed(place: str, overrides: list[str]) -> None:
    """Print a section `expect` that the training rows of a state meet.

    Parameters
    ----------
    place : str
        A job file, or the place of a state: of the job's `state`, or of what it has fitted itself.
    overrides : list of str
        Settings of the job file to override.

    Raises
    ------
    PlanError
        If the job file cannot be read.
    DataError
        If no state is published there.
    """
    from flows.cli.console import print_text

    address = _state_of(place, overrides) if without_query(place).endswith(_JOB_FILES) else place
    state = read_state(resolve_state(address))
    kinds = {column.name: column.kind for column in state.preprocessing.columns}
    print_text(proposed_section(state.baselines, kinds, where=without_query(state.address)))


def _state_of(config: str, overrides: list[str]) -> str:
    job = load_any(config, overrides)
    return job.state_address or job.resolved().sink.path
