"""The versions in constraints.txt."""

import tomllib
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]


def test_each_runs_on_the_oldest_python_that_the_project_promises():
    """Debian 12 has Python 3.11.2, and pip refuses a version that asks for 3.11.5."""
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=") + ".0"
    asked = {found.name: found.metadata.get("Requires-Python") for found in distributions()}
    assert len(asked) > 200
    assert {name: of for name, of in asked.items() if of and not SpecifierSet(of).contains(oldest)} == {}
