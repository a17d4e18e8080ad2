"""Checks of the arguments of the notebook's classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index
from typing import Any, get_args, get_type_hints

import numpy as np

from emberharmony.errors import PlanError
from emberharmony.messages import did_you_mean, shown
from emberharmony.splits import SplitSpec

SPLIT_METHODS: tuple[str, ...] = get_args(get_args(get_type_hints(SplitSpec)["method"])[0])
"""Methods of a split."""


def whole_number(name: str, value: Any, *, least: int = 1) -> int:
    """Return a whole number of Python or NumPy as an int.

    Raises
    ------
    TypeError, ValueError
        If the value is no whole number, or below `least`.

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
    """Return a finite number in ``(low, high]`` as a float.

    Raises
    ------
    TypeError, ValueError
        If the value is no number, or outside the bounds.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} is a number, got {shown(value)}.")
    number = float(value)
    if not low < number <= high or math.isinf(number):
        bound = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} is more than {low:g}{bound}, and finite; got {number:g}.")
    return number


def name_or_none(name: str, value: Any) -> str | None:
    """Return the name of a column, or None.

    Raises
    ------
    TypeError, PlanError
        If the value is no text, or an empty one.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is the name of a column, got {shown(value)}.")
    if value == "":
        raise PlanError(f"{name} is an empty text. Give the column a name, and use that name here.")
    return value


def text(name: str, value: Any) -> str:
    """Return a text; raise a TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a text, got {shown(value)}.")
    return value


def names_of(name: str, value: Any) -> tuple[str, ...]:
    """Return the names of columns as a tuple.

    Raises
    ------
    TypeError, PlanError
        If the value is a single text or no sequence, or one of the names is no name.

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


def entity_names(value: Any) -> tuple[str, ...]:
    """Return the columns that tell series apart as a tuple: none, one name, or several.

    Raises
    ------
    TypeError, PlanError
        If the value is no name and no sequence of names.

    Examples
    --------
    >>> entity_names("sensor"), entity_names(["site", "sensor"]), entity_names(None)
    (('sensor',), ('site', 'sensor'), ())
    """
    return names_of("entity", [value] if isinstance(value, str) else () if value is None else value)


def check_columns(columns: Iterable[str], given: Mapping[str, Iterable[str | None]]) -> None:
    """Check that the named columns are in the table, and that no column is named twice.

    Parameters
    ----------
    columns : iterable of str
        Columns of the table.
    given : mapping of str to iterable of str
        Names of columns by argument.

    Raises
    ------
    PlanError
        If a column is missing or named twice; the message names the argument and the column.
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
    """Return a bool; raise a TypeError for anything else."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is True or False, got {shown(value)}.")
    return bool(value)


def split_spec(fractions: Any, method: Any, entity: tuple[str, ...] = ()) -> SplitSpec:
    """Return the split with these fractions and this method, for a table with these columns of entities.

    Raises
    ------
    TypeError, ValueError
        If there are not three fractions that add up to 1, or the method is unknown.
    PlanError
        If the method does not suit the entities.

    Examples
    --------
    >>> split_spec([0.5, 0.25, 0.25], "random").fractions
    (0.5, 0.25, 0.25)
    """
    if method is not None and method not in SPLIT_METHODS:
        raise ValueError(f"split_method is one of {', '.join(SPLIT_METHODS)}, got {shown(method)}.")
    if method == "hash" and not entity:
        raise PlanError("split_method 'hash' divides whole entities: name their columns in `entity`.")
    if method == "sequential" and entity:
        raise PlanError(
            "split_method 'sequential' follows the order of all rows, and with `entity` they come series by series. Use "
            "'temporal' (all series at the same times) or 'hash' (whole series)."
        )
    if isinstance(fractions, str) or not isinstance(fractions, Iterable):
        raise TypeError(f"fractions are three numbers, got {shown(fractions)}.")
    shares = [0.0 if share == 0 else number_in("each of fractions", share, 0, 1) for share in fractions]
    if len(shares) != 3:
        raise ValueError(f"fractions are those of train, validation and test, got {len(shares)} of them.")
    train, validation, test = shares
    return SplitSpec(method=method, fractions=(train, validation, test))


def strides_of(value: Any) -> tuple[int, ...]:
    """Return strides as a tuple of ints.

    Raises
    ------
    TypeError, ValueError
        If the value is no sequence of whole numbers, or empty.

    Examples
    --------
    >>> strides_of(np.array([1, 3]))
    (1, 3)
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"stride_perspectives is a sequence of whole numbers, got {shown(value)}.")
    strides = tuple(whole_number("each of stride_perspectives", stride, least=0) for stride in value)
    if not strides:
        raise ValueError("stride_perspectives is empty. Give at least one stride, such as (1, 3, 5).")
    return strides
