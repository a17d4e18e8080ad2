"""Footers of Parquet files: what a file holds, whether it has changed since, and errors about it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError, TerminalError, TransientError
from emberharmony.io.sources.parquet.decoding import decoded_schema, number_categories
from emberharmony.io.store.errors import TRANSIENT, translate
from emberharmony.messages import listed

_SIGNATURE_BYTES = 28
"""Length of the signature behind the footer of a file with encrypted columns, whose decoding would abort the process."""


class FooteredFile(NamedTuple):
    """A file as it was when its footer was read."""

    path: Path
    size: int
    modified_ns: int
    metadata: pq.FileMetaData
    footer_digest: str
    schema: pa.Schema
    """Names and types as the columns are decoded."""
    number_categories: frozenset[str]
    """Columns of numbers that were a dictionary when the file was written."""


class RowGroup(NamedTuple):
    """A row group: its file, its number in the file, and the number of its first row in the whole table."""

    file: int
    number: int
    first_row: int
    n_rows: int


def open_footer(path: Path) -> FooteredFile:
    """Read a file's footer, its size and its time of modification.

    Raises
    ------
    DataError
        If the file is damaged or encrypted, or has two columns with the same name.
    """
    try:
        status = path.stat()
        with path.open("rb") as handle:
            length, magic = _tail(handle)
            if magic == b"PARE":
                raise _encrypted(path)
            metadata = pq.read_metadata(handle)
            handle.seek(-8 - length, os.SEEK_END)
            digest = hashlib.sha256(handle.read(length)).hexdigest()[:32]
        if length - metadata.serialized_size == _SIGNATURE_BYTES:
            raise _encrypted(path)
        schema, categories = decoded_schema(metadata), number_categories(metadata)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, "footer") from error
    n_rows = sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    if n_rows != metadata.num_rows:
        raise DataError(
            f"{path} is damaged: its footer counts {metadata.num_rows:,} rows, its row groups {n_rows:,}. Write the file "
            f"again, or leave it out."
        )
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise DataError(f"{path} has several columns named {listed(twice)}; give each its own name.")
    return FooteredFile(path, status.st_size, status.st_mtime_ns, metadata, digest, schema, categories)


def _tail(handle: BinaryIO) -> tuple[int, bytes]:
    """Return the length of the footer, and the last four bytes of the file."""
    handle.seek(0, os.SEEK_END)
    handle.seek(-min(handle.tell(), 8), os.SEEK_END)
    tail = handle.read(8)
    return int.from_bytes(tail[:4], "little"), tail[4:]


def _encrypted(path: Path) -> DataError:
    return DataError(
        f"{path} is encrypted (Parquet modular encryption) and cannot be read. Write it without "
        f"encryption, or leave it out of source.path."
    )


def unreadable(path: Path, error: Exception, where: str) -> DataError | TransientError | TerminalError:
    """Translate an error of Arrow or the system into one that names the file and what to do."""
    if isinstance(error, OSError) and error.errno in TRANSIENT:
        return translate(error, path)
    if isinstance(error, PermissionError):
        return DataError(f"{path} cannot be read: permission denied. Give this user the right to read it.")
    reason = str(error).splitlines()[0].rstrip(".")
    return DataError(f"{path} cannot be read as Parquet, at its {where}: {reason}. Write the file again, or leave it out.")


def unchanged(file: FooteredFile) -> Path:
    """Return the file's path; refuse a file that has changed since its footer was read."""
    status = file.path.stat()
    if (status.st_size, status.st_mtime_ns) != (file.size, file.modified_ns):
        raise DataError(f"{file.path} was changed while the job ran; nothing was published. Start again with --overwrite.")
    return file.path


def open_unchanged(file: FooteredFile, where: str) -> BinaryIO:
    """Open a file to read the part `where`; refuse a file that has changed since its footer was read."""
    try:
        return unchanged(file).open("rb")
    except OSError as error:
        raise unreadable(file.path, error, where) from error
