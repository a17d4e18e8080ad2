"""The series of a sequence of rows: how many, how long, and whether they go on in the rows that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Self

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
    inner: tuple[int, ...] = ()
    """Of those that neither begin nor end the span: how many have from ``2**i`` to ``2**(i + 1) - 1`` rows."""

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
            _by_length(lengths[1:-1]),
        )

    def merge(self, other: Self, *, continues: bool) -> Self:
        """Return the span of these rows followed by the others, whose first row may continue the last series of these."""
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        joined = self.last_rows + other.first_rows
        if continues:
            ended = [joined] if self.n_series > 1 and other.n_series > 1 else []
        else:
            ended = [self.last_rows] * (self.n_series > 1) + [other.first_rows] * (other.n_series > 1)
        return type(self)(
            self.n_rows + other.n_rows,
            self.n_series + other.n_series - continues,
            self.n_short + other.n_short + sum(rows < self.size for rows in ended),
            max(self.longest, other.longest, joined if continues else 0),
            joined if continues and self.n_series == 1 else self.first_rows,
            joined if continues and other.n_series == 1 else other.last_rows,
            self.size,
            self.first,
            other.last,
            _added(_added(self.inner, other.inner), _by_length(np.array(ended, np.int64))),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any], /) -> Self:
        """Return the span that `dataclasses.asdict` made, from JSON."""
        return cls(**{**data, "inner": tuple(data.get("inner", ()))})

    @property
    def by_length(self) -> tuple[int, ...]:
        """How many series have from ``2**i`` to ``2**(i + 1) - 1`` rows, all of them counted; the span has to be whole.

        Examples
        --------
        >>> SeriesSpan.of(6, np.array([3]), size=3, first=(1, 10), last=(2, 40)).by_length
        (0, 2)
        """
        return _added(self.inner, _by_length(np.array(self._ends, np.int64)))

    @property
    def n_shorter_than_window(self) -> int:
        """Series with fewer rows than a window, all of them counted; the span has to be whole."""
        return self.n_short + sum(rows < self.size for rows in self._ends)

    @property
    def _ends(self) -> list[int]:
        """Rows of the series that begins the span and of the one that ends it."""
        return [self.first_rows, self.last_rows][: self.n_series]


def _by_length(lengths: IntArray) -> tuple[int, ...]:
    """Count lengths by powers of two."""
    exponents = np.frexp(lengths.astype(np.float64))[1] - 1
    return tuple(np.bincount(exponents).tolist())


def _added(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip_longest(first, second, fillvalue=0)))
