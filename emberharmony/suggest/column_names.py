"""What the name of a column says about its role."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TIME: Final = frozenset(["time", "timestamp", "t", "ts", "datetime", "date", "day", "moment", "when", "hour"])
TARGET: Final = frozenset(["target", "label", "y", "outcome", "response", "churn", "churned", "default", "fraud"])
SERIES: Final = frozenset(
    [
        "sensor",
        "device",
        "machine",
        "station",
        "customer",
        "client",
        "user",
        "account",
        "patient",
        "store",
        "shop",
        "symbol",
        "ticker",
        "stock",
        "vehicle",
        "plane",
        "meter",
        "household",
        "series",
        "entity",
        "asset",
        "unit",
        "host",
        "server",
        "turbine",
        "site",
    ]
)
IDENTIFIER: Final = frozenset(["id", "key", "uuid", "guid", "hash", "number", "no", "nr", "index", "code", "row"])
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a column's name, in lower case.

    Examples
    --------
    >>> words_of("event_time"), words_of("customerId"), words_of("TS")
    (('event', 'time'), ('customer', 'id'), ('ts',))
    """
    return tuple(word.lower() for word in _WORD.findall(name))


def has_word(name: str, words: Iterable[str]) -> bool:
    """Whether one of the words is part of a column's name.

    Examples
    --------
    >>> has_word("event_time", TIME), has_word("timeout", TIME), has_word("sensor_id", SERIES)
    (True, False, True)
    """
    return not {*words}.isdisjoint(words_of(name))
