"""A JSON schema of job files, by which editors complete and check them."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

from flows.config.job import AnyJob, ApplyJob, Job
from flows.engines.registry import ENGINES

SCHEMA_LINE: Final = "# yaml-language-server: $schema="
"""How the first line of a job file begins; the path of the schema follows, relative to the file."""
_OF_PLANS: Final = ("pin", "rows")
"""Settings of sources that plans set, and no job file."""
_LENGTH_OF_TIME: Final = {"type": ["string", "number"]}


def editor_schema() -> dict[str, Any]:
    """Return the JSON schema of a job file: that of `apply` for a job with a `state`, else that of `run` and `fit`.

    Sections may be empty, as in ``windows:`` with nothing below it.
    """
    definitions: dict[str, Any] = {}
    for model in (Job, ApplyJob):
        whole = model.model_json_schema()
        definitions |= whole.pop("$defs")
        definitions[model.__name__] = _with_empty_sections(whole, model)
    for name, kinds in (("source", "SourceSpec"), ("sink", "SinkSpec")):
        for key, definition in definitions.items():
            if key.endswith(kinds):
                definition["title"] = f"{name} of type {definition['properties']['type']['const']}"
    definitions["Runtime"]["properties"]["engine"]["enum"] = list(ENGINES)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job of emberharmony",
        "type": "object",
        "if": {"required": ["state"]},
        "then": {"$ref": f"#/$defs/{ApplyJob.__name__}"},
        "else": {"$ref": f"#/$defs/{Job.__name__}"},
        "$defs": {name: definitions[name] for name in sorted(definitions) if name not in ("Pin", "TimeRows")},
    }
    edited: dict[str, Any] = _for_editors(schema)
    return edited


def schema_text() -> str:
    """Return the schema as the text of a file.

    Examples
    --------
    >>> json.loads(schema_text())["title"]
    'A job of emberharmony'
    """
    return json.dumps(editor_schema(), indent=1, ensure_ascii=False)


def _with_empty_sections(schema: dict[str, Any], model: type[AnyJob]) -> dict[str, Any]:
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    sections = {
        name: part if name in required or "anyOf" in part else {"anyOf": [part, {"type": "null"}]}
        for name, part in schema["properties"].items()
    }
    return {**schema, "properties": sections}


def _for_editors(schema: Any) -> Any:
    """Return a schema with what editors show: meanings as they stand in docs, lengths of time in any spelling."""
    if isinstance(schema, list):
        return [_for_editors(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "duration":
        return {**{key: part for key, part in schema.items() if key != "format"}, **_LENGTH_OF_TIME}
    edited = {key: _for_editors(part) for key, part in schema.items() if key != "default" or not isinstance(part, dict)}
    if isinstance(description := edited.get("description"), str):
        edited["description"] = inspect.cleandoc(description).split("\n\nRaises\n")[0]
    if isinstance(properties := edited.get("properties"), dict):
        edited["properties"] = {key: part for key, part in properties.items() if key not in _OF_PLANS}
    return edited
