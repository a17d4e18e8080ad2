"""A table in Parquet files as its footers describe it: files, row groups, columns and their statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from emberharmony.arrow import TICKS_PER_DAY, is_bytes, text_columns
from emberharmony.errors import DataError
from emberharmony.features.table_types import FROM_FOLDERS
from emberharmony.io.sources.base import TableInfo
from emberharmony.io.sources.parquet.folders import columns_of_folders
from emberharmony.io.sources.parquet.footers import FooteredFile, RowGroup, leaves, open_footer, refuse_other_schema
from emberharmony.io.sources.parquet.listing import ListedFile, list_files
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.parquet.widths import stored_widths, text_widths
from emberharmony.messages import listed
from emberharmony.planning.chunks import LAST_TICK
from emberharmony.typing import IntArray

_TEXT_BYTES = 1024
"""Values of a binary column that take more bytes are images or documents, not texts of categories."""


class ParquetTable:
    """One or many Parquet files with one schema. Files are listed and footers read when first asked for."""

    def __init__(self, spec: ParquetSourceSpec) -> None:
        self.spec = spec

    @cached_property
    def listed(self) -> list[ListedFile]:
        """The files, in the order of their rows."""
        return list_files(self.spec.places)

    @cached_property
    def files(self) -> list[FooteredFile]:
        """The files with their footers, all of one schema."""
        files = [open_footer(file.path) for file in self.listed]
        for file in files[1:]:
            refuse_other_schema(files[0].schema, file, files[0].path)
        return files

    @cached_property
    def leaves(self) -> list[str]:
        """The column of every leaf, the same in all files."""
        return leaves(self.files[0])

    @cached_property
    def groups(self) -> list[RowGroup]:
        """The row groups that have rows, in the order of their rows."""
        groups, first_row = [], 0
        for i, file in enumerate(self.files):
            for number in range(file.metadata.num_row_groups):
                n_rows = file.metadata.row_group(number).num_rows
                if n_rows:
                    groups.append(RowGroup(i, number, first_row, n_rows))
                first_row += n_rows
        return groups

    @cached_property
    def partitions(self) -> dict[str, pa.Array]:
        """Columns that the files' folders name and the files do not hold: a value for each file."""
        own = self.files[0].schema.names
        found = columns_of_folders(self.listed)
        return {name: values for name, values in found.items() if name not in own}

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns that the job may use, with the types that rows are read as."""
        schema = self.files[0].schema
        for name in sorted(frozenset().union(*(file.number_categories for file in self.files))):
            values = schema.field(name)
            schema = schema.set(schema.names.index(name), values.with_type(pa.dictionary(pa.int32(), values.type)))
        for name, values in self.partitions.items():
            schema = schema.append(pa.field(name, values.type, metadata=FROM_FOLDERS))
        if self.spec.columns is None:
            return schema
        unknown = [name for name in self.spec.columns if name not in schema.names]
        if unknown:
            raise DataError(f"source.columns names {listed(unknown)}, which {self.files[0].path} does not have.")
        return pa.schema([schema.field(name) for name in schema.names if name in self.spec.columns])

    def describe(self) -> TableInfo:
        """Return the table's description; of strings, a sample is decoded to learn their widths."""
        n_rows = sum(file.metadata.num_rows for file in self.files)
        identity = {
            "type": "parquet",
            "files": [[f.path.name, f.size, f.modified_ns, f.footer_digest] for f in self.files],
            "columns": self.schema.names,
            **{f"folder {name}": values.to_pylist() for name, values in self.partitions.items()},
        }
        stored = stored_widths(self.files, self.groups, self.leaves, self.schema)
        stored |= {name: 8.0 + values.nbytes / len(values) for name, values in self.partitions.items() if name in stored}
        texts = {name: self.leaves.index(name) for name in self._measured_columns(stored)}
        return TableInfo(
            self.schema,
            n_rows,
            identity,
            text_widths(self.files, self.groups, stored, texts),
            stored_bytes_per_row=stored,
            name=f"The table {self.spec}",
        )

    def _measured_columns(self, stored: Mapping[str, float]) -> list[str]:
        """Return the columns whose values are measured: texts, and bytes that are short enough to be texts."""
        names = [name for name in text_columns(self.schema) if name not in self.partitions]
        return [n for n in names if not is_bytes(self.schema.field(n).type) or stored[n] <= _TEXT_BYTES]

    def group_nulls(self, column: str) -> Iterator[tuple[RowGroup, int | None]]:
        """Yield each row group and its number of nulls; ``None`` if its statistics do not hold that number."""
        leaf = self.leaves.index(column)
        for group in self.groups:
            statistics = self.files[group.file].metadata.row_group(group.number).column(leaf).statistics
            yield group, statistics.null_count if statistics is not None and statistics.has_null_count else None

    def group_times(self, time: str) -> tuple[IntArray, IntArray, IntArray] | None:
        """Return the first time, last time and number of nulls of each row group; ``None`` if one has no statistics."""
        if time not in self._group_times:
            self._group_times[time] = self._read_statistics(time)
        return self._group_times[time]

    def groups_between(self, time: str, start: int, stop: int) -> list[RowGroup]:
        """Return the row groups that may hold times in ``[start, stop)``: all, where statistics are missing."""
        ranges = self.group_times(time)
        if ranges is None:
            return self.groups
        first, last, _ = ranges
        no_end = stop >= LAST_TICK  # see `in_range`
        return [self.groups[i] for i in np.flatnonzero((last >= start) & ((first < stop) | no_end))]

    def groups_of_rows(self, start: int, stop: int) -> list[RowGroup]:
        """Return the row groups that hold rows ``[start, stop)`` of the table."""
        return [group for group in self.groups if group.first_row < stop and group.first_row + group.n_rows > start]

    @cached_property
    def _group_times(self) -> dict[str, tuple[IntArray, IntArray, IntArray] | None]:
        return {}

    def _read_statistics(self, time: str) -> tuple[IntArray, IntArray, IntArray] | None:
        scale = TICKS_PER_DAY["s"] if pa.types.is_date(self.schema.field(time).type) else 1  # files hold days
        leaf = self.leaves.index(time)
        lows, highs, nulls = [], [], []
        for group in self.groups:
            metadata = self.files[group.file].metadata
            statistics = metadata.row_group(group.number).column(leaf).statistics
            if statistics is None or not statistics.has_min_max or not statistics.has_null_count:
                return None
            # Raw: Python has no times before the year 1 or after 9999, and no nanoseconds.
            lows.append(statistics.min_raw * scale)
            highs.append(statistics.max_raw * scale)
            nulls.append(statistics.null_count)
        low, high, n_null = (np.array(values, np.int64) for values in (lows, highs, nulls))
        return low, high, n_null
