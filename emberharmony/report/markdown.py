"""Tables in Markdown, for Prefect's pages and for files."""

from __future__ import annotations

from collections.abc import Iterable

from emberharmony.messages import printable


def table_row(cells: Iterable[str]) -> str:
    r"""Return a row of a table; what a cell holds cannot end it.

    Examples
    --------
    >>> print(table_row(["a|b", "c\nd", ""]))
    | a&#124;b | c d |  |
    """
    return f"| {' | '.join(printable(' '.join(cell.split())).replace('|', '&#124;') for cell in cells)} |"
