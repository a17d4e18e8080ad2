"""HTML, built so that text cannot become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape, unescape

from emberharmony.messages import printable

_VOID = {"br", "hr", "input", "meta"}


class Html(str):
    """A text that is HTML already; every other text is escaped where it is put into an element."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Html:
    """Return an element; an underscore after an attribute's name is left out, others become hyphens.

    Examples
    --------
    >>> element("p", "a < b", element("br"), class_="note", data_name='"x"')
    '<p class="note" data-name="&quot;x&quot;">a &lt; b<br></p>'
    """
    written = "".join(f' {name.rstrip("_").replace("_", "-")}="{_text(value)}"' for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[str]) -> Html:
    """Return HTML and texts one after the other, with the texts escaped."""
    return Html("".join(child if isinstance(child, Html) else _text(child) for child in children))


def name(text: str) -> Html:
    """Return a name from the data: its direction of writing is its own, and does not turn around what follows.

    Examples
    --------
    >>> name("</script>")
    '<bdi>&lt;/script&gt;</bdi>'
    """
    return element("bdi", text)


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = (), searched: bool = False
) -> Html:
    """Return a table.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns; without any, the table has no head.
    rows : iterable of sequence of str
        Cells; the first of a row is its name.
    numbers : sequence of int
        Columns of numbers, which are aligned to the right.
    searched : bool
        Whether the search of the page hides rows by their first cell.
    """

    def cells(tag: str, row: Sequence[str]) -> list[Html]:
        return [element(tag, cell, **({"class_": "n"} if i in numbers else {})) for i, cell in enumerate(row)]

    def line(row: Sequence[str]) -> Html:
        first = element("th", row[0], scope="row")
        return element("tr", first, *cells("td", ["", *row[1:]])[1:], **({"data_name": plain(row[0])} if searched else {}))

    head = [element("thead", element("tr", *cells("th", header)))] if header else []
    return element("div", element("table", *head, element("tbody", *map(line, rows))), class_="scroll", tabindex="0")


def plain(text: str) -> str:
    """Return the text of `name`, or any other text, as the search of the page compares it.

    Examples
    --------
    >>> plain(name("Dep_Delay <b>"))
    'dep_delay <b>'
    """
    return (unescape(text.removeprefix("<bdi>").removesuffix("</bdi>")) if isinstance(text, Html) else text).lower()


def _text(text: str) -> str:
    return escape(printable(text))
