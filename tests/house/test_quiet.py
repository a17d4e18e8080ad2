"""A run that succeeds prints its own words: no traceback, no warning, no line of a library's log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.jobs import small_table, write_table
from tests.servers.prefect import copy_database

ROOT = Path(__file__).parent.parent.parent
NOISE = re.compile(
    r"Traceback|Warn|Error|Critical|Debug|deprecat|Exception|\| INFO|prefect\.|Finished in state|https?://",
    re.IGNORECASE,
)


def emberharmony(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PREFECT_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli.app import main; main()", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["local", "threads"])
@pytest.mark.xdist_group("prefect")
def test_a_run_that_succeeds_is_quiet(tmp_path, engine):
    write_table(small_table(300), tmp_path / "table.parquet", group_rows=100)
    job = {
        "source": {"path": str(tmp_path / "table.parquet")},
        "sink": {"path": str(tmp_path / "out")},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "runtime": {"engine": engine, "backend": "numpy", "workers": 1, "chunk_rows": 150},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    home = copy_database(tmp_path / "prefect")
    done = emberharmony("run", str(tmp_path / "job.yaml"), home=home)
    assert done.returncode == 0, done.stderr
    assert not NOISE.search(done.stdout + done.stderr), done.stdout + done.stderr
    for word in (
        "240 train",
        "30 validation",
        "30 test",
        "stride 1",
        "stride 3",
        "stride 5",
        "rows/s",
        "MiB at most",
        "numpy:cpu",
    ):
        assert word in done.stdout
    for stage in ("profile", "featurize", "project"):
        assert stage in done.stderr
    assert (tmp_path / "out" / "manifest.json").exists()

    again = emberharmony("run", str(tmp_path / "job.yaml"), home=home)
    assert again.returncode == 0
    assert "Nothing to do" in again.stdout


def test_backends_are_told(tmp_path):
    done = emberharmony("backends", home=tmp_path)
    assert done.returncode == 0
    assert not done.stderr
    for word in ("numpy", "torch", "mlx", "\n*  ", "device"):
        assert word in done.stdout
