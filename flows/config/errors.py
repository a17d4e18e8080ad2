"""Messages for errors in a job file: the key, the values that it accepts, and the most similar name."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from emberharmony.messages import listed, nearest, shortened, shown

MAX_LINES = 5
"""Number of errors that a message explains; the others are shown once these are fixed."""
_MAX_LINE_CHARS = 350
_MAX_WHERE_CHARS = 200

_TEXT_OR_LIST = "text_or_list"
"""Type of the error of a value that is neither; the others are pydantic's."""
_NUMBERS = ("int_type", "float_type")
_NUMBER = re.compile(r"\s*[-+]?[0-9][0-9_.]*\s*")
_TAKES = {
    "int_type": "it takes an integer",
    "float_type": "it takes a number",
    "finite_number": "it takes a finite number",
    "bool_type": "it takes true or false",
    "bool_parsing": "it takes true or false",
    "string_type": "it takes a string",
    "tuple_type": "it takes a list, such as [a, b]",
    "dict_type": "it takes names, each with a value, such as {a: 1}",
    "mapping_type": "it takes names, each with a value, such as {a: 1}",
    _TEXT_OR_LIST: "it takes a string, or a list such as [a, b]",
    "time_delta_parsing": "it takes a length of time, such as 30s, 90m, 2h, 1d, PT2H, or a number of seconds",
    "time_delta_type": "it takes a length of time, such as 30s, 90m, 2h, 1d, PT2H, or a number of seconds",
    "path_type": "it takes a path",
}
_EXAMPLES = {
    "source": "where the table is, such as `source: {type: parquet, path: data/flights.parquet}`.",
    "sink": "where the result goes, such as `sink: {type: parquet, path: data/features}`.",
    "state": "where a job was published, such as `state: data/flights-features`.",
    "path": "a file or folder.",
}
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def explain(error: ValidationError, data: Mapping[str, Any], model: type[BaseModel], where: str) -> str:
    """Return the message for an invalid job: at most `MAX_LINES` of its errors, each in a line.

    Parameters
    ----------
    error : ValidationError
        What pydantic says.
    data : mapping
        The job, as it was read.
    model : type
        What it should have been.
    where : str
        Where it was read.
    """
    details = _without_options(error.errors(), data)
    lines = dict.fromkeys(shortened(_explain(detail, data, model), _MAX_LINE_CHARS) for detail in details[:MAX_LINES])
    more = [f"and {len(details) - MAX_LINES:,} more errors"] if len(details) > MAX_LINES else []
    return f"{shortened(where, _MAX_WHERE_CHARS)}: " + "\n".join([*lines, *more])


def _explain(detail: Any, data: Mapping[str, Any], model: type[BaseModel]) -> str:
    location = _location(detail, data)
    key, kind, given = ".".join(map(shortened, location)), detail["type"], detail["input"]
    if kind in _UNKNOWN:
        return f"{key} is not a known key.{_unknown(location, data, model)}"
    if kind == "missing" and isinstance(detail["loc"][-1], int):
        return f"{'.'.join(location[:-1])} is {shown(given)}: it takes more than {location[-1]} values."
    if kind in ("missing", "missing_argument"):
        return f"{key} is missing: {_EXAMPLES.get(location[-1], 'it has no default.')}"
    if kind == "value_error":
        return f"{key}: {detail['ctx']['error']}"
    if kind == "union_tag_invalid":
        tag, kinds = detail["ctx"]["tag"], [name.strip("'") for name in detail["ctx"]["expected_tags"].split(", ")]
        return f"{key}.type is {shown(tag)}; allowed: {' or '.join(map(repr, kinds))}.{_nearest(tag, kinds)}"
    if kind == "literal_error":
        allowed = detail["ctx"]["expected"]
        choices = [choice.strip("' ") for choice in allowed.replace(" or ", ",").split(",")]
        return f"{key} is {shown(given)}; allowed: {allowed}.{_nearest(str(given), choices)}"
    if kind in ("dataclass_type", "model_type", "model_attributes_type") and "connection" not in location:
        hint = " For none, set `windows.strides: []`." if key == "windows" else ""
        return f"{key} is {shown(given)}: it is a section of {listed(_allowed(location, data, model), most=30)}.{hint}"
    message = _TAKES.get(kind, detail["msg"][0].lower() + detail["msg"][1:])
    if "connection" in location:
        return f"{key}: {message}. What was given is not shown; keys and tokens have no place in a job, only names and paths."
    return f"{key} is {shown(given)}: {message}{_as_written(kind, given)}."


def _without_options(details: Sequence[Any], data: Mapping[str, Any]) -> list[Any]:
    """Return one error for each place: of a text or a list, pydantic reports what either has against the value."""
    places: dict[tuple[str, ...], list[Any]] = {}
    for detail in details:
        places.setdefault(tuple(_location(detail, data)), []).append(detail)
    kept = []
    for place, found in places.items():
        kinds = {detail["type"] for detail in found}
        if kinds == {"string_type", "tuple_type"}:
            kept.append({**found[0], "type": _TEXT_OR_LIST})
        elif kinds != {"string_type"} or not any(other[: len(place)] == place != other for other in places):
            kept += found
    return kept


def _location(detail: Any, data: Mapping[str, Any]) -> list[str]:
    """Keys that lead to an error, without what pydantic adds: the type of a source or sink, and the option of a union."""
    keys: list[str] = []
    here: Any = data
    loc = detail["loc"]
    for i, part in enumerate(loc):
        is_key = isinstance(here, Mapping) and part in here and here is not detail["input"]
        is_kind = i == 1 and loc[0] in ("source", "sink")
        if is_kind or (not is_key and isinstance(part, str) and (part == "str" or part.startswith("tuple["))):
            continue
        keys.append(str(part))
        is_index = isinstance(here, Sequence) and isinstance(part, int) and part < len(here)
        here = here[part] if is_key or is_index else None
    return keys


def _as_written(kind: str, given: object) -> str:
    """Advice on quotes: YAML did not read a text where one is wanted, or did where a number is."""
    if kind in _NUMBERS:
        return "; leave the quotes out" if isinstance(given, str) and _NUMBER.fullmatch(given) else ""
    if kind not in ("string_type", "tuple_type", _TEXT_OR_LIST):
        return ""
    if given is None:
        return "; YAML reads null, ~ and nothing as no value, so quote null where it is a name"
    if isinstance(given, bool):
        return "; YAML reads yes, no, on and off as true and false, so quote them where they are names"
    read = {int: "a number", float: "a number", dt.date: "a date", dt.datetime: "a time"}.get(type(given))
    if read is None or kind == "tuple_type":
        return ""
    return f"; YAML reads it as {read}: where it is a name, quote it as it is written"


def _unknown(location: Sequence[str], data: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Advice for an unknown key: the section it belongs to, the most similar key, or all allowed keys."""
    name, section = location[-1], location[:-1]
    if location[0] in getattr(model, "of_state", ()):
        return " `apply` takes it from the fitted state; leave it out."
    allowed = _allowed(section, data, model)
    places = [place for place in _places(name, data, model) if place != tuple(section)]
    if places == [()]:
        return f" `{name}` is a section of its own, at the beginning of a line."
    if places and name not in allowed:
        return f" It belongs to {' or '.join(map(_quoted, places))}."
    return _nearest(name, allowed) + (f" Allowed: {listed(allowed, most=30)}." if allowed else "")


def _quoted(place: Sequence[str]) -> str:
    return f"`{'.'.join(place)}`"


def _nearest(name: str, allowed: Iterable[str]) -> str:
    near = nearest(name, allowed, cutoff=0.5)
    return f" Did you mean {near!r}?" if near else ""


def _places(name: str, data: Mapping[str, Any], model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Sections with a key of this name."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        place = waiting.pop(0)
        allowed = _allowed(place, data, model)
        if name in allowed:
            yield place
        waiting += [(*place, key) for key in allowed]


def _allowed(location: Sequence[str], data: Mapping[str, Any], model: type[BaseModel]) -> list[str]:
    """Keys allowed in the section at `location`; for a source or sink, those of its type."""
    section: Any = model
    given: Any = data
    for name in location:
        given = given.get(name, {}) if isinstance(given, Mapping) else {}
        options = [get_args(option)[:2] for option in get_args(_fields(section).get(name))]
        kinds = {tag.tag: option for option, tag in options if hasattr(tag, "tag")} if name in ("source", "sink") else {}
        kind = str(given.get("type", "parquet")) if isinstance(given, Mapping) else "parquet"
        section = kinds.get(kind) if kinds else _fields(section).get(name)
    return list(_fields(section))


@cache
def _fields(section: Any) -> dict[str, Any]:
    """Names and types of a section's keys."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        return {name: field.annotation for name, field in section.model_fields.items()}
    if dataclasses.is_dataclass(section):
        hints = get_type_hints(section)
        return {field.name: hints[field.name] for field in dataclasses.fields(section)}
    return {}
