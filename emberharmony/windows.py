"""The windows of a series, planned with integers alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from emberharmony.settings import Duration, Section


@dataclass(frozen=True)
class WindowSpec(Section):
    """Temporal windows of `size` rows, one every `stride` rows, for each of several strides.

    Without strides there are no windows.

    Raises
    ------
    ValueError
        If size or a stride is below 1, or a stride is given twice.
    """

    size: int = 5
    """Rows of a window."""
    strides: tuple[int, ...] = (1, 3, 5)
    """Rows between the starts of two windows; each stride gives windows and a PCA of its own."""
    max_gap: Duration | None = None
    """Rows further apart in time than this begin another series: `2h`, `90m`, `PT2H`, or seconds. By default no gap does."""
    lookback: Duration | None = None
    """How far before a slice a job that applies a state reads rows, such as `2h`, so that windows that end in the slice are
    complete. By default not at all: a slice's first windows begin in it."""
    horizon: int = 0
    """Rows from a window's last one to the row whose target is the window's label, in the same series: 0 for its own last row.
    A window without such a row is left out."""

    def __post_init__(self) -> None:
        """Check size, strides, gap and lookback."""
        if self.max_gap is not None and self.max_gap <= timedelta(0):
            raise ValueError(f"max_gap is a length of time above zero, got {self.max_gap}.")
        if self.lookback is not None and self.lookback <= timedelta(0):
            raise ValueError(f"lookback is a length of time above zero, got {self.lookback}.")
        if self.size < 1:
            raise ValueError(f"A window has at least 1 row, got size {self.size}.")
        if min(self.strides, default=1) < 1:
            raise ValueError(
                f"Strides are whole numbers from 1 up, or an empty list for no windows; got {list(self.strides)}."
            )
        if len(set(self.strides)) < len(self.strides):
            raise ValueError(f"Each stride is given once, got {list(self.strides)}.")
        if self.horizon < 0:
            raise ValueError(f"horizon is a number of rows from 0 up, got {self.horizon}.")

    @property
    def reach(self) -> int:
        """Rows from a window's first one to the row of its label."""
        return self.size + self.horizon

    @property
    def halo(self) -> int:
        """Rows after its own that a chunk needs to complete its windows."""
        return self.reach - 1 if self.strides else 0

    def state_bytes(self, n_features: int) -> int:
        """Return the bytes of the Gram matrices of a segment's windows, one for each stride.

        Examples
        --------
        >>> WindowSpec(size=5, strides=(1, 3)).state_bytes(10)
        48400
        """
        return len(self.strides) * gram_bytes(self.size, n_features)


def gram_bytes(size: int, n_features: int) -> int:
    """Return the bytes of a Gram matrix of windows of `size` rows, in float64: a row has a one beside its features."""
    return 8 * (size * (n_features + 1)) ** 2


def window_starts(size: int, stride: int, *, start: int, stop: int, n_rows: int) -> range:
    """Return the first rows of the windows that begin in rows ``[start, stop)`` of a series of `n_rows`.

    Examples
    --------
    >>> list(window_starts(5, 3, start=4, stop=10, n_rows=12))
    [6]
    """
    first = -(-start // stride) * stride  # round up: strides count from row 0 of the series
    last = min(stop, n_rows - size + 1)
    return range(first, max(first, last), stride)


def n_windows(size: int, stride: int, n_rows: int) -> int:
    """Return the number of windows in a series of `n_rows`."""
    return len(window_starts(size, stride, start=0, stop=n_rows, n_rows=n_rows))
