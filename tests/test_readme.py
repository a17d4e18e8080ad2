"""The README's commands and code blocks, run as they stand.

``sh`` blocks run here (what `make` would do is what CI itself does: their targets have to exist), ``python`` blocks run,
``yaml`` blocks are jobs. ``console`` blocks need the outside world; their commands have to be known.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.config.job import parse_job
from flows.flights import prepare_weather

pytestmark = pytest.mark.xdist_group("readme")  # its commands follow one another

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [(m[1], m[2].strip()) for m in re.finditer(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def commands(language: str) -> list[str]:
    lines = [line for block in blocks(language) for line in block.replace("\\\n", " ").splitlines()]
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def newcomer(tenth_of_flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks to a command as the project's does, with a tenth of the flights."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "data").mkdir()
    shutil.copy(tenth_of_flights, folder / "data" / "flights.parquet")
    prepare_weather(folder / "data" / "weather.parquet")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_every_block_says_what_it_is() -> None:
    fences = len(re.findall(r"^```", README, re.MULTILINE))
    assert fences == 2 * len(BLOCKS)
    assert {name for name, _ in BLOCKS} <= {"sh", "console", "python", "yaml"}


@pytest.mark.parametrize("command", commands("sh"))
def test_command(command: str, newcomer: Path) -> None:
    if command.startswith("make "):
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert command.split()[1] in targets
        return
    if " -m benchmarks." in command:
        module = command.split()[2].replace(".", "/")
        assert (ROOT / f"{module}.py").exists()
        return
    done = subprocess.run(command, shell=True, cwd=newcomer, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", commands("console"))
def test_command_for_elsewhere(command: str) -> None:
    from typer.main import get_command

    from flows.cli.app import app

    words = command.split()
    if words[0].endswith("emberharmony"):
        assert words[1] in get_command(app).commands  # type: ignore[attr-defined]
    elif words[0] == "make":
        test_command(command, ROOT)
    else:
        assert words[0] in ("prefect", "pip", "docker", "gcloud", ".venv/bin/prefect", ".venv/bin/pip")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_job(text: str) -> None:
    data = yaml.safe_load(text)
    if "source" in data:
        parse_job(data)


@pytest.mark.parametrize("code", blocks("python"))
def test_code(code: str, newcomer: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=newcomer,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
