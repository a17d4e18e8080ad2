"""A table in Parquet files as its footers describe it: files, row groups, columns and their statistics."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from emberharmony.arrow import TICKS_PER_DAY, is_bytes, text_columns, tick_unit
from emberharmony.errors import DataError
from emberharmony.features.table_types import FROM_FOLDERS
from emberharmony.io.sources.base import TableInfo
from emberharmony.io.sources.parquet.catalogue import Catalogue, GroupTimes
from emberharmony.io.sources.parquet.columns import StoredColumn, TableColumns
from emberharmony.io.sources.parquet.decoding import READ_BUFFER_BYTES, too_narrow
from emberharmony.io.sources.parquet.files import Place, TableFile
from emberharmony.io.sources.parquet.folders import columns_of_folders
from emberharmony.io.sources.parquet.footers import FooteredFile, RowGroup, open_footers
from emberharmony.io.sources.parquet.listing import list_files, place_of
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.parquet.widths import stored_widths, text_widths
from emberharmony.messages import listed
from emberharmony.nested import is_element, outer_columns, path_of
from emberharmony.planning.chunks import LAST_TICK

_TEXT_BYTES = 1024
"""Values of a binary column that take more bytes are images or documents, not texts of categories."""
_VECTOR_BATCH_BYTES = 32 * 2**20
"""Fixed-size lists of numbers that are decoded at once, before they become columns."""
_MIN_VECTOR_ROWS = 1024
_FIRST_TICK = -(2**63)


class ParquetTable:
    """One or many Parquet files that are one table. Files are listed and footers read when first asked for.

    Parameters
    ----------
    spec : ParquetSourceSpec
        Which files.
    catalogue : Catalogue, optional
        What another process found out about them; then nothing is listed.
    """

    def __init__(self, spec: ParquetSourceSpec, catalogue: Catalogue | None = None) -> None:
        self.spec = spec
        self._catalogue = catalogue

    @cached_property
    def places(self) -> list[Place]:
        """What `source.path` names."""
        return [place_of(text) for text in self.spec.places]

    @cached_property
    def listed(self) -> list[TableFile]:
        """The files, in the order of their rows."""
        if self._catalogue is None and self.spec.rows is None:
            return list_files(self.places)
        return [file.file for file in self.files]

    @cached_property
    def files(self) -> list[FooteredFile]:
        """The files with their footers; of a slice, those with row groups that may hold its rows."""
        if self._catalogue is not None:
            return self._catalogue.files
        rows = self.spec.rows
        if rows is None:
            return open_footers(self.listed)
        whole = ParquetTable(replace(self.spec, rows=None), Catalogue(open_footers(list_files(self.places)), {}))
        if rows.column not in whole.schema.names:  # refused by whoever assigns the roles
            return whole.files
        groups = whole.groups_between(rows.column, rows.ticks(whole.schema.field(rows.column).type))
        # A table has a file that tells its columns, also where no rows are.
        return [whole.files[number] for number in dict.fromkeys(group.file for group in groups)] or whole.files[-1:]

    @property
    def catalogue(self) -> Catalogue:
        """What has been found out about the files."""
        return Catalogue(self.files, dict(self._group_times))

    @cached_property
    def columns(self) -> TableColumns:
        """The columns that the files hold, as far as the job may use them."""
        wanted = None if self.spec.columns is None else frozenset(self.spec.columns)
        return TableColumns(self.files, wanted=wanted, missing_are_null=self.spec.missing_columns != "error")

    @cached_property
    def groups(self) -> list[RowGroup]:
        """The row groups that have rows, in the order of their rows."""
        groups, first_row = [], 0
        for i, file in enumerate(self.files):
            for number, n_rows in enumerate(file.group_rows):
                if n_rows:
                    groups.append(RowGroup(i, number, first_row, n_rows))
                first_row += n_rows
        return groups

    @cached_property
    def partitions(self) -> dict[str, pa.Array]:
        """Columns that the files' folders name and the files do not hold: a value for each file."""
        found = columns_of_folders(self.listed)
        return {name: values for name, values in found.items() if name not in self.columns.held}

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns that the job may use, with the types that rows are read as."""
        schema, wanted = self.columns.schema, self.spec.columns
        for name, values in self.partitions.items():
            if wanted is None or name in wanted:
                schema = schema.append(pa.field(name, values.type, metadata=FROM_FOLDERS))
        known = {*schema.names, *outer_columns(schema)}
        unknown = [name for name in wanted or () if name not in known]
        if unknown:
            raise DataError(f"source.columns names {listed(unknown)}, which {self.files[0].address} does not have.")
        return schema

    @cached_property
    def fields(self) -> dict[str, pa.Field]:
        """The columns of `schema` as they are read, without metadata."""
        return {field.name: field.remove_metadata() for field in self.schema}

    def check_readable(self, names: Iterable[str]) -> None:
        """Refuse columns whose values would not mean the same in all files.

        Raises
        ------
        DataError
            The message names the column, two files and what differs.
        """
        for name in names:
            if name in self.columns.unreadable:
                raise DataError(self.columns.unreadable[name])

    def describe(self) -> TableInfo:
        """Return the table's description; of strings, a sample is decoded to learn their widths."""
        n_rows = sum(file.n_rows for file in self.files)
        identity = {
            "type": "parquet",
            "files": [[f.file.name, *f.version, f.footer_digest] for f in self.files],
            "columns": self.schema.names,
            **{f"folder {name}": values.to_pylist() for name, values in self.partitions.items()},
        }
        stored = stored_widths(self, self.schema)
        stored |= {name: 8.0 + values.nbytes / len(values) for name, values in self.partitions.items() if name in stored}
        return TableInfo(
            self.schema,
            n_rows,
            identity,
            text_widths(self, self._measured_columns(stored), stored),
            in_flight_bytes=self._in_flight_bytes,
            catalogue=lambda: self.catalogue.to_bytes(self.places),
            stored_bytes_per_row=stored,
            name=f"The table {self.spec}",
            unreadable=self.columns.unreadable,
        )

    @property
    def _in_flight_bytes(self) -> int:
        """Bytes of batches of vectors, and of what is read ahead, in addition to a chunk's rows."""
        vectors = 0 if self.vector_batch_rows is None else 3 * _VECTOR_BATCH_BYTES
        ahead = max((file.in_flight_bytes for file in self.listed), default=0)
        widest = len(self.columns.schema)
        # Piece by piece, each column has a buffer of its own, however many they are.
        return vectors + min(
            max(ahead, READ_BUFFER_BYTES * widest if ahead else 0), sum(f.version.n_bytes for f in self.files)
        )

    @cached_property
    def vector_batch_rows(self) -> int | None:
        """Rows of a batch in which fixed-size lists are read; ``None`` if the table has none."""
        n_bytes = sum(field.type.bit_width / 8 for field in self.schema if is_element(path_of(field)))
        return max(_MIN_VECTOR_ROWS, int(_VECTOR_BATCH_BYTES // n_bytes)) if n_bytes else None

    def _measured_columns(self, stored: Mapping[str, float]) -> list[str]:
        """Return the columns whose values are measured: texts, and bytes that are short enough to be texts."""
        names = [name for name in text_columns(self.schema) if name not in self.partitions]
        return [n for n in names if not is_bytes(self.schema.field(n).type) or stored[n] <= _TEXT_BYTES]

    def group_nulls(self, column: str) -> Iterator[tuple[RowGroup, int | None]]:
        """Yield each row group and its number of nulls; ``None`` if its statistics do not hold that number."""
        for group in self.groups:
            stored = self.columns.of_file(group.file).get(column)
            if stored is None:
                yield group, group.n_rows
                continue
            statistics = self._statistics(group, stored)
            yield group, statistics.null_count if statistics is not None and statistics.has_null_count else None

    def group_times(self, time: str) -> GroupTimes | None:
        """Return the first time, last time and number of nulls of each row group; ``None`` if one has no statistics."""
        if time not in self._group_times:
            self._group_times[time] = self._read_statistics(time)
        return self._group_times[time]

    def groups_between(self, time: str, *ranges: tuple[int, int]) -> list[RowGroup]:
        """Return the row groups that may hold times in a range ``[start, stop)``: all, where statistics are missing."""
        known = self.group_times(time)
        if known is None:
            return self.groups
        first, last, _ = known
        inside = np.zeros(len(self.groups), bool)
        for start, stop in ranges:
            no_end = stop >= LAST_TICK  # see `in_range`
            inside |= (last >= start) & ((first < stop) | no_end)
        return [self.groups[i] for i in np.flatnonzero(inside)]

    def groups_of_rows(self, start: int, stop: int) -> list[RowGroup]:
        """Return the row groups that hold rows ``[start, stop)`` of the table."""
        return self.groups[self._places_of_rows(start, stop)]

    def range_of_rows(self, time: str, start: int, stop: int) -> tuple[int, int] | None:
        """Return the range ``[from, to)`` of the times of the row groups that hold rows ``[start, stop)``.

        ``None`` where statistics are missing, or say that a time is.
        """
        ranges, places = self.group_times(time), self._places_of_rows(start, stop)
        if ranges is None or start >= stop:
            return None
        first, last, n_null = (of_groups[places] for of_groups in ranges)
        return None if n_null.any() else (int(first.min()), min(int(last.max()) + 1, LAST_TICK))

    def _places_of_rows(self, start: int, stop: int) -> slice:
        begin = bisect_right(self.groups, start, key=lambda group: group.first_row + group.n_rows)
        return slice(begin, bisect_left(self.groups, stop, key=lambda group: group.first_row))

    @cached_property
    def _group_times(self) -> dict[str, GroupTimes | None]:
        return {} if self._catalogue is None else dict(self._catalogue.times)

    def _read_statistics(self, time: str) -> GroupTimes | None:
        lows, highs, nulls = [], [], []
        for group in self.groups:
            stored = self.columns.of_file(group.file).get(time)
            statistics = None if stored is None else self._statistics(group, stored)
            if stored is None or statistics is None or not statistics.has_min_max or not statistics.has_null_count:
                return None
            scale = self._ticks(time) // _stored_ticks(stored.flat.type)
            # Raw: Python has no times before the year 1 or after 9999, and no nanoseconds.
            lows.append(statistics.min_raw * scale)
            highs.append(statistics.max_raw * scale)
            nulls.append(statistics.null_count)
            if lows[-1] < _FIRST_TICK or highs[-1] > LAST_TICK:
                type_, other = self.schema.field(time).type, self.columns.origins.get(time)
                raise too_narrow(time, stored.flat.type, type_, self.files[group.file].address, other=other)
        low, high, n_null = (np.array(values, np.int64) for values in (lows, highs, nulls))
        return low, high, n_null

    def _statistics(self, group: RowGroup, stored: StoredColumn) -> Any:
        """Return the statistics of a column in a row group; ``None`` if there are none, or only those of whole lists."""
        if stored.is_element or len(stored.leaves) != 1:
            return None
        return self.files[group.file].metadata.row_group(group.number).column(stored.leaves.start).statistics

    def _ticks(self, time: str) -> int:
        return TICKS_PER_DAY[tick_unit(self.schema.field(time).type)]


def _stored_ticks(type_: pa.DataType) -> int:
    """Return the ticks of a day in files, which hold the days of dates."""
    return 1 if pa.types.is_date(type_) else TICKS_PER_DAY[tick_unit(type_)]
