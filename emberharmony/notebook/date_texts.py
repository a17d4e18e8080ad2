"""Texts parsed as times: all values of a column by the same format."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from emberharmony.messages import shown

if TYPE_CHECKING:
    import pandas as pd

ISO = "ISO8601"
_ISO_DATE = re.compile(r"\d{4}-\d{2}|\d{8}(?!\d)")
_YEAR = re.compile(r"\d{4}")
_OFFSET = re.compile(r"[T\s].*(?:Z|[+-]\d{2}:?\d{2})$", re.ASCII)
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y")
_CERTAIN = ("%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_MAX_TRIED = 200  # values that every format is tried on; the formats that fit are then tried on all values


class UnreadTimesError(ValueError):
    """A value is no time, or has several meanings; the message names it."""


def parsed(column: pd.Series) -> pd.Series:
    """Return a column of texts, or of `datetime` objects, as times; missing values become NaT.

    All texts are read by one format: ISO 8601, or the only one of a few common formats that fits all of them.

    Raises
    ------
    UnreadTimesError
        If no format fits all texts, or two formats fit and give different times.

    Examples
    --------
    >>> import pandas as pd
    >>> parsed(pd.Series(["02/03/2024", "13/02/2024"])).dt.month.tolist()
    [3, 2]
    >>> parsed(pd.Series(["02/03/2024", "04/05/2024"]))
    Traceback (most recent call last):
    emberharmony.notebook.date_texts.UnreadTimesError: '02/03/2024', which is 2024-03-02 by %d/%m/%Y and 2024-02-03 by %m/%d/%Y
    """
    import pandas as pd

    values = column.astype(object)
    known = values[values.notna()]
    if not len(known):
        return pd.to_datetime(values)
    distinct = known.drop_duplicates()
    wrong = next((value for value in distinct if not isinstance(value, (str, dt.date))), None)
    if wrong is not None:
        raise UnreadTimesError(f"{shown(wrong)}, which is no time")
    texts = [value for value in distinct if isinstance(value, str)]
    if not texts:
        try:
            return pd.to_datetime(values)
        except (ValueError, TypeError, OverflowError) as error:
            raise UnreadTimesError(f"times that do not go together ({error})") from error
    if len(texts) < len(distinct):
        raise UnreadTimesError(f"{shown(texts[0])}, a text among times")
    return _read(values, _format_of(distinct))


def _format_of(texts: pd.Series) -> str:
    """Return the format that reads every text."""
    tried = list(texts.iloc[:_MAX_TRIED])
    likely = {name: _n_read(tried, name) for name in _formats()}
    fitting = [name for name, n in likely.items() if n == len(tried) and _first_unread(texts, name) is None]
    if not fitting:
        nearest = max(likely, key=lambda name: likely[name])
        unread = _first_unread(texts, nearest)
        by = f" by {nearest}, as others are" if likely[nearest] else ""
        raise UnreadTimesError(f"{shown(unread)}, which is no time{by}")
    first = _read(texts, fitting[0])
    for other in fitting[1:]:
        again = _read(texts, other)
        differs = (first != again).to_numpy()
        if differs.any():
            place = int(differs.argmax())
            days = f"{first.iloc[place]:%Y-%m-%d} by {fitting[0]} and {again.iloc[place]:%Y-%m-%d} by {other}"
            raise UnreadTimesError(f"{shown(texts.iloc[place])}, which is {days}")
    return fitting[0]


def _formats() -> Iterator[str]:
    yield ISO
    for date, clock in product((*_DAY_FIRST, *_MONTH_FIRST, *_CERTAIN), _CLOCKS):
        yield date + clock


def _n_read(texts: list[str], name: str) -> int:
    import pandas as pd

    unread = _unread(pd.Series(texts, dtype=object), name)
    return len(texts) - int(unread.sum())


def _first_unread(texts: pd.Series, name: str) -> Any:
    unread = _unread(texts, name)
    return texts[unread].iloc[0] if unread.any() else None


def _unread(texts: pd.Series, name: str) -> pd.Series:
    """Return which texts a format does not read."""
    import pandas as pd

    if name != ISO:
        dated = texts.map(lambda text: _YEAR.search(text) is not None)  # pandas reads "now" and "today" with every format
        return pd.to_datetime(texts.where(dated, None), format=name, errors="coerce").isna()
    dates = texts.map(lambda text: _ISO_DATE.match(text) is not None)
    offsets = texts.map(lambda text: _OFFSET.search(text) is not None)
    read = pd.to_datetime(texts.where(dates, None), format=ISO, errors="coerce", utc=True)
    unread: pd.Series = read.isna() | (offsets != offsets.iloc[0])  # with and without an offset do not go together
    return unread


def _read(texts: pd.Series, name: str) -> pd.Series:
    """Return the texts as times, in UTC if their offsets differ."""
    import pandas as pd

    try:
        return pd.to_datetime(texts, format=name)
    except (ValueError, TypeError):
        return pd.to_datetime(texts, format=name, utc=True)
