"""docs/hooks.py: links of the repository on the site, and the pages that are made of files and code."""

from __future__ import annotations

import doctest
import importlib.util
import logging
import re

import pytest

from emberharmony import ops
from flows.cli.app import app
from tests.documents import ROOT


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_examples(hooks):
    assert doctest.testmod(hooks).failed == 0


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("docs/a.md", "[x](gates.md#few-rows)", "[x](gates.md#few-rows)"),
        ("docs/a.md", "[x](../deploy/README.md)", "[x](deployments.md)"),
        ("docs/a.md", "![x](figures/job.svg)", "![x](figures/job.svg)"),
        ("CONTRIBUTING.md", "[x](docs/design.md)", "[x](design.md)"),
        ("deploy/README.md", "[x](../configs/flights.yaml)", "[x](job-files.md#flights)"),
        ("docs/a.md", "[x](https://example.com/a.md) [y](#z)", "[x](https://example.com/a.md) [y](#z)"),
        ("docs/a.md", "```sh\n[x](../deploy/README.md)\n```", "```sh\n[x](../deploy/README.md)\n```"),
    ],
)
def test_links(hooks, name, text, shown):
    assert hooks.with_site_links(text, name) == shown


def test_a_link_to_no_page_is_told(hooks, caplog):
    with caplog.at_level(logging.WARNING):
        assert hooks.with_site_links("[x](../Makefile)", "docs/a.md") == "[x](../Makefile)"
    assert "Makefile" in caplog.text


def test_every_command_and_array_function_has_its_place(hooks):
    commands = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert set(re.findall(r"^## (.+)$", hooks.commands(), re.MULTILINE)) == commands
    functions = {name for name in ops.__all__ if callable(getattr(ops, name)) and not isinstance(getattr(ops, name), type)}
    listed = set(re.findall(r"^\| `([\w.]+)` \| \S", hooks.array_functions(), re.MULTILINE))
    assert {name for name in functions if not name.startswith("_")} <= listed
    assert {"linalg.svd", "fft.fft", "random.uniform"} <= listed


def test_every_example_is_shown(hooks):
    for folder, page in (("configs", hooks.job_files()), ("examples", hooks.examples())):
        files = [path for path in (ROOT / folder).iterdir() if path.suffix in (".yaml", ".py") and path.stem != "__init__"]
        assert all(path.read_text(encoding="utf-8").strip() in page for path in files)
