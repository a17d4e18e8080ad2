"""A registry: a folder of published fitted states, one for each fit, whose names sort by date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from emberharmony.errors import DataError, PlanError
from emberharmony.io.manifest import Manifest, read_manifest
from emberharmony.io.store.address import child_address, parent_address, without_query
from emberharmony.io.store.opening import open_files, open_store
from emberharmony.messages import listed
from emberharmony.pipeline.spec import JOBS
from emberharmony.pipeline.state import holds_state

if TYPE_CHECKING:
    from emberharmony.pipeline.job import Job

LATEST: Final = "latest"
"""Stands for the newest state of a registry, in place of its name: ``states/latest``."""
NEWEST_OF: Final = "@"
"""Begins what stands for the newest state whose name begins so: ``states/@2026-11``."""
MOST_BEFORE: Final = 8
_SLICE: Final = "slice="
_YEAR: Final = re.compile(r"\d{4}")

JobT = TypeVar("JobT", bound="Job")


@dataclass(frozen=True)
class RegisteredState:
    """A state that is completely published in a registry."""

    name: str
    address: str
    manifest: Manifest

    @property
    def train_rows(self) -> int:
        """Rows that it was fitted on."""
        return self.manifest.rows.get("train", 0)


@dataclass(frozen=True)
class Registry:
    """What a folder of states holds."""

    folder: str
    states: tuple[RegisteredState, ...]
    """Newest first."""
    others: tuple[str, ...]
    """Folders without a state that is completely published."""

    @property
    def latest(self) -> RegisteredState | None:
        """The state that ``latest`` stands for; a folder of that name is read as such."""
        return next((state for state in self.states if state.name == LATEST), next(iter(self.states), None))

    def missing(self, begin: str = "") -> DataError:
        """Return the error for a registry without a published state, or without one whose name begins so."""
        others = f" Without a published state: {listed(self.others)}." if self.others else ""
        where = without_query(self.folder)
        if not self.states:
            return DataError(
                f"{where} holds no published state.{others} Fit one with `emberharmony fit`, to a `sink.path` below it."
            )
        names = listed([state.name for state in self.states])
        return DataError(f"{where} holds no published state whose name begins with {begin!r}. It has: {names}.{others}")


def with_resolved_state(job: JobT) -> JobT:
    """Return the job with the state that its `state_address` stands for now.

    Raises
    ------
    DataError
        If it stands for none; the message lists the states that are there.
    """
    address = job.state_address
    resolved = None if address is None else resolve_state(address)
    return job if resolved is None or resolved == address else job.with_state(resolved)


def resolve_state(address: str) -> str:
    """Return the address of the state that an address stands for.

    That is the address itself, unless its last part is ``latest``, or begins with ``@``, and no folder has that name.

    Parameters
    ----------
    address : str
        Path or address of a state: ``states/2026-11-23``, ``states/latest`` or ``states/@2026-11``.

    Raises
    ------
    DataError
        If no such state is completely published; the message lists those that are. If the newest one's manifest is damaged.

    Examples
    --------
    >>> resolve_state("states/2026-11-23")
    'states/2026-11-23'
    >>> resolve_state("nowhere/latest")
    Traceback (most recent call last):
    emberharmony.errors.DataError: nowhere holds no published state. ...
    """
    folder, name = parent_address(address)
    if name != LATEST and not name.startswith(NEWEST_OF):
        return address
    names = _names_in(folder)
    if name in names:
        return address
    begin = "" if name == LATEST else name.removeprefix(NEWEST_OF)
    for candidate in names:
        if _label(candidate).startswith(begin) or candidate.startswith(begin):
            found = child_address(folder, candidate)
            if _state_at(found) is not None:
                return found
    raise read_registry(folder).missing(begin)


def read_registry(folder: str) -> Registry:
    """Return what a folder of states holds; one request of each state, several at a time.

    Raises
    ------
    TransientError, TerminalError
        If the folder cannot be listed.
    """
    names, store = _names_in(folder), open_files(folder)
    with ThreadPoolExecutor(store.readers, thread_name_prefix="read-states") as pool:
        found = list(pool.map(lambda name: _published(folder, name), names))
    others = (name for name, state in zip(names, found, strict=True) if state is None)
    return Registry(folder, tuple(state for state in found if state is not None), tuple(others))


def state_before(address: str) -> RegisteredState | None:
    """Return the newest published state beside an address whose name sorts before its own.

    At most `MOST_BEFORE` folders are looked into: the others there may be no states at all.

    Raises
    ------
    TransientError, TerminalError
        If the folder that holds the address cannot be listed.
    """
    folder, name = parent_address(address)
    before = (candidate for candidate in _names_in(folder) if _order(candidate) < _order(name))
    states = (_published(folder, candidate) for candidate in islice(before, MOST_BEFORE))
    return next((state for state in states if state is not None), None)


def _names_in(folder: str) -> Sequence[str]:
    """Names of the folders that may hold states, newest first. Hidden ones, such as staging, do not count."""
    names = (name for name in open_files(folder).folders() if not name.startswith("."))
    return sorted(names, key=_order, reverse=True)


def _order(name: str) -> tuple[bool, str]:
    """What names are sorted by: those that begin with a year come after all others.

    Examples
    --------
    >>> sorted(["slice=2026-11-23", "trial", "2026-11-16", "a"], key=_order)
    ['a', 'trial', '2026-11-16', 'slice=2026-11-23']
    """
    return bool(_YEAR.match(_label(name))), _label(name)


def _label(name: str) -> str:
    return name.removeprefix(_SLICE)


def _published(folder: str, name: str) -> RegisteredState | None:
    """A state in a registry; ``None`` if it is not completely published, or its manifest cannot be read."""
    address = child_address(folder, name)
    try:
        manifest = _state_at(address)
    except DataError:
        return None
    return None if manifest is None else RegisteredState(name, address, manifest)


def _state_at(address: str) -> Manifest | None:
    """The manifest of a result that has fitted a state; ``None`` if there is none."""
    try:
        manifest = read_manifest(open_store(address))
    except PlanError:  # others have folders whose names no address can hold, such as "a?b" in a bucket
        return None
    return manifest if manifest is not None and JOBS[manifest.kind].fits and holds_state(manifest) else None
