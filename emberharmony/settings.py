"""Sections of a job: frozen dataclasses that describe their keys in docstrings below them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any, ClassVar


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
        for name, text in key_docstrings(cls).items():
            if name in properties:  # class variables are no keys
                properties[name].setdefault("description", text)
        return schema


def key_docstrings(section: type) -> dict[str, str]:
    """Return the docstring below each annotated name in the body of a class; none if Python has no source of the class."""
    try:
        source = inspect.getsource(section)
    except OSError:
        return {}
    (tree,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        key.target.id: inspect.cleandoc(text.value.value)
        for key, text in pairwise(tree.body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
