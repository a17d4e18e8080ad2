"""No file of a job is opened, moved, listed or removed outside `emberharmony/io/store/`: a bucket knows no such operation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATION = re.compile(
    r"\.(exists|is_file|is_dir|is_symlink|glob|rglob|iterdir|unlink|rename|hardlink_to|stat|mkdir|rmdir|touch|read_bytes|read_text"
    r"|write_bytes|write_text|resolve)\(|\bos\.(open|scandir|walk|replace|rename|link|remove|stat|access|path)\b"
    r"|\bshutil\.|\bfcntl\b|(?<![.\w])open\("
)
OF_A_STORE = re.compile(r"\b(store|run|published)\.exists\(|\bdef open\(")
ROOMS = [
    "emberharmony/pipeline",
    "emberharmony/steps",
    "emberharmony/loader",
    "emberharmony/io/sinks",
    "emberharmony/io/parts.py",
    "emberharmony/io/manifest.py",
    "flows",
    "tasks",
]
ALLOWED = {
    "emberharmony/pipeline/peak_memory.py": "what the system says of this process",
    "emberharmony/io/sinks/bigquery/load.py": "a temporary file that is uploaded",
    "flows/engines/cluster_logs.py": "a temporary file by which processes of this host know of an end",
    "flows/config/": "job files, and what the system says of this host",
    "flows/cli/": "job files, and tables and results that a user names",
    "flows/prefect/": "Prefect's own settings and server",
    "flows/flights.py": "the tables of the demo and the examples",
}


def operations(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [(n, line) for n, line in enumerate(lines, 1) if OPERATION.search(OF_A_STORE.sub("", line))]
    return [f"{path.relative_to(ROOT)}:{n}: {line.strip()}" for n, line in found]


@pytest.mark.parametrize("room", ROOMS)
def test_only_stores_touch_the_files_of_a_job(room):
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    assert files
    asked = [path for path in files if not path.relative_to(ROOT).as_posix().startswith(tuple(ALLOWED))]
    assert [line for path in asked for line in operations(path)] == []


@pytest.mark.parametrize(
    "line", ["path.unlink()", "os.scandir(x)", "with open(x) as f:", "shutil.rmtree(x)", "(a / b).exists()"]
)
def test_what_is_found(line):
    assert OPERATION.search(line)
