"""Frames with an index of times, which becomes a column."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from emberharmony.notebook.frames import is_pandas

TIME = "time"
"""Name of the column made of an index without a name."""


def has_time_index(table: Any) -> bool:
    """Whether a table is a pandas frame whose index holds times."""
    return is_pandas(table) and type(table.index).__name__ == "DatetimeIndex"


def with_named_index(table: Any, fitted: Collection[str] = ()) -> tuple[Any, str | None]:
    """Give an index of times a name that no column has.

    Parameters
    ----------
    table : frame or table
        The table; anything but a pandas frame with an index of times is returned as it is.
    fitted : collection of str
        Columns of a fitted state. If the index had one of these names when the state was fitted, it gets that name again.

    Returns
    -------
    tuple of frame or table, and str or None
        The frame, and the name of its index. The index keeps its own name if it can, and is called `TIME` if it has none.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2024-01-01", periods=2))
    >>> with_named_index(frame)[1], with_named_index(frame.rename_axis("day"))[1], with_named_index(frame.rename_axis("x"))[1]
    ('time', 'day', 'x_index')
    """
    if not has_time_index(table):
        return table, None
    columns = {str(name) for name in table.columns}
    own = TIME if table.index.name is None else str(table.index.name)
    free = [name for name in (own + "_index" * n for n in range(len(columns) + 1)) if name not in columns]
    name = next((name for name in free if name in fitted), free[0])
    return table.rename_axis(name), name
