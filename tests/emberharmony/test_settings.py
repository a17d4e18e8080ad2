"""Sections of a job: their keys are described in the JSON schema, and building a model reads no source."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from emberharmony.settings import Section, key_docstrings, written_duration


@dataclass(frozen=True)
class Inner(Section):
    """A section of a section."""

    depth: int = 0
    """How deep."""


@dataclass(frozen=True)
class Outer(Section):
    """A section."""

    size: int
    """How large.

    In rows.
    """
    silent: int = 1
    inner: Inner = field(default_factory=Inner)
    """What it holds."""
    shared: ClassVar[int] = 3
    """Of the class."""

    def grow(self) -> None:
        """Not a key."""
        other: int = 0
        """Nor this."""
        self.__dict__["other"] = other


def test_docstrings_describe_the_keys_above_them():
    expected = {"size": "How large.\n\nIn rows.", "inner": "What it holds.", "shared": "Of the class."}
    assert key_docstrings(Outer) == expected


def test_the_json_schema_describes_keys_at_every_depth():
    schema = TypeAdapter(Outer).json_schema()
    described = {name: key.get("description") for name, key in schema["properties"].items()}
    assert described == {"size": "How large.\n\nIn rows.", "silent": None, "inner": "What it holds."}
    assert schema["$defs"]["Inner"]["properties"]["depth"]["description"] == "How deep."


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="sizes"):
        TypeAdapter(Outer).validate_python({"size": 1, "sizes": 2})


def test_a_class_within_a_function_is_found():
    @dataclass(frozen=True)
    class Outer(Section):
        size: int
        """Of another class of this name."""

    assert key_docstrings(Outer) == {"size": "Of another class of this name."}


def test_without_its_source_a_class_has_no_descriptions(monkeypatch):
    module = ModuleType("without_source")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    bare = type("Bare", (Section,), {"__annotations__": {"depth": int}, "__module__": module.__name__})
    assert key_docstrings(bare) == {}
    assert "description" not in TypeAdapter(dataclass(bare)).json_schema()["properties"]["depth"]


def test_reading_a_job_reads_no_source():
    """A job starts 0.15 s earlier."""
    code = (
        "import inspect\n"
        "def no_source(*_): raise AssertionError('the source of a class was read')\n"
        "inspect.getsource = inspect.getsourcelines = inspect.findsource = no_source\n"
        "from flows.config.job import parse_job\n"
        "print(parse_job({'source': {'path': 'a'}, 'sink': {'path': 'b'}}).windows.size)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("5\n", 0), done.stderr


@given(st.timedeltas())
def test_durations_are_read_as_pydantic_writes_them(length):
    assert written_duration(TypeAdapter(timedelta).dump_python(length, mode="json")) == length


@pytest.mark.parametrize("text", ["", "2h", "PT", "P1W", "PT1H x"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="is no duration in ISO 8601"):
        written_duration(text)
