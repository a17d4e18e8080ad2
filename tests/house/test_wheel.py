"""An installed wheel runs a job where the user's own folder has packages of the same names as ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.jobs import small_table, write_table
from tests.servers.prefect import copy_database

ROOT = Path(__file__).parents[2]
SHIPPED = ["pyproject.toml", "README.md", "emberharmony", "tasks", "flows", "configs"]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the scripts of an environment in which the wheel is installed, beside the libraries of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SHIPPED:  # a copy: a build writes into its source
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run_checked([*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source])
    run_checked([sys.executable, "-m", "venv", "--without-pip", folder / "env"])
    python = folder / "env/bin/python"
    (wheel,) = folder.glob("*.whl")
    run_checked([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel])
    # A path in a .pth file is added, the .pth files in it are not read: an editable install there stays out.
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env"), "platbase": str(folder / "env")}))
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: a table, a job, a database of Prefect, and packages that break whoever imports them."""
    copy_database(tmp_path / "prefect")
    write_table(small_table(300), tmp_path / "table.parquet", group_rows=100)
    job = {
        "source": {"path": "table.parquet"},
        "sink": {"path": "out"},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "runtime": {"backend": "numpy", "workers": 1, "chunk_rows": 150},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    for name in ("flows", "tasks", "configs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the user has packages of these names')\n")
    return tmp_path


def run_checked(command: list[object], **options: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_in(folder: Path, command: list[object], **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own = {"OMP_NUM_THREADS": "1", "PREFECT_HOME": str(folder / "prefect"), "COLUMNS": "200"}
    return run_checked(command, cwd=folder, env={**environment, **own, **variables}, timeout=240)


@pytest.mark.parametrize("engine", ["local", "processes"])
def test_a_job_runs_beside_packages_of_the_same_names(installed, folder, engine):
    run = ["run", "job.yaml", "--set", f"runtime.engine={engine}"]
    # Both ways in which the user's folder comes first.
    told = run_in(folder, [installed / "python", "-m", "emberharmony", *run], PYTHONPATH=".")
    assert "240 train" in told
    assert (folder / "out/manifest.json").exists()


def test_namespace_packages_do_no_harm_either(installed, folder):
    for name in ("flows", "tasks", "configs"):
        (folder / name / "__init__.py").unlink()
    assert "240 train" in run_in(
        folder, [installed / "python", "-m", "emberharmony", "run", "job.yaml", "--set", "runtime.engine=local"]
    )


@pytest.mark.parametrize("command", [["emberharmony"], ["python", "-m", "emberharmony"]], ids=["script", "module"])
@pytest.mark.parametrize("path", [None, "."])
def test_every_command_finds_its_own_packages(installed, folder, command, path):
    start = [installed / command[0], *command[1:]]
    variables = {"PYTHONPATH": path} if path else {}
    assert "fingerprint" in run_in(folder, [*start, "plan", "job.yaml"], **variables)
    assert "--data" in run_in(folder, [*start, "demo", "--help"], **variables)


def test_the_demo_finds_the_job_that_ships_with_it(installed, folder):
    code = """
from emberharmony.__main__ import prefer_own_packages
prefer_own_packages()
from flows.flights import demo_config
print(demo_config())
"""
    config = Path(run_in(folder, [installed / "python", "-c", code]).strip())
    assert config.is_relative_to(installed.parent)
    assert config.exists()
