"""Format names and values for messages: a limited number, shortened, and safe to print."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
import reprlib
from collections.abc import Iterable, Sequence

MAX_NAMES = 10
"""Number of names that a message lists at most."""
MAX_VALUE_CHARS = 120
"""Number of characters of a value that a message shows at most."""
_MAX_COMPARED_CHARS = 100  # prefix compared to find the nearest name: the cost grows with the square of the length

_PLAIN_YAML = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_NOT_TEXT_IN_YAML = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = MAX_VALUE_CHARS
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 6
_REPR.maxlevel = 3


def check_distinct(names: Sequence[str] | None, *, key: str) -> None:
    """Raise a ValueError if a list of names is empty or contains an empty name or a duplicate; ``None`` means no list.

    Examples
    --------
    >>> check_distinct(("a", "b", "a"), key="columns")
    Traceback (most recent call last):
    ValueError: `columns` names 'a' twice.
    """
    if names is None:
        return
    if not names:
        raise ValueError(f"`{key}` is empty: name a column, or omit the key.")
    seen = set[str]()
    for name in names:
        if not name:
            raise ValueError(f"`{key}` contains an empty column name.")
        if name in seen:
            raise ValueError(f"`{key}` names {shown(name)} twice.")
        seen.add(name)


def listed(names: Iterable[str], *, most: int = MAX_NAMES, of: str = "", by: str = ", ") -> str:
    """Join names with `by`, at most `most` of them, followed by the number of names left out.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b, c'
    >>> listed(map(str, range(5_000)), most=3, of="columns")
    '0, 1, 2 and 4,997 more columns'
    """
    names = list(names)
    more = f" and {len(names) - most:,} more" + (f" {of}" if of else "") if len(names) > most else ""
    return by.join(printable(shortened(name)) for name in names[:most]) + more


def shown(value: object) -> str:
    """The repr of a value, shortened if it is long; dates and times in ISO format.

    Examples
    --------
    >>> shown("yes"), shown(dt.date(2026, 1, 31)), len(shown("x" * 1_000_000))
    ("'yes'", '2026-01-31', 120)
    """
    if isinstance(value, dt.date):
        return str(value)
    try:
        return shortened(_REPR.repr(value))
    except ValueError:  # an integer with more digits than Python converts to text
        return f"a {type(value).__name__} with too many digits"


def shortened(text: str, most: int = MAX_VALUE_CHARS) -> str:
    """The text, with its middle left out if it is longer than `most` characters.

    Examples
    --------
    >>> shortened("abcdefghij", 7)
    'ab...ij'
    """
    if len(text) <= most:
        return text
    kept = (most - 3) // 2
    return f"{text[:kept]}...{text[-kept:]}"


def count_of(n: int, noun: str) -> str:
    """A number of things for people.

    Examples
    --------
    >>> count_of(1, "chunk"), count_of(20_000, "chunk"), count_of(0, "chunk")
    ('1 chunk', '20,000 chunks', '0 chunks')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def rows_without(what: str, column: str, n: int, *, order: str = "the order") -> str:
    """How many rows have no time or key in a column, as a sentence.

    Examples
    --------
    >>> rows_without("time", "t", 1)
    "1 row has no time in 't', so it has no place in the order."
    >>> rows_without("time", "t", 2_000)
    "2,000 rows have no time in 't', so they have no place in the order."
    """
    have, they = ("has", "it") if n == 1 else ("have", "they")
    return f"{count_of(n, 'row')} {have} no {what} in {shown(column)}, so {they} {have} no place in {order}."


def size_text(n_bytes: float) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> size_text(3 * 2**30), size_text(47_000_000), size_text(2_000), size_text(12)
    ('3.00 GiB', '45 MiB', '2 KiB', '12 bytes')
    """
    for unit, n_bytes_of, digits in (("GiB", 2**30, 2), ("MiB", 2**20, 0), ("KiB", 2**10, 0)):
        if n_bytes >= n_bytes_of:
            return f"{n_bytes / n_bytes_of:,.{digits}f} {unit}"
    return f"{n_bytes:,.0f} bytes"


def usd_text(usd: float) -> str:
    """A price in US dollars for people, as an estimate.

    Examples
    --------
    >>> usd_text(6.248), usd_text(1_250), usd_text(0.002)
    ('about $6.25', 'about $1,250.00', 'less than $0.01')
    """
    return f"about ${usd:,.2f}" if usd >= 0.01 else "less than $0.01"


def duration_text(seconds: float) -> str:
    """A length of time for people.

    Examples
    --------
    >>> duration_text(0.42), duration_text(8.6), duration_text(95), duration_text(7_000), duration_text(500_000)
    ('0.4 s', '9 s', '1 min 35 s', '1 h 56 min', '5 d 18 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 5 else f"{seconds:.0f} s"
    whole = round(seconds)
    for unit, of, smaller, of_smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= of:
            return f"{whole // of:,} {unit} {whole % of // of_smaller} {smaller}"
    return f"{whole} s"


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most similar to `name`, or ``None`` if none is similar.

    Examples
    --------
    >>> nearest("colour", ["size", "color"]), nearest("colour", ["size"])
    ('color', None)
    """
    names = {known_name[:_MAX_COMPARED_CHARS]: known_name for known_name in known}
    near = difflib.get_close_matches(name[:_MAX_COMPARED_CHARS], names, n=1, cutoff=cutoff)
    return names[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence to append to "There is no such name": suggests the nearest known name, or lists the known names.

    Examples
    --------
    >>> did_you_mean("colour", ["color", "size"]), did_you_mean("x", ["color", "size"])
    (" Did you mean 'color'?", ' It has: color, size.')
    """
    known = list(known)
    if not known:
        return " It has none."
    near = nearest(name, known)
    return f" Did you mean {shown(near)}?" if near is not None else f" It has: {listed(known)}."


def printable(text: str, *, keep: str = "") -> str:
    r"""A text that is safe for a terminal: control and other invisible characters are escaped.

    Examples
    --------
    >>> print(printable("a\x1b[2Jb\tc\u202e"))
    a\x1b[2Jb\tc\u202e
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def yaml_text(text: str) -> str:
    r"""A text as YAML reads it: in quotes, unless it is plain.

    Examples
    --------
    >>> print(yaml_text("tailnum"), yaml_text("no"), yaml_text("data/flights.parquet"), yaml_text("a: b"), yaml_text("\x7f"))
    tailnum "no" data/flights.parquet "a: b" "\u007f"
    """
    if _PLAIN_YAML.fullmatch(text) and text.lower() not in _NOT_TEXT_IN_YAML:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" if ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in quoted)
