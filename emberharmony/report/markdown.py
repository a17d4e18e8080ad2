"""Markdown tables, for Prefect artifacts and files."""

from __future__ import annotations

from collections.abc import Iterable

from emberharmony.messages import printable


def table_row(cells: Iterable[str]) -> str:
    r"""Return a table row; line breaks and pipes within a cell are replaced.

    Examples
    --------
    >>> print(table_row(["a|b", "c\nd", ""]))
    | a&#124;b | c d |  |
    """
    return f"| {' | '.join(printable(' '.join(cell.split())).replace('|', '&#124;') for cell in cells)} |"
