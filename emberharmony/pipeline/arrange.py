"""The stages that bring rows into the job's order, and the arranged rows that all later stages read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.io.pieces import read_pieces, write_pieces
from emberharmony.io.sources.base import no_rows
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.receipts import Receipt, Receipts
from emberharmony.planning.chunks import Chunk
from emberharmony.steps.arrange import KeyRanges, arranged, partitioned

PARTITION, ARRANGE = "partition", "arrange"


@dataclass(frozen=True)
class Arranged:
    """The rows of a table in the job's order, as the stages of this module have written them."""

    store: Store
    plan: StagedPlan
    receipts: Receipts

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns that the job reads, without the row number."""
        spec = self.plan.spec
        return tuple(dict.fromkeys([*self.plan.roles.to_read, *self.plan.order.columns, *spec.split_keys]))

    def read(self, chunk: Chunk, columns: Sequence[str], *, time: str | None, texts: TextBudget | None = None) -> pa.Table:
        """Return the chunk's rows in the job's order, with the `row_number` as the first column; see `Source.read`.

        Raises
        ------
        DamagedError
            If they are missing or were changed; the chunk has to be arranged again.
        """
        names, stored = [ROW_NUMBER, *columns], [ROW_NUMBER, *self.columns]
        if not chunk.n_rows:
            return no_rows(self.plan.schema, columns)
        record = self.receipts.file(ARRANGE, chunk.index, _arranged_name(chunk.index))
        pieces = read_pieces(self.store, record, [stored.index(name) for name in names], len(stored))
        return pa.table({name: piece[name] for name, piece in zip(names, pieces, strict=True) if piece is not None})

    @cached_property
    def ranges(self) -> KeyRanges:
        """The keys of every chunk."""
        return KeyRanges(self.plan.chunks)

    @cached_property
    def partitions(self) -> list[FileRecord]:
        """The partitioned pieces of the table, in order."""
        return [self.receipts.file(PARTITION, i, _partition_name(i)) for i in range(len(self.plan.inputs))]

    def pieces_of(self, chunk: Chunk) -> list[pa.Table]:
        """Return the rows of a chunk, one table for each piece of the table that has some."""
        n_chunks = len(self.plan.chunks)
        found = [read_pieces(self.store, record, [chunk.index], n_chunks)[0] for record in self.partitions]
        return [piece for piece in found if piece is not None]


def partition_rows(rows: Arranged, piece: pa.Table, number: int, backend: str) -> Receipt:
    """Write the rows of a piece of the table, those of each chunk together."""
    began = time.perf_counter()
    plan = rows.plan
    record = write_pieces(rows.store, _partition_name(number), partitioned(piece, plan.order, rows.ranges, len(plan.chunks)))
    return Receipt(PARTITION, number, {}, (record,), backend, time.perf_counter() - began)


def arrange_chunk(rows: Arranged, chunk: Chunk, backend: str) -> Receipt:
    """Bring the rows of a chunk together, and write them in the job's order, each column on its own.

    Raises
    ------
    DataError
        If there are more or fewer rows than planned: the table has changed.
    """
    began = time.perf_counter()
    pieces = rows.pieces_of(chunk)
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
