"""Where a run's parts are: below the folders of the tables, each run in a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from emberharmony.io.store.base import Store
from emberharmony.io.store.routed import own_folder

KEPT: Final = ("features", "windows")
"""Folders of a run's files that are in the tables' folders."""
_PART: Final = re.compile(r"(?:features|windows/stride=(?P<stride>\d+))/(?P<rest>.*)", re.DOTALL)
_OWN: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Places:
    """Names of a run's parts below the sink's folder.

    The folders below the run's are named by the partition, as Hive does: some readers take the values from there.

    Examples
    --------
    >>> places = Places("0123456789abcdef", {"night": "2026-11-28"})
    >>> places("windows/stride=3/split=train/part-00000.parquet")
    'windows_stride_3/0123456789abcdef/night=2026-11-28/split=train/part-00000.parquet'
    >>> places("state/job.json") is None
    True
    """

    folder: str
    """Of the run; other runs have others, so that the same rows can be added twice."""
    partition: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, run: Store, partition: Mapping[str, str]) -> Self:
        """Return the places of a staged run, which are chosen once."""
        return cls(own_folder(run), partition)

    def __call__(self, name: str) -> str | None:
        """Return the name of a part below the sink's folder; ``None`` for a file that is none."""
        match = _PART.match(name)
        if match is None:
            return None
        table = "features" if match["stride"] is None else table_of_windows(match["stride"])
        values = "".join(f"{column}={value}/" for column, value in self.partition.items())
        return f"{table}/{self.folder}/{values}{match['rest']}"


def table_of_windows(stride: str | int) -> str:
    """Name of the table of the windows of one stride.

    Examples
    --------
    >>> table_of_windows(3)
    'windows_stride_3'
    """
    return f"windows_stride_{stride}"


def is_own(name: str) -> bool:
    """Whether a file's name, below a table, is that of a part of some run.

    Examples
    --------
    >>> is_own("0123456789abcdef/split=train/part-00000.parquet"), is_own("split=train/part-00000.parquet")
    (True, False)
    """
    return _OWN.fullmatch(name.partition("/")[0]) is not None
