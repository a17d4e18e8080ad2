"""Values of a query's parameters, and their types in BigQuery."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from emberharmony.errors import PlanError

_PLAIN: Final[Mapping[type, str]] = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING"}
_TYPES: Final = (*_PLAIN.values(), "NUMERIC", "BIGNUMERIC", "DATE", "DATETIME", "TIMESTAMP", "TIME")


@dataclass(frozen=True)
class TypedValue:
    """A value with its type: JSON, by which it travels to other processes, would make a text of a date."""

    type: str  # in BigQuery
    value: bool | int | float | str  # times and decimals as a text


Value = bool | int | float | str | TypedValue


def typed(value: Value, /) -> TypedValue:
    """Return a value with the type that it has in BigQuery.

    Examples
    --------
    >>> typed(True), typed("2026-01-01")
    (TypedValue(type='BOOL', value=True), TypedValue(type='STRING', value='2026-01-01'))
    """
    return value if isinstance(value, TypedValue) else TypedValue(_PLAIN[type(value)], value)


def checked_parameters(given: Mapping[str, object], /) -> dict[str, Value]:
    """Return parameters as they were given in YAML or JSON, each as a value of BigQuery.

    Raises
    ------
    PlanError
        If one is no value of BigQuery; the message names it.

    Examples
    --------
    >>> checked_parameters({"n": 1, "day": dt.date(2026, 1, 1)})
    {'n': 1, 'day': TypedValue(type='DATE', value='2026-01-01')}
    """
    return {name: _checked(name, value) for name, value in given.items()}


def _checked(name: str, value: Any) -> Value:
    if isinstance(value, Mapping) and value.keys() == {"type", "value"}:
        value = TypedValue(**value)
    if isinstance(value, dt.datetime):
        return TypedValue("TIMESTAMP" if value.tzinfo else "DATETIME", value.isoformat(" "))
    if isinstance(value, dt.date):
        return TypedValue("DATE", value.isoformat())
    if isinstance(value, TypedValue) and value.type in _TYPES and type(value.value) in _PLAIN:
        return value
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise PlanError(f"`parameters.{name}` is {value}, beyond INT64: write {{type: BIGNUMERIC, value: '{value}'}}.")
    if type(value) in _PLAIN:
        plain: Value = value
        return plain
    raise PlanError(
        f"`parameters.{name}` is {value!r}: it takes a number, a text, true or false, a date, a time, or a value with its "
        f"type, such as {{type: NUMERIC, value: '0.1'}} (types: {', '.join(_TYPES)})."
    )
