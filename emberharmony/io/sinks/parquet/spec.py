"""Where a result goes as Parquet files, as a job says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from emberharmony.io.manifest import KEEP_VERSIONS, check_keep_versions
from emberharmony.io.sinks.base import folder_of_slice
from emberharmony.io.store.access import Access
from emberharmony.io.store.paths import Folder
from emberharmony.settings import Section
from emberharmony.slices import SliceTimes


@dataclass(frozen=True)
class ParquetSinkSpec(Section):
    """A folder that receives `features`, `windows`, `state` and `manifest.json`."""

    path: Folder
    """Folder of the result; staged in it, under .staging, until all of it is there."""
    type: Literal["parquet"] = "parquet"
    """The kind of sink."""
    mode: Access = "private"
    """Who may read the result: its owner, the owner's group as well, or those whom the process's umask allows."""
    keep_versions: int = KEEP_VERSIONS
    """Earlier results that stay below `.versions`, for readers at work and to go back to; 0 removes them at once."""
    report: bool = True
    """Write `report/report.html`, a page that shows the run, if the extra `report` is installed."""

    slice: str | None = None
    """Set by the slice that is run, not by you."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_keep_versions(self.keep_versions)

    @property
    def texts(self) -> Mapping[str, str]:
        """Settings that may name the slice that is run, by `{slice}`."""
        return {"path": self.path}

    def of_slice(self, times: SliceTimes) -> Self:
        """Return the sink of the slice's own folder."""
        name = times.slice.name
        return self if self.slice == name else replace(self, path=folder_of_slice(self.path, times), slice=name)
