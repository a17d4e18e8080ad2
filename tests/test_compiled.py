"""Pytest takes what was compiled before for its own."""

import importlib.util
import os

import pytest

from tests.compiled import CHECKED_VERSIONS, compile_test


def test_the_version_is_one_that_was_checked():
    assert pytest.__version__.startswith(CHECKED_VERSIONS)


def test_pytest_runs_what_was_compiled(pytestconfig, tmp_path, monkeypatch):
    """And compiles nothing itself, until the file changes."""
    hook = pytestconfig.pluginmanager.rewrite_hook
    monkeypatch.setattr("_pytest.assertion.rewrite._rewrite_test", rewrite := Rewrite())
    path = tmp_path / "test_two.py"
    for n, value in enumerate((3, 4), 1):
        path.write_text(f"def test_two():\n    assert 1 + 1 == {value}\n")
        os.utime(path, (n, n))
        compiled = compile_test(path, pytestconfig)
        assert compiled.exists()
        os.utime(compiled, (n, n))
        for _ in range(2):
            assert compile_test(path, pytestconfig) == compiled
            assert rewrite.calls == n
            module = importlib.util.module_from_spec(importlib.util.spec_from_file_location("test_two", path, loader=hook))
            hook.exec_module(module)
            with pytest.raises(AssertionError, match=rf"assert \(1 \+ 1\) == {value}"):
                module.test_two()
        assert rewrite.calls == n


class Rewrite:
    """Counts what is rewritten."""

    def __init__(self) -> None:
        from _pytest.assertion import rewrite

        self._rewrite = rewrite._rewrite_test
        self.calls = 0

    def __call__(self, *arguments):
        self.calls += 1
        return self._rewrite(*arguments)
