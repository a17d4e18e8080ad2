"""Compile the tests and the library once, before the workers of pytest-xdist start: each of them would compile everything.

Measured in a fresh clone: 5 s of CPU time in each worker. Pytest has no public names for what it does with a file of tests;
where its version is another one, the workers compile for themselves.
"""

from __future__ import annotations

import compileall
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKED_VERSIONS = ("9.1.",)
"""Versions of pytest whose private names are those that are used here."""


def compile_all(config: pytest.Config) -> None:
    """Compile what has changed since it was compiled."""
    if sys.dont_write_bytecode:
        return
    for room in ("emberharmony", "flows", "tasks"):
        compileall.compile_dir(ROOT / room, quiet=1)
    if pytest.__version__.startswith(CHECKED_VERSIONS):
        for path in _files_of_tests(ROOT / "tests"):
            compile_test(path, config)


def compile_test(path: Path, config: pytest.Config) -> Path:
    """Compile a file of tests as pytest does, with its assertions rewritten; returns where pytest looks for that."""
    from _pytest.assertion import rewrite

    compiled = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    is_new = compiled.exists() and compiled.stat().st_mtime >= path.stat().st_mtime
    if not is_new and rewrite.try_makedirs(compiled.parent):
        stat, code = rewrite._rewrite_test(path, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, stat, compiled)
    return compiled


def _files_of_tests(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
        yield from (
            Path(place, name) for name in names if name == "conftest.py" or (name.startswith("test_") and name.endswith(".py"))
        )
