"""Imports point one way: what the contracts of import-linter leave open."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("emberharmony", "tasks", "flows")
OUR_MODULE = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+|{'|'.join(PACKAGES)}|\.+\w+")
LOADER = Path("emberharmony/backend/_loading.py")  # a backend's library is imported when it is selected
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def hidden_imports(source: str) -> list[str]:
    """Names of our modules in a file that imports by name."""
    nodes = list(ast.walk(ast.parse(source)))
    called = {getattr(node.func, "id", getattr(node.func, "attr", "")) for node in nodes if isinstance(node, ast.Call)}
    if not called & {"import_module", "__import__"}:
        return []
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if OUR_MODULE.fullmatch(text)]


def test_no_module_imports_itself_by_way_of_others():
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    TopologicalSorter(imports).prepare()  # a CycleError names the modules


def test_no_import_is_hidden():
    found = {module: hidden_imports((ROOT / module).read_text()) for module in MODULES if module != LOADER}
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import_module('emberharmony.ops')", ["emberharmony.ops"]),
        ("NAMES = {'a': '._a'}\nimportlib.import_module(NAMES[x], __package__)", ["._a"]),
        ("__import__('flows')", ["flows"]),
        ("import_module('scipy.linalg')", []),
        ("log('emberharmony.ops')", []),
    ],
)
def test_what_counts_as_hidden(source, found):
    assert hidden_imports(source) == found
