"""Where the partitions of a table begin, in ticks of the time column that it is partitioned by."""

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
    """Partitions of an hour, day, month or year (UTC) each."""

    granularity: Granularity
    unit: Literal["s", "us"] = "us"  # of a tick

    @property
    def grid(self) -> int:
        """Ticks between two moments at which a partition may begin: an hour or a day; months begin at days, too."""
        day = TICKS_PER_DAY[self.unit]
        return day // 24 if self.granularity == "HOUR" else day

    def starts(self, ticks: IntArray, /) -> IntArray:
        """First tick of the partition that holds each of `ticks`.

        Examples
        --------
        >>> TimePartitions("MONTH", unit="s").starts(np.array([0, 31 * 86_400 - 1, 31 * 86_400])).tolist()
        [0, 0, 2678400]
        """
        moments = ticks.astype(f"M8[{self.unit}]").astype(f"M8[{_UNITS[self.granularity]}]")
        return moments.astype(f"M8[{self.unit}]").astype(np.int64)
