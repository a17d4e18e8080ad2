"""Where a result goes as Delta tables, as a job says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

from emberharmony.errors import PlanError
from emberharmony.io.manifest import KEEP_VERSIONS, check_keep_versions
from emberharmony.io.sinks.base import check_replaces, folder_of_slice
from emberharmony.io.store.access import Access
from emberharmony.io.store.paths import Folder
from emberharmony.settings import Section
from emberharmony.slices import SliceTimes

SPLIT: Final = "split"
"""Column that every table is partitioned by."""
SLICE: Final = "slice"
"""Column that tables of slices are partitioned by as well."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Disposition = Literal["replace", "append", "replace_partitions"]


@dataclass(frozen=True)
class DeltaSinkSpec(Section):
    """A folder of Delta tables, `features` and one `windows_stride_N` for each stride, and of `state` and `manifest.json`.

    ``replace`` puts this run's rows in place of all others, ``replace_partitions`` in place of those of the same splits and
    `partition` values, and ``append`` adds them. A run appends its rows once, however often it is started. A slice replaces
    its own rows in tables that all slices share.
    """

    path: Folder
    """Folder of the tables, the fitted state and the manifest."""
    type: Literal["delta"] = "delta"
    """The kind of sink."""
    mode: Access = "private"
    """Who may read the result: its owner, the owner's group as well, or those whom the process's umask allows."""
    write_disposition: Disposition = "replace"
    """What becomes of rows that were there before."""
    keep_versions: int = KEEP_VERSIONS
    """Earlier states and manifests that stay below `.versions`; earlier rows stay until `VACUUM` removes them."""
    report: bool = True
    """Write `report/report.html`, a page that shows the run, if the extra `report` is installed."""
    partition: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Columns with one value in all rows of the run, such as `{night: "2026-11-28"}`, to partition by besides `split`."""

    slice: str | None = None
    """Set by the slice that is run, not by you."""
    tables: Folder | None = None
    """Folder of the tables that slices share. Set by the slice that is run, not by you."""

    @property
    def texts(self) -> Mapping[str, str]:
        """Settings that may name the slice that is run, by `{slice}`."""
        return {"path": self.path}

    def of_slice(self, times: SliceTimes) -> Self:
        """Return the sink of a slice: a folder for its state and manifest, and a partition of tables for its rows.

        Raises
        ------
        PlanError
            If rows are appended, or have partitions of their own.
        """
        name = times.slice.name
        if self.slice == name:
            return self
        check_replaces(self.write_disposition)
        if self.partition:
            raise PlanError(
                f"`sink.partition` names {', '.join(self.partition)}, but a job that is run by slices partitions its tables "
                f"by {SLICE!r} and {SPLIT!r}: leave it out, or carry the column in `columns.passthrough`."
            )
        return replace(self, path=folder_of_slice(self.path, times), tables=times.fill(self.path), slice=name)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, and partitions that cannot be folders' names."""
        check_keep_versions(self.keep_versions)
        for name, value in self.partition.items():
            if not _NAME.fullmatch(name) or name.casefold() == SPLIT:
                raise ValueError(
                    f"`partition` names a column {name!r}. Give a name of ASCII letters, digits and underscores, other than "
                    f"{SPLIT!r}, which every table is partitioned by."
                )
            if not _VALUE.fullmatch(value):
                raise ValueError(
                    f"`partition` gives {name} the value {value!r}, which becomes part of a folder's name: use ASCII letters, "
                    f"digits, '-', '_' and '.'."
                )
        if len({name.casefold() for name in self.partition}) < len(self.partition):
            raise ValueError(f"`partition` names a column twice: {', '.join(self.partition)}. Delta tables ignore case.")

    @property
    def partition_columns(self) -> list[str]:
        """Columns that the tables are partitioned by.

        Examples
        --------
        >>> DeltaSinkSpec("out", partition={"night": "2026-11-28"}).partition_columns
        ['night', 'split']
        """
        return [*self.own_partition, SPLIT]

    @property
    def keeps_rows(self) -> bool:
        """Whether rows that were there before stay."""
        return self.write_disposition != "replace" or self.slice is not None

    @property
    def folder_of_tables(self) -> str:
        """Folder below which the tables are."""
        return self.tables or self.path

    @property
    def own_partition(self) -> Mapping[str, str]:
        """Partition columns, other than `split`, with their values in all rows of the run."""
        return self.partition if self.slice is None else {SLICE: self.slice}

    def partition_values(self, split: str) -> dict[str, str]:
        """Values of the partition columns in the run's rows of one split."""
        return {**self.own_partition, SPLIT: split}
