"""Sections of a job: frozen dataclasses that describe their keys in docstrings below them."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\s*")


class Section:
    """Base of the dataclasses that are sections of a job. Unknown keys are refused, and docstrings of keys describe them.

    The docstrings become part of the JSON schema, from which the reference of all settings and Prefect's forms are made. They
    are read from the source only for that: pydantic's own ``use_attribute_docstrings`` reads them whenever it builds a model,
    which takes 0.15 s at the start of every job.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from pydantic import TypeAdapter
    >>> from emberharmony.pca import PCASpec
    >>> TypeAdapter(PCASpec).json_schema()["properties"]["components"]["description"][:19]
    'Components to keep;'
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Add the docstrings of the keys to the schema that pydantic makes."""
        schema: dict[str, Any] = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in [item for base in reversed(cls.__mro__[:-1]) for item in key_docstrings(base).items()]:
            if name in properties:  # class variables are no keys
                properties[name].setdefault("description", text)
        return schema


def key_docstrings(section: type) -> dict[str, str]:
    """Return the docstring below each annotated name in the body of a class; none if Python has no source of the class."""
    return _docstrings_in(section.__module__).get(section.__qualname__, {})


@cache
def _docstrings_in(module: str) -> dict[str, dict[str, str]]:
    """Docstrings of keys in a module, by the qualified name of their class.

    `inspect.getsource` of a class parses its whole module, and each flow asks twice for all classes of a job: a second of CPU
    time.
    """
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    return {name: _docstrings_of(body) for name, body in _classes_in(tree, "")}


def _classes_in(node: ast.AST, place: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Classes in a syntax tree, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        inner = place
        if isinstance(child, ast.ClassDef):
            inner = f"{place}{child.name}."
            yield place + child.name, child
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{place}{child.name}.<locals>."
        yield from _classes_in(child, inner)


def _docstrings_of(tree: ast.ClassDef) -> dict[str, str]:
    return {
        key.target.id: inspect.cleandoc(text.value.value)
        for key, text in pairwise(tree.body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


_WRITTEN = re.compile(r"(-)?P(?=.)(?:(\d+)Y)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")


class _WrittenWithUnits:
    """Has pydantic read a duration that is written as `2h`, too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # late: a library user who only computes does not need it

        return core_schema.no_info_before_validator_function(length_of_time, handler(source))


Duration = Annotated[timedelta, _WrittenWithUnits()]
"""A length of time in a section of a job: `30s`, `90m`, `2h`, `1d 12h`, `1w`, ISO 8601 (`PT2H`), or a number of seconds."""


def written_duration(text: str) -> timedelta:
    """Return a duration that pydantic has written into JSON, as ISO 8601 with years of 365 days; without importing pydantic.

    Raises
    ------
    ValueError
        If it is not such a text.

    Examples
    --------
    >>> written_duration("P1DT6H5M") == timedelta(days=1, hours=6, minutes=5)
    True
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration in ISO 8601.")
    years, days, hours, minutes, seconds = (float(number or 0) for number in found.groups()[1:])
    length = timedelta(days=365 * years + days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] else length


def length_of_time(value: Any) -> Any:
    """Return the duration of a text such as `1d 12h`; anything else as it is, for pydantic to read or to refuse.

    Examples
    --------
    >>> length_of_time("90m") == length_of_time("1h30m") == length_of_time("1.5 h") == timedelta(minutes=90)
    True
    >>> length_of_time("PT90M"), length_of_time("5 hours")
    ('PT90M', '5 hours')
    """
    if not isinstance(value, str) or not re.fullmatch(f"(?:{_LENGTH.pattern})+", value.strip()):
        return value
    with suppress(OverflowError):
        return sum((timedelta(**{_UNITS[unit]: float(n)}) for n, unit in _LENGTH.findall(value)), timedelta(0))
    return value
