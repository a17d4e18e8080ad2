"""Parquet files by their footers: what they hold, whether they are still the same, and what is wrong with them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError, TerminalError, TransientError
from emberharmony.io.storage_errors import PASSING, told


class FooteredFile(NamedTuple):
    """A file as it was when its footer was read."""

    path: Path
    size: int
    modified_ns: int
    metadata: pq.FileMetaData
    footer_digest: str


def open_footer(path: Path) -> FooteredFile:
    """Read a file's footer, and what tells the file from another one."""
    try:
        status = path.stat()
        with path.open("rb") as handle:
            metadata = pq.read_metadata(handle)
            handle.seek(-8, os.SEEK_END)
            length = int.from_bytes(handle.read(4), "little")
            handle.seek(-8 - length, os.SEEK_END)
            digest = hashlib.sha256(handle.read(length)).hexdigest()[:32]
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error, "footer") from error
    return FooteredFile(path, status.st_size, status.st_mtime_ns, metadata, digest)


def unreadable(path: Path, error: Exception, where: str) -> DataError | TransientError | TerminalError:
    """Return the error to raise in place of Arrow's or the system's own."""
    if isinstance(error, OSError) and error.errno in PASSING:
        return told(error, path)
    if isinstance(error, PermissionError):
        return DataError(f"{path} cannot be read: permission denied. Give this user the right to read it.")
    reason = str(error).splitlines()[0].rstrip(".")
    return DataError(f"{path} cannot be read as Parquet, at its {where}: {reason}. Write the file again, or leave it out.")


def unchanged(file: FooteredFile) -> Path:
    """Return where the file lies, unless it is another one than when its footer was read."""
    status = file.path.stat()
    if (status.st_size, status.st_mtime_ns) != (file.size, file.modified_ns):
        raise DataError(f"{file.path} was changed while the job ran; nothing was published. Start again with --overwrite.")
    return file.path


def refuse_other_schema(schema: pa.Schema, file: FooteredFile, first: Path) -> None:
    """Refuse a file whose columns are not those of the first one."""
    other = file.metadata.schema.to_arrow_schema()
    for name in dict.fromkeys([*schema.names, *other.names]):
        types = [s.field(name).type if name in s.names else "missing" for s in (schema, other)]
        if types[0] != types[1]:
            raise DataError(
                f"Column {name!r} is {types[0]} in {first} and {types[1]} in {file.path}; all files need one schema: "
                f"write one of them again, or leave it out of source.path."
            )


def leaf(metadata: pq.FileMetaData, name: str, guess: int) -> int:
    """Index of a top-level column among the leaves, which nested columns before it push further."""
    group = metadata.row_group(0)
    if guess < group.num_columns and group.column(guess).path_in_schema == name:
        return guess
    return next(i for i in range(group.num_columns) if group.column(i).path_in_schema == name)
