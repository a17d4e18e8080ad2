"""docs/design.md: the modules and folders that it names exist, and its drawing shows every package."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
DRAWING = PAGE.split("```text\n")[1].split("```")[0]


def exists(name: str) -> bool:
    return any((folder / name).exists() for folder in (ROOT, ROOT / "emberharmony"))


def test_every_module_and_folder_it_names_exists():
    names = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py))`", PAGE)
    assert len(names) > 30
    assert [name for name in names if not exists(name) and name not in RESULTS] == []


RESULTS = {"features/", "windows/", "state/", "published/", "t/"}
"""Folders of a result or an example, not of the code."""


def test_the_drawing_shows_every_package_and_module_of_the_library():
    library = DRAWING.split("emberharmony/\n")[1]
    packages = {path.parent.name for path in (ROOT / "emberharmony").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"(\w+)/", library))
    modules = {path.stem for path in (ROOT / "emberharmony").glob("*.py") if not path.stem.startswith("__")}
    assert modules - {"typing"} <= set(library.split())
    assert {path.parent.name for path in (ROOT / "flows").glob("*/__init__.py")} <= set(re.findall(r"(\w+)/", DRAWING))
