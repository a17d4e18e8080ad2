"""Which store holds a place, and how results are published there: the one module that chooses."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from emberharmony.io.store.access import Access
from emberharmony.io.store.base import Store
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.local_result import LocalResult
from emberharmony.io.store.local_target import PUBLISHED
from emberharmony.io.store.paths import checked_path
from emberharmony.io.store.result import Result


def open_store(place: str | Path) -> Store:
    """Return the store of a place; nothing is made before it is written to.

    Raises
    ------
    PlanError
        If the place is an address that no store serves, such as one in a bucket.

    Examples
    --------
    >>> open_store("gs://bucket/result")
    Traceback (most recent call last):
    emberharmony.errors.PlanError: 'gs://bucket/result' is an address of another store (gs://). Only paths on this machine ...
    """
    return LocalStore(Path(checked_path(str(place))))


def open_staged(address: str) -> Store:
    """Return the store of a staged run, by the address that its reference carries. It has to exist, and is not made again."""
    root = Path(address)
    return LocalStore(root, within=root.parent.parent)


def result_at(place: str | Path, access: Access = "private", *, elsewhere: Collection[str] = ()) -> Result:
    """Return the result at a place, whose folders `elsewhere` a sink publishes; nothing is made before it is written to.

    Raises
    ------
    PlanError
        If the place is an address that no store serves, such as one in a bucket.
    """
    return LocalResult(Path(checked_path(str(place))), access, _committed(elsewhere))


def result_of(run: Store, *, elsewhere: Collection[str] = ()) -> Result:
    """Return the result for which a run is staged, whose folders `elsewhere` a sink publishes."""
    return LocalResult(Path(run.address).parent.parent, folders=_committed(elsewhere))


def _committed(elsewhere: Collection[str]) -> tuple[str, ...]:
    return tuple(folder for folder in PUBLISHED if folder not in elsewhere)
