"""Which windows a series has, and which rows they hold: integers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class WindowSpec:
    """Temporal windows: `size` rows each, a new one every `stride` rows, for each of several strides.

    Without strides there are no windows.

    Raises
    ------
    ValueError
        If size or a stride is below 1, or a stride is given twice.
    """

    size: int = 5
    """Rows of a window."""
    strides: tuple[int, ...] = (1, 3, 5)
    """Rows from the start of one window to that of the next; each stride gives windows and a PCA of its own."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "use_attribute_docstrings": True}

    def __post_init__(self) -> None:
        """Refuse what has no windows."""
        if self.size < 1:
            raise ValueError(f"A window has at least 1 row, got size {self.size}.")
        if min(self.strides, default=1) < 1:
            raise ValueError(f"Strides are whole numbers from 1 up (none of them: no windows); got {list(self.strides)}.")
        if len(set(self.strides)) < len(self.strides):
            raise ValueError(f"Every stride is given once, got {list(self.strides)}.")

    @property
    def halo(self) -> int:
        """Rows past its own that a chunk needs to complete its windows."""
        return self.size - 1 if self.strides else 0


def window_starts(size: int, stride: int, *, start: int, stop: int, n_rows: int) -> range:
    """First rows, in the whole series of `n_rows`, of the windows owned by rows ``[start, stop)``.

    Examples
    --------
    >>> list(window_starts(5, 3, start=4, stop=10, n_rows=12))
    [6]
    """
    first = -(-start // stride) * stride  # round up: strides count from row 0 of the series
    last = min(stop, n_rows - size + 1)
    return range(first, max(first, last), stride)


def n_windows(size: int, stride: int, n_rows: int) -> int:
    """Number of windows in a series of `n_rows`."""
    return len(window_starts(size, stride, start=0, stop=n_rows, n_rows=n_rows))
