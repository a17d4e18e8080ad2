"""Which store holds a place, and how results are published there: the one module that chooses."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from emberharmony.io.store.access import Access
from emberharmony.io.store.address import BucketAddress, is_bucket
from emberharmony.io.store.base import Store
from emberharmony.io.store.bucket import Bucket
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.local_result import LocalResult
from emberharmony.io.store.local_target import PUBLISHED
from emberharmony.io.store.object_result import ObjectResult, result_prefix
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.paths import checked_path
from emberharmony.io.store.published_objects import PublishedObjects
from emberharmony.io.store.result import Result


def open_store(place: str | Path) -> Store:
    """Return the files that are published at a place; nothing is made before it is written to.

    Raises
    ------
    PlanError
        If the place is neither a path nor the address of a bucket.

    Examples
    --------
    >>> open_store("gs://bucket/result").address
    'gs://bucket/result'
    >>> open_store("ftp://host/result")
    Traceback (most recent call last):
    emberharmony.errors.PlanError: 'ftp://host/result' is an address of another store (ftp://). ...
    """
    if is_bucket(str(place)):
        return PublishedObjects(*_in_bucket(str(place)))
    return LocalStore(Path(checked_path(str(place))))


def open_files(place: str) -> Store:
    """Return all files below a place, whatever is published there; nothing is made before it is written to.

    Raises
    ------
    PlanError
        If the place is neither a path nor the address of a bucket.

    Examples
    --------
    >>> open_files("gs://bucket/result").address
    'gs://bucket/result'
    """
    if is_bucket(place):
        return ObjectStore(*_in_bucket(place))
    return LocalStore(Path(checked_path(place)))


def open_staged(address: str) -> Store:
    """Return the store of a staged run, by the address that its reference carries. It has to exist, and is not made again."""
    if is_bucket(address):
        return ObjectStore(*_in_bucket(address))
    root = Path(address)
    return LocalStore(root, within=root.parent.parent)


def result_at(place: str | Path, access: Access = "private", *, elsewhere: Collection[str] = ()) -> Result:
    """Return the result at a place, whose folders `elsewhere` a sink publishes; nothing is made before it is written to.

    Raises
    ------
    PlanError
        If the place is neither a path nor the address of a bucket.
    """
    if is_bucket(str(place)):
        return ObjectResult(*_in_bucket(str(place)))
    return LocalResult(Path(checked_path(str(place))), access, _committed(elsewhere))


def result_of(run: Store, *, elsewhere: Collection[str] = ()) -> Result:
    """Return the result for which a run is staged, whose folders `elsewhere` a sink publishes."""
    if is_bucket(run.address):
        return ObjectResult(*_in_bucket(str(result_prefix(run))))
    return LocalResult(Path(run.address).parent.parent, folders=_committed(elsewhere))


def _in_bucket(address: str) -> tuple[Bucket, BucketAddress]:
    """The objects of an address's bucket, and the prefix that it names."""
    prefix = BucketAddress.parse(address)
    return Bucket(prefix), prefix


def _committed(elsewhere: Collection[str]) -> tuple[str, ...]:
    return tuple(folder for folder in PUBLISHED if folder not in elsewhere)
