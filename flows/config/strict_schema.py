"""Validation that does not convert numbers, texts and booleans into one another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaValidator

from flows.prefect.private import validator_of

_STRICT: Mapping[str, Mapping[str, Any]] = {
    "str": {},
    "bool": {},
    "int": {"ge": -(2**63), "le": 2**63 - 1},
    "float": {"allow_inf_nan": False},
}
"""Types of plain values, and the constraints on all values of each."""


@cache
def strict_validator(model: type[BaseModel]) -> SchemaValidator:
    """The validator of a model for data from a file: a list is accepted for a tuple, but not ``yes`` for 1 or ``"5"`` for 5.

    Pydantic's own strict mode would also refuse a list where a tuple is wanted, and a mapping where a dataclass is.
    """
    model.model_rebuild()  # if its building was deferred
    return validator_of(_strict(model.__pydantic_core_schema__))


def _strict(schema: Any) -> Any:
    """A schema of pydantic_core with its plain values made strict."""
    if isinstance(schema, list | tuple):
        return type(schema)(_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    strict = {key: part if key in ("default", "metadata") else _strict(part) for key, part in schema.items()}
    kind = schema.get("type")
    return {**_STRICT[kind], **strict, "strict": True} if isinstance(kind, str) and kind in _STRICT else strict
