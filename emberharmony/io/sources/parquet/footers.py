"""Footers of Parquet files: what a file holds, whether it has changed since, and errors about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError, TerminalError, TransientError
from emberharmony.io.sources.parquet.decoding import decoded_schema, number_categories
from emberharmony.io.sources.parquet.files import ByteRange, FileVersion, TableFile
from emberharmony.io.sources.parquet.parallel import in_parallel
from emberharmony.io.store.errors import TRANSIENT, translate
from emberharmony.messages import listed

_SIGNATURE_BYTES = 28
"""Length of the signature behind the footer of a file with encrypted columns, whose decoding would abort the process."""
_TAIL_BYTES, _SLACK_BYTES = 2**16, 1024


class FooteredFile(NamedTuple):
    """A file as it was when its footer was read."""

    file: TableFile
    version: FileVersion
    metadata: pq.FileMetaData
    footer_digest: str
    schema: pa.Schema
    """Names and types as the columns are decoded."""
    number_categories: frozenset[str]
    """Columns of numbers that were a dictionary when the file was written."""

    @property
    def address(self) -> str:
        """Where the file is, for messages."""
        return self.file.address


class RowGroup(NamedTuple):
    """A row group: its file, its number in the file, and the number of its first row in the whole table."""

    file: int
    number: int
    first_row: int
    n_rows: int


def open_footers(files: Sequence[TableFile]) -> list[FooteredFile]:
    """Read the footers of files, several at the same time where that is faster; see `open_footer`."""
    if not files:
        return []
    first = open_footer(files[0])
    # Files of one table have footers of about the same length: mostly, one read of little more than the footer is enough.
    guess = first.metadata.serialized_size * 5 // 4 + _SLACK_BYTES
    return [first, *in_parallel(partial(open_footer, guess=guess), files[1:], max(file.parallel_reads for file in files))]


def open_footer(file: TableFile, *, guess: int = _TAIL_BYTES) -> FooteredFile:
    """Read a file's footer, and its version.

    Parameters
    ----------
    file : TableFile
        The file.
    guess : int
        Bytes at the end of the file to read at first.

    Raises
    ------
    DataError
        If the file is damaged or encrypted, or has two columns with the same name.
    """
    try:
        version = file.version()
        tail = file.tail(version, guess)
        length, magic = int.from_bytes(tail[-8:-4], "little"), tail[-4:]
        if magic == b"PARE":
            raise _encrypted(file.address)
        if magic == b"PAR1" and length + 8 > len(tail):
            tail = file.tail(version, length + 8)
        metadata = pq.read_metadata(pa.BufferReader(tail))
        digest = hashlib.sha256(tail[-8 - length : -8]).hexdigest()[:32]
        if length - metadata.serialized_size == _SIGNATURE_BYTES:
            raise _encrypted(file.address)
        schema, categories = decoded_schema(metadata), number_categories(metadata)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(file.address, error, "footer") from error
    n_rows = sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    if n_rows != metadata.num_rows:
        raise DataError(
            f"{file.address} is damaged: its footer counts {metadata.num_rows:,} rows, its row groups {n_rows:,}. Write the "
            f"file again, or leave it out."
        )
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise DataError(f"{file.address} has several columns named {listed(twice)}; give each its own name.")
    return FooteredFile(file, version, metadata, digest, schema, categories)


def stored_ranges(file: FooteredFile, group: int, leaves: Iterable[int], *, first_bytes: int | None = None) -> list[ByteRange]:
    """Return where a row group's column chunks are in its file.

    Parameters
    ----------
    file : FooteredFile
        The file.
    group : int
        Number of the row group.
    leaves : iterable of int
        Numbers of the column chunks.
    first_bytes : int, optional
        Only the beginning of each: as many times these bytes as hold the dictionary and the first values.
    """
    metadata, ranges = file.metadata.row_group(group), []
    for leaf in leaves:
        chunk = metadata.column(leaf)
        data = chunk.data_page_offset
        start = min(data, chunk.dictionary_page_offset or data) if chunk.has_dictionary_page else data
        n_bytes = chunk.total_compressed_size
        if first_bytes is not None:
            n_bytes = min(n_bytes, -(-(data - start + 1) // first_bytes) * first_bytes)
        ranges.append(ByteRange(start, min(start + n_bytes, file.version.n_bytes)))
    return ranges


def _encrypted(address: str) -> DataError:
    return DataError(
        f"{address} is encrypted (Parquet modular encryption) and cannot be read. Write it without "
        f"encryption, or leave it out of source.path."
    )


def unreadable(address: str, error: Exception, where: str) -> DataError | TransientError | TerminalError:
    """Translate an error of Arrow or the system into one that names the file and what to do."""
    if isinstance(error, OSError) and error.errno in TRANSIENT:
        return translate(error, address)
    if isinstance(error, PermissionError):
        return DataError(f"{address} cannot be read: permission denied. Give this user the right to read it.")
    reason = str(error).splitlines()[0].rstrip(".")
    return DataError(f"{address} cannot be read as Parquet, at its {where}: {reason}. Write the file again, or leave it out.")


def open_unchanged(file: FooteredFile, where: str, needed: Sequence[ByteRange] = ()) -> BinaryIO:
    """Open a file to read the part `where`; refuse a file that has changed since its footer was read."""
    try:
        return file.file.open(file.version, needed)
    except OSError as error:
        raise unreadable(file.address, error, where) from error
