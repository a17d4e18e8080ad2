"""The stages that bring rows into the job's order, and the arranged rows that all later stages read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from emberharmony.errors import DataError, TerminalError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.pieces import read_pieces, write_pieces
from emberharmony.io.sources.base import no_rows
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.store.base import READ_AHEAD_BYTES, FileRecord, Store
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.receipts import Receipt, Receipts
from emberharmony.planning.chunk_groups import ChunkGroups
from emberharmony.planning.chunks import Chunk
from emberharmony.steps.arrange import KeyRanges, arranged, partitioned
from emberharmony.threads import in_parallel

PARTITION, REGROUP, ARRANGE = "partition", "regroup", "arrange"


@dataclass(frozen=True)
class Arranged:
    """The rows of a table in the job's order, as the stages of this module have written them."""

    store: Store
    plan: StagedPlan
    receipts: Receipts

    def times_of(self, chunk: Chunk, time: str) -> tuple[int, int] | None:
        """Return the chunk's range of times; see `Source.times_of`."""
        return chunk.times

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Return the chunk's rows in the job's order, with the `row_number` as the first column; see `Source.read`.

        Raises
        ------
        DamagedError
            If they are missing or were changed; the chunk has to be arranged again.
        """
        names, stored = [ROW_NUMBER, *columns], [ROW_NUMBER, *self.plan.to_read]
        if not chunk.n_rows:
            return no_rows(self.plan.schema, columns)
        record = self.receipts.of(ARRANGE, chunk.index).record(_arranged_name(chunk.index))
        pieces = read_pieces(self.store, record, [stored.index(name) for name in names], len(stored))
        return pa.table({name: piece[name] for name, piece in zip(names, pieces, strict=True) if piece is not None})

    @cached_property
    def ranges(self) -> KeyRanges:
        """The keys of every chunk."""
        return KeyRanges(self.plan.chunks)

    @property
    def groups(self) -> ChunkGroups:
        """Chunks whose rows are partitioned together at first."""
        return self.plan.groups

    @cached_property
    def partitions(self) -> list[FileRecord]:
        """The partitioned pieces of the table, in order."""
        inputs = range(len(self.plan.inputs))
        receipts = in_parallel(lambda i: self.receipts.of(PARTITION, i), inputs, self.store.readers)
        return [receipt.record(_partition_name(receipt.chunk)) for receipt in receipts]

    def pieces_of_group(self, group: int) -> Iterator[pa.Table]:
        """Yield the rows of a group of chunks, one table for each piece of the table that has some."""
        yield from self._pieces(self.partitions, group, self.groups.n_groups)

    def pieces_of(self, chunk: int) -> Iterator[pa.Table]:
        """Yield the rows of a chunk, piece by piece.

        Raises
        ------
        DamagedError
            If its group was not partitioned, or a file is missing or was changed.
        """
        group = self.groups.of(chunk)
        if self.groups.size == 1:
            yield from self.pieces_of_group(group)
            return
        members = self.groups.chunks(group)
        yield from self._pieces(self.receipts.of(REGROUP, group).files, chunk - members.start, len(members))

    def _pieces(self, records: Sequence[FileRecord], place: int, n_pieces: int) -> Iterator[pa.Table]:
        def read(record: FileRecord) -> pa.Table | None:
            return read_pieces(self.store, record, [place], n_pieces)[0]

        def mean_bytes(record: FileRecord) -> int:
            return record.n_bytes // n_pieces

        found = in_parallel(read, records, self.store.readers, size=mean_bytes, most=READ_AHEAD_BYTES)
        yield from (piece for piece in found if piece is not None)


def check_room(rows: Arranged) -> None:
    """Refuse to begin what the disk has no room for.

    Raises
    ------
    TerminalError
        If the rows that are still to be partitioned or arranged take more than is free.
    """
    free = rows.store.free_bytes()
    if free is None:
        return
    n_rows = sum(chunk.n_rows for stage in (PARTITION, REGROUP, ARRANGE) for chunk in rows.receipts.missing(stage))
    needed = int(n_rows * rows.plan.facts["arranged_row_bytes"])
    if needed > free:
        raise TerminalError(
            f"The table is in another order, and arranging its rows takes about {needed:,} more bytes of disk until the job "
            f"ends; {free:,} are free at {rows.store.address}. Free some, or choose another `sink.path`; then run the same "
            f"command again."
        )


def partition_rows(rows: Arranged, piece: pa.Table, number: int, backend: str) -> Receipt:
    """Write the rows of a piece of the table, those of each chunk, or group of chunks, together."""
    began = time.perf_counter()
    name, groups = _partition_name(number), rows.groups
    record = write_pieces(rows.store, name, partitioned(piece, rows.plan.order, rows.ranges, groups.n_groups, groups.of))
    return Receipt(PARTITION, number, {}, (record,), backend, time.perf_counter() - began)


def regroup(rows: Arranged, group: Chunk, backend: str) -> Receipt:
    """Write the rows of a group of chunks, those of each chunk together; as many at once as a piece of the table has."""
    began = time.perf_counter()
    members, records, waiting = rows.groups.chunks(group.index), list[FileRecord](), list[pa.Table]()
    most = max(piece.n_rows for piece in rows.plan.inputs)

    def write() -> None:
        together = pa.concat_tables(waiting).unify_dictionaries()
        parts = partitioned(together, rows.plan.order, rows.ranges, len(members), lambda chunks: chunks - members.start)
        records.append(write_pieces(rows.store, f"regrouped/{group.index:05}-{len(records):05}.pieces", parts))
        waiting.clear()

    for piece in rows.pieces_of_group(group.index):
        if waiting and sum(part.num_rows for part in waiting) + piece.num_rows > most:
            write()
        waiting.append(piece)
    if waiting:
        write()
    return Receipt(REGROUP, group.index, {}, tuple(records), backend, time.perf_counter() - began)


def arrange_chunk(rows: Arranged, chunk: Chunk, backend: str) -> Receipt:
    """Bring the rows of a chunk together, and write them in the job's order, each column on its own.

    Raises
    ------
    DataError
        If there are more or fewer rows than planned: the table has changed.
    """
    began = time.perf_counter()
    pieces = list(rows.pieces_of(chunk.index))
    n_rows = sum(piece.num_rows for piece in pieces)
    if n_rows != chunk.n_rows:
        raise DataError(
            f"{rows.plan.spec.source}: {chunk} was planned with {chunk.n_rows:,} rows and has {n_rows:,}; the table has "
            f"changed since the plan. Start again with --overwrite."
        )
    table = arranged(pieces, rows.plan.order)
    columns = (table.select([name]) for name in table.column_names)
    record = write_pieces(rows.store, _arranged_name(chunk.index), columns)
    return Receipt(ARRANGE, chunk.index, {}, (record,), backend, time.perf_counter() - began)


def _partition_name(number: int) -> str:
    return f"partition/{number:05}.pieces"


def _arranged_name(chunk: int) -> str:
    return f"arranged/{chunk:05}.pieces"
