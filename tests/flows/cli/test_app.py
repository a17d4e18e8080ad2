"""The console script: what it takes, what it says, and how it ends."""

import errno
import json

import numpy as np
import pyarrow as pa
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from emberharmony import __version__
from emberharmony.errors import TransientError
from emberharmony.pipeline.stages import compute_stage
from flows.cli.app import app, main
from tests.jobs import small_table, write_job, write_table

RUNNER = CliRunner()


@pytest.fixture
def job(tmp_path):
    return write_job(tmp_path, small_table(200), group_rows=50)


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


def test_help_names_the_exit_statuses():
    assert "Exit statuses: 0 done or nothing to do, 1 error, 2 wrong usage, 130 or 143 stopped." in run("--help").output
    assert run("rnu").exit_code == 2
    assert run("run").exit_code == 2


def test_version():
    assert run("--version").output.strip() == f"emberharmony {__version__}"


def test_run_and_run_again(job):
    first = run("run", job)
    assert first.exit_code == 0, first.output
    assert "160 train" in first.output
    assert " s since the start: " in first.output
    manifest = job.parent / "out" / "manifest.json"
    created = manifest.stat().st_mtime_ns
    again = run("run", job)
    assert again.exit_code == 0
    assert "Nothing to do" in again.output
    assert manifest.stat().st_mtime_ns == created
    assert run("run", job, "--overwrite").exit_code == 0
    assert manifest.stat().st_mtime_ns > created


def test_many_series_are_planned_arranged_and_counted(job):
    many = ["--set", "columns.entity=color", "--set", "windows.max_gap=2d", "--set", "runtime.engine=local"]
    planned = " ".join(run("plan", job, *many).output.split())
    assert "by color, t, arranged first: the table is in another order" in planned
    assert "a series ends where the time jumps by more than 2 days, 0:00:00" in planned
    done = run("run", job, *many)
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "200 rows in 1 chunk of up to 200, arranged first; backend numpy:cpu" in told
    assert "series" in told
    assert "are shorter than a window" in told


def test_set_overrides_the_file(job):
    assert run("run", job, "--set", "windows.size=8", "--set", "windows.strides=[2]", "--quiet").exit_code == 0
    manifest = json.loads((job.parent / "out" / "manifest.json").read_text())
    windows = manifest["spec"]["windows"]
    assert windows == {"size": 8, "strides": [2], "max_gap": None, "lookback": None, "horizon": 0}
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
        ("windows.size=5000", "fewer than one window of 5,000"),
        ("runtime.max_memory_gb=0.02", "lower windows.size (now "),
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


def test_names_in_brackets_are_names(job):
    """Rich would take them for styles, and end in a traceback after a run that succeeded."""
    table = small_table(200)
    for name in ("[/x]", "price [EUR]"):
        table = table.append_column(name, pa.array(np.ones(200)))
    write_table(table, job.parent / "table.parquet", group_rows=50)
    for again in range(2):
        result = run("run", job, "--quiet")
        assert result.exit_code == 0, result.output
        assert ("Nothing to do" in result.output) == bool(again)
        assert "no features from [/x], price [EUR]: constant in training (1)" in result.output
    assert "price [EUR]  double" in run("plan", job).output


def test_columns_left_out_for_one_reason_share_a_line(job):
    table = small_table(200)
    for i in range(30):
        table = table.append_column(f"one_{i}", pa.array(np.ones(200)))
    for i in range(12):
        table = table.append_column(f"own_{i}", pa.array(np.full(200, i + 2.0)))
    write_table(table, job.parent / "table.parquet", group_rows=50)
    lines = [line.strip() for line in run("run", job, "--quiet").output.splitlines() if "no features from" in line]
    assert lines[0] == "no features from one_0, one_1, one_2, one_3, one_4 and 25 more columns: constant in training (1)"
    assert lines[1] == "no features from own_0: constant in training (2)"
    assert lines[-1] == "no features from 3 more columns: manifest.json lists the reasons"
    assert len(lines) == 11


def test_a_pipe_gets_a_fact_on_a_line(job):
    """However narrow the terminal is that no one looks at."""
    printed = RUNNER.invoke(app, ["run", str(job), "--quiet"], env={"COLUMNS": "40"}).output
    assert "rows      200 read; 160 train, 20 validation, 20 test\n" in printed
    assert not [line for line in printed.splitlines() if line != line.rstrip()]


def test_a_screen_gets_columns(job, monkeypatch):
    """On a terminal long texts are wrapped beside their labels."""
    monkeypatch.setattr("flows.cli.console._out", Console(force_terminal=True, width=60, highlight=False, color_system=None))
    printed = run("run", job, "--quiet").output
    assert "stride 1  156 train, 16 validation, 16 test windows;" in printed
    assert all(len(line) <= 60 for line in printed.splitlines())


def test_what_is_tried_again_is_told(job, monkeypatch, capsys):
    failures = [TransientError("The share [nfs] is away.")]

    def once_away(*arguments):
        if failures:
            raise failures.pop()
        return compute_stage(*arguments)

    monkeypatch.setattr("flows.engines.local.compute_stage", once_away)
    monkeypatch.setattr("sys.argv", ["emberharmony", "run", str(job), "--quiet"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert capsys.readouterr().err.startswith("warning: The share [nfs] is away. It is retried in ")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("emberharmony sta", {"status", "states"}),
        ("emberharmony run --ov", {"--overwrite"}),
        ("emberharmony plan --sam", {"--sample"}),
        ("emberharmony run conf", set()),  # then the shell completes files
        ("emberharmony status data/fl", set()),
    ],
)
def test_shells_complete_commands_options_and_files(words, completed):
    variables = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    bash = RUNNER.invoke(app, [], env=variables | {"_EMBERHARMONY_COMPLETE": "complete_bash"}, prog_name="emberharmony")
    assert set(bash.output.split()) == completed
    variables = {"_EMBERHARMONY_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
    zsh = RUNNER.invoke(app, [], env=variables, prog_name="emberharmony").output
    assert all(f'"{name}"' in zsh for name in completed)
    assert ("_files" in zsh) == (not completed)


def test_the_script_of_a_shell_falls_back_to_files(monkeypatch):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")  # whichever started the tests
    script = RUNNER.invoke(app, ["--show-completion"], prog_name="emberharmony").output
    assert "complete -o default -F" in script
    assert "_EMBERHARMONY_COMPLETE=complete_bash" in script


def test_a_job_of_another_command_names_it(tmp_path):
    (tmp_path / "apply.yaml").write_text("state: there\nsource: {path: t.parquet}\nsink: {path: out}\n")
    (tmp_path / "job.yaml").write_text("source: {path: t.parquet}\nsink: {path: out}\nwindows: {size: 3}\n")
    for command in ("run", "fit"):
        refused = str(run(command, tmp_path / "apply.yaml").exception)
        assert f"Run: emberharmony apply {tmp_path}/apply.yaml" in refused
    assert "it is a job of `emberharmony run` or `fit`" in str(run("apply", tmp_path / "job.yaml").exception)


def test_backends_as_json():
    rows = {row["name"]: row for row in json.loads(run("backends", "--json").output)}
    assert rows.keys() == {"numpy", "torch", "mlx"}
    assert rows["numpy"]["installed"]
    assert sum(row["chosen"] for row in rows.values()) == 1


def test_backends_that_are_missing_tell_how_to_install_them(monkeypatch):
    monkeypatch.setattr("emberharmony.backend._selection.find_spec", lambda package: None if package == "torch" else package)
    printed = run("backends").output
    assert "pip install 'emberharmony[torch]'" in printed
    assert printed.startswith("   backend  version")


@pytest.mark.parametrize("arguments", [["backends"], ["run", "job.yaml", "--quiet"]])
def test_an_unknown_backend_of_the_environment_is_told_as_such(job, monkeypatch, capsys, arguments):
    data = yaml.safe_load(job.read_text())
    job.write_text(yaml.safe_dump(data | {"runtime": {"engine": "local"}}))
    monkeypatch.chdir(job.parent)
    monkeypatch.setenv("EMBERHARMONY_BACKEND", "nunpy")
    monkeypatch.setattr("sys.argv", ["emberharmony", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("error: EMBERHARMONY_BACKEND: Unknown backend 'nunpy'. Supported: numpy,")


@pytest.mark.parametrize("name", ["table.parquet", None])
def test_the_last_resort_is_for_files_only(monkeypatch, capsys, name):
    """What the system says of a file is told in a line; another error of its kind may be ours, and shows where it is from."""
    error = OSError(errno.EBUSY, "Device or resource busy", name)
    monkeypatch.setattr("flows.cli.app.app", lambda: (_ for _ in ()).throw(error))
    with pytest.raises(SystemExit if name else OSError) as caught:
        main()
    if name:
        assert caught.value.code == 1
        assert "error: table.parquet cannot be used: device or resource busy." in capsys.readouterr().err
