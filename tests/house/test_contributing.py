"""CONTRIBUTING.md: the files and registries that it names exist, and its sections name everything that is registered."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
REGISTRIES = {
    "A kind of column": ("emberharmony.features.kinds.registry", "KINDS"),
    "An engine": ("flows.engines.registry", "ENGINES"),
    "A source": ("emberharmony.io.sources.registry", "SOURCES"),
    "A sink": ("emberharmony.io.sinks.registry", "SINKS"),
}


def section(title: str) -> str:
    return re.split(r"^##+ ", PAGE.split(f"### {title}\n")[1], flags=re.MULTILINE)[0]


def test_every_file_and_folder_it_names_exists():
    names = re.findall(r"`((?:emberharmony|tasks|flows|tests|docs)/[\w./]*)`", PAGE)
    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("title", REGISTRIES)
def test_a_section_names_the_registry_and_what_is_in_it(title):
    module, name = REGISTRIES[title]
    registered = getattr(import_module(module), name)
    text = section(title)
    first = text.strip().split(". ")[0]
    assert set(re.findall(r"`(\w+)`", first)) == set(registered)
    assert f"`{name}` in `{module.replace('.', '/')}.py`" in text


def test_every_folder_of_the_library_is_in_the_layout():
    layout = PAGE.split("## Layout")[1].split("## Add something")[0]
    folders = [path.parent.relative_to(ROOT) for path in (ROOT / "emberharmony").glob("*/__init__.py")]
    assert [str(folder) for folder in folders if f"`{folder}/`" not in layout] == []


@pytest.mark.parametrize("title", ["A kind of column", "An engine"])
def test_a_module_and_a_registry_are_all_that_is_registered(title):
    """Each kind and each engine is defined in a module of its own, beside the registry that lists it."""
    module, name = REGISTRIES[title]
    registered = getattr(import_module(module), name)
    homes = [type(value).__module__ for value in registered.values()]
    assert len(set(homes)) == len(homes)
    assert {home.rpartition(".")[0] for home in homes} == {module.rpartition(".")[0]}


def test_every_make_target_it_names_is_one():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", PAGE)) <= set(targets)


def test_nothing_asks_for_a_registered_name_or_vendor():
    """What varies is a method of the object that varies: no module compares with a name, or asks for a vendor's class."""
    names = {name for module, registry in REGISTRIES.values() for name in getattr(import_module(module), registry)}
    names -= {"auto"}  # other settings have this value, too
    compared = re.compile(rf"""[!=]= *["'](?:{"|".join(sorted(names))})["']""")
    asked = re.compile(r"isinstance\([^)]*\b(?:BigQuery|Parquet)\w+")
    modules = [path for package in ("emberharmony", "tasks", "flows") for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > 150
    texts = {path: path.read_text(encoding="utf-8") for path in modules}
    assert [str(path) for path, text in texts.items() if compared.search(text) or asked.search(text)] == []
