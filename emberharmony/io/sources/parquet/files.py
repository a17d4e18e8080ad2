"""The contract between a table in Parquet files and where the files are: on a disk or in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Protocol


class FileVersion(NamedTuple):
    """What a file's content is identified by, without reading it."""

    n_bytes: int
    tag: int | str
    """Changes with the content: the time of the last change in nanoseconds on a disk, the ETag in a bucket."""


class ByteRange(NamedTuple):
    """Bytes ``[start, stop)`` of a file."""

    start: int
    stop: int

    @property
    def n_bytes(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


class TableFile(Protocol):
    """One file of a table.

    Raises
    ------
    OSError, DataError, TransientError, TerminalError
        By every method that reads, if it cannot.
    """

    @property
    def address(self) -> str:
        """Where the file is: a path or the address of an object, which finds it again in another process."""
        ...

    @property
    def name(self) -> str:
        """Last part of the address."""
        ...

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders that may be columns, see `folders_of`."""
        ...

    @property
    def parallel_reads(self) -> int:
        """Reads of such files at the same time that are faster than one after the other."""
        ...

    @property
    def read_ahead_bytes(self) -> int:
        """Most bytes that are read before they are decoded."""
        ...

    @property
    def in_flight_bytes(self) -> int:
        """Most bytes in memory while a worker reads, in addition to decoded rows."""
        ...

    @property
    def most_probes(self) -> int:
        """Most small reads of data that planning makes in a table of such files."""
        ...

    def version(self) -> FileVersion:
        """Return the version that reads see: of an object the version that was listed."""
        ...

    def tail(self, version: FileVersion, n_bytes: int) -> bytes:
        """Return the last bytes of the file, all of them if it is shorter."""
        ...

    def open(self, version: FileVersion, needed: Sequence[ByteRange] = ()) -> BinaryIO:
        """Open the file to read, above all the ranges `needed`.

        Raises
        ------
        DataError
            If the file is of another version now: when it is opened, or when it is read.
        """
        ...


class Place(Protocol):
    """What one entry of `source.path` names: a file, a folder of files or a pattern."""

    @property
    def shown(self) -> str:
        """The entry, as messages name it."""
        ...

    def check_credentials(self) -> None:
        """Refuse missing credentials, or a missing library; nothing is asked of a server.

        Raises
        ------
        TerminalError
            If the place cannot be read without them.
        """
        ...

    @property
    def files(self) -> Sequence[TableFile]:
        """The Parquet files, sorted by name; listed when first asked for.

        Raises
        ------
        DataError
            If there are none, or the place cannot be listed.
        TransientError
            If it cannot be reached for now.
        """
        ...

    def file_at(self, address: str, folders: Sequence[str], version: FileVersion) -> TableFile:
        """Return a file that was listed before, without looking at it."""
        ...

    def file_within(self, folder: str) -> str | None:
        """Return the address of a file that lies within a folder, given by its address; ``None`` if none does."""
        ...

    def would_take_in(self, address: str) -> bool:
        """Whether a Parquet file at this address, which need not exist, would be one of the files."""
        ...
