"""Arguments of the notebook's classes: whether they are what they have to be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from operator import index
from typing import Any

import numpy as np

from emberharmony.messages import shown


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


def flag(name: str, value: Any) -> bool:
    """Return an argument that is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is True or False, got {shown(value)}.")
    return bool(value)
