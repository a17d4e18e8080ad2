"""Charts and sections as values: a Vega-Lite specification, its data in few bytes, and what it shows in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emberharmony.messages import printable
from emberharmony.page.markup import Html

Spec = dict[str, Any]
Data = dict[str, Any]

SEARCH: Spec = {"name": "search", "value": ""}
"""Parameter that the search of the page sets."""
SEARCHED: Spec = {"filter": "search == '' || indexof(lower(datum.feature), search) >= 0"}
"""Keeps the rows whose `feature` holds the text that is searched."""
PERCENT: Spec = {"format": ".0%", "tickCount": 5}


@dataclass(frozen=True)
class Chart:
    """A chart, drawn in the browser when it comes into view."""

    title: str
    spec: Spec
    data: Data
    text: str
    """What it shows, for those who cannot see it."""
    height: int = 240
    """Height that is kept for it, in pixels."""
    name: str = ""
    """A name from the data by which the search of the page finds it."""


@dataclass(frozen=True)
class Section:
    """A heading, a sentence on what is shown, and charts, tables and texts."""

    key: str
    title: str
    lead: str
    parts: Sequence[Html | Chart | Sequence[Chart]]
    """Charts in a sequence stand side by side."""


def columns(**values: ArrayLike | Sequence[str]) -> Data:
    """Return columns as the page holds them: numbers in four digits, and texts once each, with their places.

    Examples
    --------
    >>> columns(x=[1 / 3, 2.0], split=["train", "train"])
    {'fields': ['x', 'split'], 'columns': [[0.3333, 2], {'names': ['train'], 'codes': [0, 0]}]}
    """
    return {"fields": list(values), "columns": [_column(list(column)) for column in values.values()]}  # type: ignore[arg-type]


def grid(axes: Mapping[str, Sequence[Any]], field: str, values: ArrayLike, *, step: float) -> Data:
    """Return the cells of a grid: the axes once each, and the values as whole numbers of steps.

    Examples
    --------
    >>> grid({"feature": ["a"], "lag": [1, 0]}, "loading", [0.5, -0.126], step=0.01)
    {'axes': [['feature', ['a']], ['lag', [1, 0]]], 'field': 'loading', 'step': 0.01, 'values': [50, -13]}
    """
    whole = np.rint(np.asarray(values, np.float64).ravel() / step).astype(np.int64).tolist()
    shown = [
        [axis, [printable(place) if isinstance(place, str) else place for place in places]] for axis, places in axes.items()
    ]
    return {"axes": shown, "field": field, "step": step, "values": whole}


def binned(group: Mapping[str, ArrayLike], low: float, high: float) -> Data:
    """Return the shares of groups in bins of equal width, as a grid of rows ``group``, ``value``, ``value_end`` and ``share``.

    Examples
    --------
    >>> binned({"training": [0.25, 0.75]}, 0.0, 1.0)["axes"]
    [['group', ['training']], ['value', {'low': 0, 'high': 1, 'n': 2}]]
    """
    shares = np.asarray([*group.values()], np.float64)
    found = grid({"group": [*group]}, "share", shares, step=1e-4)
    found["axes"].append(["value", {"low": in_digits(low, 9), "high": in_digits(high, 9), "n": shares.shape[1]}])
    return found


def choice(name: str, label: str, options: Sequence[Any]) -> Spec:
    """Return a parameter that a list below the chart sets; the first option is chosen at first."""
    return {"name": name, "value": options[0], "bind": {"input": "select", "options": list(options), "name": f"{label} "}}


def in_digits(value: float, digits: int = 4) -> float | int | None:
    """Return a number in a few digits, as an integer if it is one; ``None`` for NaN.

    Examples
    --------
    >>> in_digits(1234567.0), in_digits(0.123456), in_digits(float("nan"))
    (1234567, 0.1235, None)
    """
    if not math.isfinite(value):
        return None
    if float(value).is_integer() and abs(value) < 2**53:
        return int(value)
    return float(f"{value:.{digits}g}")


def distinct_texts(numbers: Sequence[float]) -> list[str]:
    """Return different numbers in four digits, or in as many as tell them apart.

    Examples
    --------
    >>> distinct_texts([1.5, 12.345678]), distinct_texts([1000001.0, 1000002.0])
    (['1.5', '12.35'], ['1000001', '1000002'])
    """
    written = ([f"{number:.{digits}g}" for number in numbers] for digits in range(4, 18))
    return next((texts for texts in written if len({*texts}) == len(numbers)), [repr(number) for number in numbers])


def _column(values: list[Any]) -> Any:
    if values and isinstance(values[0], str):
        names = {value: code for code, value in enumerate(dict.fromkeys(values))}
        return {"names": [printable(value) for value in names], "codes": [names[value] for value in values]}
    return [in_digits(float(value)) for value in values]


def listed_shares(shares: Iterable[tuple[str, float]], *, most: int = 3) -> str:
    """Name the first shares in words.

    Examples
    --------
    >>> listed_shares([("speed", 0.997), ("engine", 0.1)])
    'speed 99.7%, engine 10.0%'
    """
    return ", ".join(f"{label} {share:.1%}" for label, share in list(shares)[:most])
