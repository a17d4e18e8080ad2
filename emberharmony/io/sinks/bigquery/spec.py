"""Where a result goes in BigQuery, as a job says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.bigquery.identifiers import ANY_PROJECT, TableName, checked_labels, parse_dataset
from emberharmony.io.manifest import KEEP_VERSIONS, check_keep_versions
from emberharmony.io.sinks.base import check_replaces, folder_of_slice
from emberharmony.io.store.access import Access
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.paths import Folder
from emberharmony.settings import Section
from emberharmony.slices import SliceTimes

_BUCKET: Final = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:/|$)")
Disposition = Literal["replace", "append", "fail", "replace_partitions"]


@dataclass(frozen=True)
class BigQuerySinkSpec(Section):
    """Where a run's tables go: `features`, one `windows_stride_N` for each stride, and `runs`, a line for each run.

    ``replace`` puts this run's rows in place of all others, ``replace_partitions`` in place of those of the same partitions,
    ``append`` adds them, and ``fail`` refuses a table that has rows. A run appends its rows once, however often it is started.
    A slice replaces its own rows in tables that all slices share.
    """

    dataset: str
    """Dataset of the published tables."""
    path: Folder
    """This machine's folder for staging, fitted state and manifest."""
    type: Literal["bigquery"] = "bigquery"
    """The kind of sink."""
    mode: Access = "private"
    """Who may read this machine's folder: its owner, the owner's group as well, or those whom the process's umask allows."""
    keep_versions: int = KEEP_VERSIONS
    """Earlier states and manifests that stay in that folder, below `.versions`; 0 removes them at once."""
    report: bool = True
    """Write `report/report.html`, a page that shows the run, if the extra `report` is installed."""
    prefix: str = ""
    """What the tables' names begin with."""
    write_disposition: Disposition = "replace"
    """What becomes of rows that were there before."""
    method: Literal["load", "storage_write"] = "load"
    """Load files by a job, or send rows and commit them at once."""
    staging: str | None = None
    """Address in Cloud Storage, `gs://bucket/folder`, where workers write the files to load; without it they are uploaded,
    unless `path` is an address in Cloud Storage itself."""
    staging_dataset: str | None = None
    """Dataset of the staging tables; by default `dataset`."""
    partition_by: Literal["auto", "hour", "day", "month", "year", "none"] = "auto"
    """Partitions by the time column; auto chooses by the time that the rows span."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels on the tables."""
    streams: int = 4
    """Streams of `method: storage_write`."""
    connection: BigQueryConnection = field(default_factory=BigQueryConnection)
    """How to reach BigQuery."""

    slice: str | None = None
    """Set by the slice that is run, not by you."""

    @property
    def load_files(self) -> str | None:
        """Address in Cloud Storage below which workers write the files to load; ``None`` where they are uploaded or sent."""
        if self.method == "load" and self.path.startswith("gs://"):
            return self.staging or child_address(without_query(self.path), ".load")  # BigQuery has no other endpoint
        return self.staging

    @property
    def texts(self) -> Mapping[str, str]:
        """Settings that may name the slice that is run, by `{slice}`."""
        return {"path": self.path}

    def of_slice(self, times: SliceTimes) -> Self:
        """Return the sink of a slice: a folder for its state and manifest; its rows are told by the column `slice`.

        Raises
        ------
        PlanError
            If rows are to be written otherwise than in place of those of the slice.
        """
        name = times.slice.name
        if self.slice == name:
            return self
        check_replaces(self.write_disposition)
        return replace(self, path=folder_of_slice(self.path, times), slice=name)

    @property
    def disposition(self) -> Disposition | Literal["replace_slice"]:
        """What becomes of rows that were there before; of a slice's tables, those of other slices stay."""
        return self.write_disposition if self.slice is None else "replace_slice"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_keep_versions(self.keep_versions)
        project = self.connection.project or ANY_PROJECT
        TableName.parse(f"{self.dataset}.{self.prefix}features", project=project)
        if self.staging_dataset is not None:
            parse_dataset(self.staging_dataset, project=project)
        checked_labels(dict(self.labels))
        if self.staging is not None and not _BUCKET.match(self.staging):
            raise ValueError(f"`staging` is an address in Cloud Storage, such as gs://bucket/folder; got {self.staging!r}.")
        if self.staging is not None and self.method == "storage_write":
            raise ValueError("`storage_write` needs no `staging`: rows are sent, not files. Leave one of the two out.")
