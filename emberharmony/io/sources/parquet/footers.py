"""Footers of Parquet files: what a file holds, whether it has changed since, and errors about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.errors import DataError, TerminalError, TransientError
from emberharmony.io.sources.parquet.decoding import READ_BUFFER_BYTES, stored_columns
from emberharmony.io.sources.parquet.files import ByteRange, FileVersion, TableFile
from emberharmony.io.sources.parquet.kept_footers import PackedFooter
from emberharmony.io.store.errors import TRANSIENT, translate
from emberharmony.messages import listed
from emberharmony.threads import in_parallel

_SIGNATURE_BYTES = 28
"""Length of the signature behind the footer of a file with encrypted columns, whose decoding would abort the process."""
_TAIL_BYTES, _SLACK_BYTES = 2**16, 1024


@dataclass(frozen=True, slots=True)
class FooteredFile:
    """A file as it was when its footer was read."""

    file: TableFile
    version: FileVersion
    footer: PackedFooter = field(compare=False)  # its digest is compared
    footer_digest: str
    group_rows: tuple[int, ...]
    """Rows of each row group."""
    schema: pa.Schema
    """Names and types as the columns are decoded."""
    number_categories: frozenset[str]
    """Columns of numbers that were a dictionary when the file was written."""

    @property
    def address(self) -> str:
        """Where the file is, for messages."""
        return self.file.address

    @property
    def n_rows(self) -> int:
        """Rows of the file."""
        return sum(self.group_rows)

    @property
    def metadata(self) -> pq.FileMetaData:
        """The footer, decoded."""
        return self.footer.decoded


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
    like = first.footer.unpacked()
    # Files of one table have footers of about the same length: mostly, one read of little more than the footer is enough.
    guess = len(like) * 5 // 4 + _SLACK_BYTES
    read = in_parallel(partial(open_footer, guess=guess, like=like), files[1:], max(file.parallel_reads for file in files))
    return [first, *read]


def open_footer(file: TableFile, *, guess: int = _TAIL_BYTES, like: bytes = b"") -> FooteredFile:
    """Read a file's footer, and its version.

    Parameters
    ----------
    file : TableFile
        The file.
    guess : int
        Bytes at the end of the file to read at first.
    like : bytes
        The footer of another file of the table.

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
        footer = tail[-8 - length :]
        metadata = pq.read_metadata(pa.BufferReader(footer if magic == b"PAR1" else tail))
        digest = hashlib.sha256(footer[:-8]).hexdigest()[:32]
        if length - metadata.serialized_size == _SIGNATURE_BYTES:
            raise _encrypted(file.address)
        schema, categories = stored_columns(metadata)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(file.address, error, "footer") from error
    group_rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    if sum(group_rows) != metadata.num_rows:
        raise DataError(
            f"{file.address} is damaged: its footer counts {metadata.num_rows:,} rows, its row groups {sum(group_rows):,}. "
            f"Write the file again, or leave it out."
        )
    if len({*schema.names}) < len(schema.names):
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        raise DataError(f"{file.address} has several columns named {listed(twice)}; give each its own name.")
    return FooteredFile(file, version, PackedFooter.of(footer, like), digest, group_rows, schema, categories)


def stored_ranges(file: FooteredFile, group: int, leaves: Iterable[int], *, share: float = 1.0) -> list[ByteRange]:
    """Return where a row group's column chunks are in its file.

    Parameters
    ----------
    file : FooteredFile
        The file.
    group : int
        Number of the row group.
    leaves : iterable of int
        Numbers of the column chunks.
    share : float
        Only the beginning of each: its dictionary, and what probably holds this share of its rows. It ends where a piecewise
        read ends.
    """
    metadata, ranges = file.metadata.row_group(group), []
    for leaf in leaves:
        chunk = metadata.column(leaf)
        data = chunk.data_page_offset
        start = min(data, chunk.dictionary_page_offset or data) if chunk.has_dictionary_page else data
        n_bytes = chunk.total_compressed_size
        if share < 1:
            first_bytes = data - start + 1 + int(share * (n_bytes - (data - start)))
            n_bytes = min(n_bytes, -(-first_bytes // READ_BUFFER_BYTES) * READ_BUFFER_BYTES)
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
