"""The scripts are made once, and kept for the next run."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from emberharmony.errors import MissingLibraryError
from emberharmony.page import scripts as module
from emberharmony.page.scripts import cache_folder, scripts


@pytest.fixture
def made(monkeypatch, tmp_path):
    """How often they were made; the process that makes them is not started."""
    calls = []

    def run(command, **_):
        calls.append(command)
        return SimpleNamespace(stdout="window.vegaEmbed = 1;")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_they_are_made_once(made):
    assert scripts() == scripts() == "window.vegaEmbed = 1;"
    assert len(made) == 1
    assert [path.suffix for path in cache_folder().iterdir()] == [".js"]


def test_without_a_place_to_keep_them_they_are_made_each_time(made, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert scripts() == scripts()
    assert len(made) == 2


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "has_scripts", lambda: False)
    with pytest.raises(MissingLibraryError, match=r"pip install 'emberharmony\[report\]'"):
        scripts()
