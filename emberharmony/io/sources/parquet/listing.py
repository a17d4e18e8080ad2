"""Lists the files of a table. The one module that chooses, by its address, where a file is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.files import Place, TableFile
from emberharmony.io.sources.parquet.local_files import LocalPlace
from emberharmony.io.sources.parquet.object_files import ObjectPlace
from emberharmony.io.store.address import is_bucket
from emberharmony.io.store.paths import checked_path


def list_files(places: Sequence[Place]) -> list[TableFile]:
    """List the Parquet files of paths, folders and patterns, in the order of the places and within each by name.

    Raises
    ------
    DataError
        If a place names no Parquet file, if a file is named twice or is not a regular file, or if a folder cannot be listed.
    TransientError
        If they lie in a store that is not available.
    """
    files = [file for place in places for file in place.files]
    if len(places) > 1:
        seen = set[str]()
        for file in files:
            name = os.path.abspath(file.address)  # noqa: PTH100 - an address may be that of an object
            if name in seen:
                raise DataError(f"source.path names {file.address} twice; each file's rows are read once. Name it once.")
            seen.add(name)
    return files


def place_of(text: str) -> Place:
    """Return what an entry of `source.path` names; nothing is looked up yet.

    Raises
    ------
    PlanError
        If it is neither a path of this machine nor an address of a bucket.

    Examples
    --------
    >>> place_of("data/*.parquet")
    LocalPlace(text='data/*.parquet')
    >>> place_of("s3://lake/flights").shown
    's3://lake/flights'
    """
    if is_bucket(text):
        return ObjectPlace.of(text)
    checked_path(text)
    return LocalPlace(text)
