"""Where a result goes as Parquet files, as a job says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emberharmony.io.manifest import KEEP_VERSIONS, check_keep_versions
from emberharmony.io.store.access import Access
from emberharmony.io.store.paths import Folder
from emberharmony.settings import Section


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

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_keep_versions(self.keep_versions)
