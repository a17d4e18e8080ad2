"""Paths on this machine, as people write them in a job."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from emberharmony.errors import PlanError
from emberharmony.io.store.address import BucketAddress, is_bucket, without_query

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_FILE_URL = re.compile(r"file:(//(localhost)?)?/(?!/)", re.IGNORECASE)


def checked_path(path: str, *, key: str = "") -> str:
    """Return a path with ``~`` expanded, or that of a ``file://`` URL; addresses of other stores are refused.

    Parameters
    ----------
    path : str
        The path, as it was given.
    key : str
        The setting or argument that it was given for, which an error begins with.

    Raises
    ------
    PlanError
        If it is no path of this machine: a URL, an empty text, one with a NUL character, or the home of an unknown user.

    Examples
    --------
    >>> checked_path("data/flights.parquet", key="source.path")
    'data/flights.parquet'
    >>> checked_path("file:///data/my%20flights.parquet")
    '/data/my flights.parquet'
    >>> checked_path("ftp://host/flights.parquet", key="source.path")
    Traceback (most recent call last):
    emberharmony.errors.PlanError: source.path: 'ftp://host/flights.parquet' is an address of another store (ftp://). ...
    """
    reason = _refused(path)
    if reason:
        raise PlanError(f"{key}: {reason}" if key else reason)
    return _expanded(path)


def checked_folder(path: str, *, key: str = "") -> str:
    """Return the path or the address of a folder that a job gets for itself.

    Raises
    ------
    PlanError
        If it is neither a path of this machine nor a prefix of a bucket, or is the root of its file system.

    Examples
    --------
    >>> checked_folder("S3://lake/features/"), checked_folder("file:///data/features")
    ('s3://lake/features', '/data/features')
    """
    if is_bucket(path):
        with _of_setting(key):
            return str(BucketAddress.parse(path))
    path = checked_path(path, key=key)
    resolved = Path(path).resolve()
    if resolved == resolved.parent:
        reason = f"{path!r} is the root of the file system; give a folder of its own."
        raise PlanError(f"{key}: {reason}" if key else reason)
    return path


@contextmanager
def _of_setting(key: str) -> Iterator[None]:
    """Begin an error of the block with the setting that it is about."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{key}: {error}" if key else str(error)) from None


class _CheckedFolder:
    """Has pydantic check a path as `checked_folder` does, without importing pydantic before it is used."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(checked_folder, handler(source))


Folder = Annotated[str, _CheckedFolder()]
"""Path or address of a folder in a job, in which ``~`` is the user's home: no shell has looked at a job file."""


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies below it, once links are followed.

    Examples
    --------
    >>> is_within(Path("data/out/features"), Path("data/out")), is_within(Path("data/output"), Path("data/out"))
    (True, False)
    """
    return path.resolve().is_relative_to(folder.resolve())


def is_unicode(name: str) -> bool:
    """Whether UTF-8 can hold a name; of bytes that are no UTF-8, Python makes lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(path: str) -> str:
    """Why a text is no path of this machine, or an empty text."""
    scheme = _SCHEME.match(path)
    if scheme and not _FILE_URL.match(path):
        return (
            f"{without_query(path)!r} is an address of another store ({scheme[1].lower()}://). Give a path of this machine, "
            f"or an address that begins with s3://, gs:// or az://."
        )
    if not path.strip():
        return "the path is empty."
    if "\0" in path:
        return f"{path!r} holds a NUL character, which no path does."
    if not is_unicode(path):
        return f"{path!r} is not in UTF-8, so no job and no manifest can hold it; rename what it names."
    if _expanded(path).startswith("~") and not Path(path).exists():
        return f"{path!r}: there is no user {path.partition('/')[0][1:]!r} on this machine. Give the whole path."
    return ""


def _expanded(path: str) -> str:
    url = _FILE_URL.match(path)
    if url:  # as in every URL, what is escaped in it means the character itself
        return unquote(path[url.end() - 1 :])
    return os.path.expanduser(path)  # noqa: PTH111 - Path's raises where there is no such user
