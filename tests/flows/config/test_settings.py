"""The page of all settings: complete, true, and the same as what the command prints."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from emberharmony.errors import PlanError
from flows.cli.app import app
from flows.config.job import ApplyJob, Job, parse_job
from flows.config.settings import settings_markdown

PAGE = Path(__file__).parents[3] / "docs" / "job.md"
PLACES = {"source": {"type": "parquet", "path": "x"}, "sink": {"type": "parquet", "path": "y"}}
BIGQUERY = {"source": {"type": "bigquery", "table": "a-b.c.d"}, "sink": {"type": "bigquery", "dataset": "d", "path": "y"}}


def keys_of(section, place=""):
    """Every key below a section, found through Python's own types: the reference of what the page has to hold."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        hints = {name: field.annotation for name, field in section.model_fields.items()}
    else:
        hints = get_type_hints(section)
        hints = {field.name: hints[field.name] for field in dataclasses.fields(section)}
    for name, hint in hints.items():
        key = f"{place}.{name}" if place else name
        # Job's `Source` and `Sink` are unions of Annotated[spec, Tag]; every other section is a class.
        options = [get_args(option)[0] for option in get_args(hint)] if key in ("source", "sink") else [hint]
        if place == "":  # sections that may be left out
            options = [part for option in options for part in get_args(option) or [option]]
        inner = [option for option in options if dataclasses.is_dataclass(option) or hasattr(option, "model_fields")]
        if key in ("source", "sink") or (inner and place == ""):
            yield from (found for option in inner for found in keys_of(option, key))
            continue
        yield key
        yield from (found for option in inner for found in keys_of(option, key))
        of_each = [part for part in get_args(hint) if get_origin(hint) is Mapping and dataclasses.is_dataclass(part)]
        yield from (found for part in of_each for found in keys_of(part, f"{key}.NAME"))


def rows_of(page):
    """Key, values, default and meaning of every row of the page, under every place where it may stand."""
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        places = re.sub(r" \(.*", "", heading).split(", ")
        for row in re.findall(r"^\| `(.+)$", body, re.MULTILINE):
            key, values, default, meaning = row.removesuffix(" |").split(" | ")
            for place in places:
                name = key.strip("`")
                yield (name if place in ("slice", "state") else f"{place}.{name}"), values, default, meaning


def test_the_page_is_what_the_command_prints():
    assert PAGE.read_text(encoding="utf-8") == settings_markdown() + "\n", "emberharmony settings > docs/job.md"


def test_the_page_holds_every_setting_and_says_what_it_means():
    expected = {*keys_of(Job), *(key for key in keys_of(ApplyJob) if key == "state")}
    rows = list(rows_of(settings_markdown()))
    assert {key for key, *_ in rows} == expected
    silent = [key for key, _, _, meaning in rows if len(meaning) < 5]
    assert not silent, f"write a docstring below {silent} in their spec, or a description"
    assert all(values for _, values, *_ in rows)


@pytest.mark.parametrize("places", [PLACES, BIGQUERY], ids=["parquet", "bigquery"])
def test_defaults_of_the_page_are_those_of_a_job(places):
    """A job that says every default aloud is the job that says nothing."""
    data = yaml.safe_load(yaml.safe_dump(places))
    kind = places["source"]["type"]
    page = re.sub(rf"^## \w+ \(type: (?!{kind}).*?(?=^## )", "", settings_markdown(), flags=re.MULTILINE | re.DOTALL)
    for key, _, default, _ in rows_of(page):
        *sections, name = key.split(".")
        if default.startswith("`") and not (kind == "parquet" and ({"connection", "read"} & {*sections})):
            section = data
            for part in sections:
                section = section.setdefault(part, {})
            section[name] = yaml.safe_load(default.strip("`"))
    del data["slices"]  # to leave that section out means something else
    assert len(data) == 10  # all but `pca`, whose one default is to be found out
    assert parse_job(data) == parse_job(places)


def test_one_section_can_be_asked_for():
    printed = CliRunner().invoke(app, ["settings", "windows"]).output
    assert printed.startswith("## windows\n")
    assert "| `strides` | list of whole numbers | `[1, 3, 5]` |" in printed
    assert re.findall("^## (.+)", settings_markdown("sink"), re.MULTILINE) == [
        "source.connection, sink.connection",
        "source.connection.retry, sink.connection.retry",
        "sink (type: parquet)",
        "sink (type: delta)",
        "sink (type: bigquery)",
    ]
    with pytest.raises(PlanError, match=r"no section 'window'\. Did you mean 'windows'\?"):
        settings_markdown("window")


def test_whoever_asks_how_to_run_a_job_is_told_where_its_settings_are():
    for command in ("run", "plan", "fit"):
        assert "emberharmony settings" in " ".join(
            CliRunner().invoke(app, [command, "--help"]).output.replace("│", " ").split()
        )
