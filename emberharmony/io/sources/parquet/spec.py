"""The settings of a source in Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from emberharmony.errors import PlanError
from emberharmony.io.sources.parquet.listing import place_of
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.io.store.address import is_bucket
from emberharmony.messages import check_distinct
from emberharmony.settings import Section
from emberharmony.slices import SliceTimes, placeholders_in


@dataclass(frozen=True)
class ParquetSourceSpec(Section):
    """A Parquet file or many; folders named ``key=value`` give their files' rows a column."""

    path: str | tuple[str, ...]
    """A file, a folder (its Parquet files at any depth, in the order of their names), a glob pattern, or a list of such: on a
    disk, or in a bucket (`s3://`, `gs://`, `az://`)."""
    type: Literal["parquet"] = "parquet"
    """The kind of source."""
    columns: tuple[str, ...] | None = None
    """The only columns that the job knows; by default all."""
    missing_columns: Literal["error", "null"] | None = "error"
    """Columns that some of the files lack: an error, or `null` to take them as null there. Columns that the job does not use,
    and fields of structs, may be missing anyway."""
    rows: TimeRows | None = None
    """Set by the slice that is run, not by you."""

    def __post_init__(self) -> None:
        """Refuse what is neither a path nor an address of a bucket."""
        if not self.path:
            raise PlanError("the list of paths is empty; name a file, a folder or a pattern.")
        check_distinct(self.columns, key="columns")
        for place in self.places:
            place_of(place)

    @property
    def places(self) -> tuple[str, ...]:
        """Every path, folder or pattern."""
        return (self.path,) if isinstance(self.path, str) else self.path

    def __str__(self) -> str:
        """Name the table."""
        first, *others = self.places
        shown = place_of(first).shown
        return f"{shown} and {len(others):,} more" if others else shown

    @property
    def has_order(self) -> bool:
        """Whether rows have an order without a time column; rows of files always do."""
        return True

    @property
    def order_text(self) -> str:
        """The order of a job without a time column, for the plan report."""
        return "the table's order"

    @property
    def profiles_by_query(self) -> bool:
        """Whether a statement profiles the table; files have to be read."""
        return False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every path, folder or pattern."""
        return self.places

    @property
    def is_remote(self) -> bool:
        """Whether files lie in a bucket."""
        return any(is_bucket(place) for place in self.places)

    @property
    def texts(self) -> Mapping[str, str | Sequence[str]]:
        """Settings that may name the slice that is run, by `{slice}`."""
        return {"path": self.path}

    def of_slice(self, times: SliceTimes, column: str | None) -> Self:
        """Return the settings of the rows of a slice; a path that names it stands for those of all slices that are read."""
        path = self.path
        if placeholders_in(path):
            paths = (one.fill(place) for place in self.places for one in times.each_read)
            path = tuple(dict.fromkeys(paths))
        return replace(self, path=path, rows=None if column is None else TimeRows(column, times.slice_from, times.slice.stop))

    def check_credentials(self) -> None:
        """Refuse buckets whose library or credentials are missing; what they may read shows when they are opened."""
        for place in self.places:
            place_of(place).check_credentials()
