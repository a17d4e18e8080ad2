"""The reference of all settings, made from the specs: key, values, default and meaning."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from emberharmony.errors import PlanError
from emberharmony.messages import nearest, shown
from emberharmony.report.markdown import table_row
from flows.config.job import ApplyJob, Job

_INTRO = """\
# Settings of a job

Printed by `emberharmony settings`; `emberharmony settings windows` prints one section. A job is a YAML file of these sections
(`configs/flights.yaml` is one); the shell can set each key, too: `--set windows.size=8`. Only `source` and `sink` have to be
given, and in them what is *needed*. An unknown key is an error, and so is a text or a boolean where a number belongs.
"""
_APPLIED = """\
## state

A job of `emberharmony apply` has this key, `source`, `sink`, `slices`, `expect` and `runtime`. Of the others it takes
`columns.null_time`, for tables that have rows without a time where the fitted one had none, and `windows.lookback`.
"""
_OF_SLICE = """\
## slice

Every job may have this key. It names the slice that a run reads and publishes; see `slices`.
"""
_HEADER = "| key | values | default | meaning |\n|---|---|---|---|\n"


class _Section(NamedTuple):
    """Settings below one key, or below several keys with the same settings."""

    places: tuple[str, ...]
    kind: str  # of a source or sink
    schema: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The section's heading."""
        return ", ".join(self.places) + (f" (type: {self.kind})" if self.kind else "")


def settings_markdown(section: str | None = None) -> str:
    """Return all settings of a job as Markdown, or those of one section and its subsections.

    Raises
    ------
    PlanError
        If a job has no such section.

    Examples
    --------
    >>> print(settings_markdown("numbers"))
    ## numbers
    <BLANKLINE>
    How numbers are scaled.
    <BLANKLINE>
    | key | values | default | meaning |
    |---|---|---|---|
    | `scale` | `numeric`, `all` | `numeric` | What is scaled to mean 0 and deviation 1 of the training rows: ... |
    """
    sections = {found.title: found for found in _sections()}
    texts = [_INTRO, *map(_as_text, sections.values())]
    single = ApplyJob.model_json_schema()["properties"]
    texts.append(f"{_OF_SLICE}\n{_HEADER}{_row('slice', single['slice'], is_required=False)}\n")
    texts.append(f"{_APPLIED}\n{_HEADER}{_row('state', single['state'], is_required=True)}\n")
    if section is not None:
        titles = ["", *sections, "slice", "state"]
        texts = [text for title, text in zip(titles, texts, strict=True) if _is_in(section, title)]
        if not texts:
            names = [*dict.fromkeys(place for found in sections.values() for place in found.places), "slice", "state"]
            near = nearest(section, names)
            hint = f" Did you mean {near!r}?" if near else ""
            raise PlanError(f"A job has no section {shown(section)}.{hint} It has: {', '.join(names)}.")
    return "\n".join(texts).rstrip()


def _is_in(section: str, title: str) -> bool:
    places = title.split(" (")[0].split(", ")
    return any(place == section or place.startswith(f"{section}.") for place in places)


def _sections() -> Iterator[_Section]:
    """The sections of a job in order, each followed by its subsections."""
    whole = Job.model_json_schema()
    found: dict[str, _Section] = {}

    def look(place: str, setting: Mapping[str, Any]) -> None:
        may_be_absent = "." not in place and "anyOf" in setting
        options = setting["anyOf"] if may_be_absent else setting.get("oneOf", [setting])
        references = [option["$ref"] for option in options if "$ref" in option]
        for reference in references:
            name = reference.rsplit("/", 1)[-1]
            schema = whole["$defs"][name]
            before = found[name].places if name in found else ()
            kind = schema["properties"]["type"]["const"] if len(references) > 1 else ""
            found[name] = _Section((*before, place), kind, schema)
            for key, inner in schema["properties"].items():
                look(f"{place}.{key}", inner)
                if isinstance(named := inner.get("additionalProperties"), dict):
                    look(f"{place}.{key}.NAME", named)

    # `runtime` comes last: the other sections decide the result.
    for name in sorted(whole["properties"], key=lambda name: name == "runtime"):
        look(name, whole["properties"][name])
    yield from found.values()


def _as_text(section: _Section) -> str:
    about = inspect.cleandoc(section.schema.get("description", "")).split("\n\nRaises\n")[0]
    required = section.schema.get("required", ())
    rows = [_row(key, setting, is_required=key in required) for key, setting in section.schema["properties"].items()]
    return f"## {section.title}\n\n{about.replace('``', '`')}\n\n{_HEADER}{chr(10).join(rows)}\n"


def _row(key: str, setting: Mapping[str, Any], *, is_required: bool) -> str:
    cells = (f"`{key}`", _values(setting), _default(setting, is_required=is_required), setting.get("description", ""))
    return table_row(cells)


def _default(setting: Mapping[str, Any], *, is_required: bool) -> str:
    if is_required:
        return "*needed*"
    default = setting.get("default")
    if default is None or default == "" or isinstance(default, dict):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _values(setting: Mapping[str, Any]) -> str:
    """The values that a setting accepts, in words."""
    if "$ref" in setting:
        return "a section"
    if "anyOf" in setting:
        types = {option.get("type") for option in setting["anyOf"]}
        unsaid = {"null", "integer"} if "number" in types else {"null"}
        options = [option for option in setting["anyOf"] if option.get("type") not in unsaid]
        return " or ".join(dict.fromkeys(_values(option) for option in options))
    if "const" in setting or "enum" in setting:
        return ", ".join(f"`{value}`" for value in setting.get("enum", [setting.get("const")]))
    if setting["type"] == "array":
        inner = setting.get("prefixItems") or [setting["items"]]
        number = f"{len(inner)} " if "prefixItems" in setting else "list of "
        return number + _PLURALS[inner[0]["type"]]
    if setting["type"] == "object":
        values = setting["additionalProperties"]
        of_each = _values(values) if isinstance(values, dict) else "value"
        return f"names, each with {of_each if of_each.startswith('a ') else f'a {of_each}'}"
    return _WORDS.get(setting.get("format", setting["type"]), setting["type"]) + _bounds(setting)


def _bounds(setting: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {setting[name]:,.15g}" for name, sign in signs.items() if name in setting]
    return f" {', '.join(bounds)}" if bounds else ""


_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "duration": "duration",
    "date-time": "date and time",
    "path": "path",
}
_PLURALS = {"string": "texts", "integer": "whole numbers", "number": "numbers"}
