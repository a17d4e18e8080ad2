"""Partitions of a table by a time column, in ticks of that column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from emberharmony.arrow import TICKS_PER_DAY
from emberharmony.typing import IntArray

Granularity = Literal["HOUR", "DAY", "MONTH", "YEAR"]

_UNITS: Final = {"HOUR": "h", "DAY": "D", "MONTH": "M", "YEAR": "Y"}


@dataclass(frozen=True)
class TimePartitions:
    """Partitions of an hour, a day, a month or a year each, in UTC."""

    granularity: Granularity
    unit: Literal["s", "us"] = "us"  # of a tick

    @property
    def grid(self) -> int:
        """Smallest ticks between possible beginnings of partitions: an hour, or a day, at which months and years begin too."""
        day = TICKS_PER_DAY[self.unit]
        return day // 24 if self.granularity == "HOUR" else day

    def starts(self, ticks: IntArray, /) -> IntArray:
        """Return the first tick of the partition that holds each of `ticks`.

        Examples
        --------
        >>> TimePartitions("MONTH", unit="s").starts(np.array([0, 31 * 86_400 - 1, 31 * 86_400])).tolist()
        [0, 0, 2678400]
        """
        moments = ticks.astype(f"M8[{self.unit}]").astype(f"M8[{_UNITS[self.granularity]}]")
        return moments.astype(f"M8[{self.unit}]").astype(np.int64)
