"""Frames whose index says when their rows are: it becomes a column."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from emberharmony.io.frames import is_pandas

TIME = "time"
"""Name of the column that an index of times without a name becomes."""


def has_time_index(table: Any) -> bool:
    """Whether a table is a pandas frame whose index holds times."""
    return is_pandas(table) and type(table.index).__name__ == "DatetimeIndex"


def with_named_index(table: Any, names: Collection[str] = ()) -> tuple[Any, str | None]:
    """Return a frame whose index of times has a name, and the name; other tables as they are, and ``None``.

    An index without a name takes the one of `names` that no column has, or `TIME`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2024-01-01", periods=2))
    >>> with_named_index(frame)[1], with_named_index(frame.rename_axis("day"))[1]
    ('time', 'day')
    """
    if not has_time_index(table):
        return table, None
    columns = {str(name) for name in table.columns}
    if table.index.name is not None:
        name = str(table.index.name)
        return table, None if name in columns else name
    name = next((name for name in names if name not in columns), TIME)
    while name in columns:
        name = f"{name}_index"
    return table.rename_axis(name), name
