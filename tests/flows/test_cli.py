"""The console script: what it takes, what it says, and how it ends."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from emberharmony import __version__
from flows.cli import app, main
from tests.jobs import small_table, write_table

RUNNER = CliRunner()


@pytest.fixture
def job(tmp_path):
    write_table(small_table(200), tmp_path / "table.parquet", group_rows=50)
    data = {
        "source": {"path": str(tmp_path / "table.parquet")},
        "sink": {"path": str(tmp_path / "out")},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "runtime": {"engine": "none", "backend": "numpy", "workers": 1},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(data))
    return tmp_path / "job.yaml"


def run(*arguments):
    return RUNNER.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["demo", "-h"], ["backends", "--help"]])
def test_help(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage" in result.output
    if arguments[0] == "run":
        assert "--set" in result.output
        assert "--overwrite" in result.output


def test_version():
    assert run("--version").output.strip() == f"emberharmony {__version__}"


def test_run_and_run_again(job):
    first = run("run", job)
    assert first.exit_code == 0, first.output
    assert "160 train" in first.output
    manifest = job.parent / "out" / "manifest.json"
    created = manifest.stat().st_mtime_ns
    again = run("run", job)
    assert again.exit_code == 0
    assert "Nothing to do" in again.output
    assert manifest.stat().st_mtime_ns == created
    assert run("run", job, "--overwrite").exit_code == 0
    assert manifest.stat().st_mtime_ns > created


def test_set_overrides_the_file(job):
    assert run("run", job, "--set", "windows.size=8", "--set", "windows.strides=[2]", "--quiet").exit_code == 0
    manifest = json.loads((job.parent / "out" / "manifest.json").read_text())
    assert manifest["spec"]["windows"] == {"size": 8, "strides": [2]}
    assert list(manifest["strides"]) == ["2"]


def test_another_job_does_not_replace_a_result(job, monkeypatch, capsys):
    assert run("run", job, "--quiet").exit_code == 0
    before = (job.parent / "out" / "manifest.json").read_bytes()
    monkeypatch.setattr("sys.argv", ["emberharmony", "run", str(job), "--set", "windows.size=4"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "holds the result of another job" in capsys.readouterr().err.replace("\n", " ")
    assert (job.parent / "out" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("columns.target=nope", "Column 'nope' is not in the table"),
        ("windows.sice=4", "Did you mean 'size'"),
        ("windows.size=35", "fewer than one window of 35"),
        ("windows.size=5000", "lower windows.size (now 5,000)"),
        ("pca.components=100000", "components were asked for"),
        ("runtime.max_memory_gb=0.01", "runtime.max_memory_gb"),
        ("split.seed=-1", "seed is a whole number"),
    ],
)
def test_errors_end_with_1_and_one_message(job, monkeypatch, capsys, override, message):
    monkeypatch.setattr("sys.argv", ["emberharmony", "run", str(job), "--set", override, "--quiet"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "Traceback" not in told
    assert told.startswith("error")
    assert message in told
    assert not (job.parent / "out" / "manifest.json").exists()


@pytest.mark.parametrize("arguments", [["run"], ["rum"], ["run", "a", "b"], ["run", "job.yaml", "--sett", "a=1"]])
def test_wrong_usage_ends_with_2(arguments):
    assert run(*arguments).exit_code == 2
