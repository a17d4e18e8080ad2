"""Arguments of the notebook's classes: whether they are what they have to be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from typing import Any

import numpy as np

from emberharmony.errors import PlanError
from emberharmony.messages import did_you_mean, shown


def whole_number(name: str, value: Any, *, least: int = 1) -> int:
    """Return an argument that is a whole number, of Python or NumPy.

    Examples
    --------
    >>> whole_number("chunk_size", np.int64(7))
    7
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, got {shown(value)}.") from None
    if number < least:
        raise ValueError(f"{name} is at least {least}, got {number}.")
    return number


def number_in(name: str, value: Any, low: float, high: float) -> float:
    """Return an argument that is a number in ``(low, high]``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} is a number, got {shown(value)}.")
    number = float(value)
    if not low < number <= high or math.isinf(number):
        bound = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} is more than {low:g}{bound}, and finite; got {number:g}.")
    return number


def name_or_none(name: str, value: Any) -> str | None:
    """Return an argument that is a column's name."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is the name of a column, got {shown(value)}.")
    if value == "":
        raise PlanError(f"{name} is an empty text; give the column a name, and that one here.")
    return value


def text(name: str, value: Any) -> str:
    """Return an argument that is a text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a text, got {shown(value)}.")
    return value


def names_of(name: str, value: Any) -> tuple[str, ...]:
    """Return an argument that is a sequence of columns' names.

    Examples
    --------
    >>> names_of("drop_columns", ["a", "b"])
    ('a', 'b')
    """
    if isinstance(value, str):
        raise TypeError(f"{name} is a sequence of columns, got the text {shown(value)}; write [{shown(value)}].")
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} is a sequence of columns, got {shown(value)}.")
    names = tuple(value)
    for column in names:
        name_or_none(f"each of {name}", column if column is not None else 0)
    return names


def check_columns(columns: Iterable[str], given: Mapping[str, Iterable[str | None]]) -> None:
    """Refuse arguments that name columns which are not there, or one column in two of them.

    Parameters
    ----------
    columns : iterable of str
        The table's columns.
    given : mapping of str to iterable of str
        Columns, by the argument that names them.

    Raises
    ------
    PlanError
        If there is one; the message names argument and column.
    """
    known, seen = list(columns), dict[str, str]()
    for argument, names in given.items():
        for name in names:
            if name is None:
                continue
            if name not in known:
                raise PlanError(f"{argument}: Column {shown(name)} is not in the table.{did_you_mean(name, known)}")
            if name in seen:
                where = f"twice in {argument}" if seen[name] == argument else f"both in {seen[name]} and in {argument}"
                raise PlanError(f"Column {shown(name)} is given {where}; a column has one role.")
            seen[name] = argument


def flag(name: str, value: Any) -> bool:
    """Return an argument that is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is True or False, got {shown(value)}.")
    return bool(value)
