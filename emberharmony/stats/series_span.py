"""The series of a sequence of rows: how many, how long, and whether they go on in the rows that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberharmony.typing import IntArray


@dataclass(frozen=True)
class SeriesSpan:
    """The series of some rows, in order. Spans of adjoining rows can be merged.

    Examples
    --------
    >>> first = SeriesSpan.of(5, np.array([3]), size=3, first=(1, 10), last=(2, 40))
    >>> second = SeriesSpan.of(4, np.array([1]), size=3, first=(2, 50), last=(3, 20))
    >>> both = first.merge(second, continues=True)
    >>> both.n_series, both.n_short, both.longest
    (3, 0, 3)
    """

    n_rows: int = 0
    n_series: int = 0
    n_short: int = 0
    """Series with fewer rows than a window, of those that neither begin nor end the span."""
    longest: int = 0
    first_rows: int = 0
    """Rows of the first series that are in the span."""
    last_rows: int = 0
    size: int = 1
    """Rows of a window."""
    first: tuple[int, int] = (0, 0)
    """Key of the entity and time of the first row."""
    last: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, n_rows: int, borders: IntArray, *, size: int, first: tuple[int, int], last: tuple[int, int]) -> Self:
        """Return the span of `n_rows` rows, of which those at `borders` begin another series."""
        if not n_rows:
            return cls(size=size)
        lengths = np.diff(np.concatenate([[0], borders, [n_rows]]))
        return cls(
            n_rows,
            len(lengths),
            int((lengths[1:-1] < size).sum()),
            int(lengths.max()),
            int(lengths[0]),
            int(lengths[-1]),
            size,
            first,
            last,
        )

    def merge(self, other: Self, *, continues: bool) -> Self:
        """Return the span of these rows followed by the others, whose first row may continue the last series of these."""
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        joined = self.last_rows + other.first_rows
        inner = 0
        if continues:
            inner += self.n_series > 1 and other.n_series > 1 and joined < self.size
        else:
            inner += self.n_series > 1 and self.last_rows < self.size
            inner += other.n_series > 1 and other.first_rows < self.size
        return type(self)(
            self.n_rows + other.n_rows,
            self.n_series + other.n_series - continues,
            self.n_short + other.n_short + inner,
            max(self.longest, other.longest, joined if continues else 0),
            joined if continues and self.n_series == 1 else self.first_rows,
            joined if continues and other.n_series == 1 else other.last_rows,
            self.size,
            self.first,
            other.last,
        )

    @property
    def n_shorter_than_window(self) -> int:
        """Series with fewer rows than a window, all of them counted; the span has to be whole."""
        ends = [self.first_rows] if self.n_series == 1 else [self.first_rows, self.last_rows]
        return self.n_short + sum(rows < self.size for rows in ends if self.n_series)
