"""Printing to streams that are full, closed, narrow, or know no Unicode; and names that would steer a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flows.cli import console
from flows.cli.app import main
from flows.cli.console import run_and_show
from flows.cli.streams import OutputError, StandardError, output_errors, prepare_streams
from flows.config.job import load_job
from tests.jobs import small_table, write_job

NAME = "größe\x1b[2J\u202e→"
ESCAPED = r"größe\x1b[2J\u202e→"
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")


@pytest.fixture
def job(tmp_path):
    return write_job(tmp_path, small_table(200).append_column(NAME, pa.array(np.ones(200))))


def is_published(job):
    return (job.parent / "out/manifest.json").exists()


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full_disk():
    return Path("/dev/full").open("w")


@pytest.fixture
def stdout_is(monkeypatch):
    streams = []
    # Of its own: what could not be written stays in the console, and would come before the output of other tests.
    monkeypatch.setattr(console, "_out", type(console._out)(highlight=False, soft_wrap=True))

    def put(stream):
        streams.append(stream)
        monkeypatch.setattr(sys, "stdout", stream)

    yield put
    for stream in streams:
        stream.close()


def ended(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["emberharmony", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@full
@pytest.mark.parametrize("again", [False, True])
def test_a_full_disk_takes_no_summary_of_a_result_that_is_published(job, stdout_is, monkeypatch, capsys, again):
    if again:
        run_and_show(load_job(job), overwrite=False, quiet=True)
    stdout_is(full_disk())
    assert ended(monkeypatch, "run", job, "--quiet") == 0
    assert is_published(job)
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {job.parent}/out is published, but the summary cannot be printed: no space left")
    sys.stdout.flush()  # what the interpreter does at its end


def test_whoever_reads_a_pipe_may_have_read_enough(job, stdout_is, monkeypatch, capsys):
    stdout_is(closed_pipe())
    assert ended(monkeypatch, "run", job, "--quiet") == 0
    assert is_published(job)
    assert capsys.readouterr().err == ""


@full
@pytest.mark.parametrize("arguments", [["plan"], ["settings"], ["backends"], ["--help"], ["--version"]])
def test_a_full_disk_is_an_error_of_what_only_prints(job, stdout_is, monkeypatch, capsys, arguments):
    stdout_is(full_disk())
    assert ended(monkeypatch, *arguments, *([job] if arguments == ["plan"] else [])) == 1
    assert capsys.readouterr().err == "error: Standard output cannot be written: no space left on device.\n"


@full
def test_a_run_goes_on_without_a_screen(job, monkeypatch, capsys):
    with full_disk() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        run_and_show(load_job(job), overwrite=False, quiet=False)
    assert is_published(job)
    assert "200 read" in capsys.readouterr().out


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "closed"])
def test_standard_error_that_is_not_there(monkeypatch, stream):
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert StandardError().write("lost") == 4
    StandardError().flush()


def test_characters_that_an_encoding_lacks_are_escaped(job, stdout_is, monkeypatch):
    content = io.BytesIO()
    stdout_is(io.TextIOWrapper(content, "ascii", write_through=True))
    assert ended(monkeypatch, "plan", job) == 0
    assert rb"gr\xf6\xdfe\x1b[2J\u202e\u2192  double" in content.getvalue()
    assert content.getvalue().isascii()


@pytest.mark.parametrize("columns", ["0", "", "00"])
def test_a_width_of_nothing_is_no_width(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    prepare_streams()
    assert "COLUMNS" not in os.environ


def test_a_width_stays(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    prepare_streams()
    assert os.environ["COLUMNS"] == "40"


def test_only_errors_of_the_stream_are_translated(stdout_is):
    stdout_is(closed_pipe())
    with pytest.raises(OutputError, match=r"^Standard output cannot be written: broken pipe\.$"), output_errors():
        print("x", flush=True)


@pytest.mark.parametrize(("closed", "printed"), [("<&- >&- 2>&-", ""), ("<&- 2>&-", "200 read")])
def test_standard_streams_that_are_closed(job, closed, printed):
    """No file of the result may get the number of a closed stream, and be printed into."""
    command = f'"{Path(sys.executable).with_name("emberharmony")}" run "{job}" {closed}'
    environment = {**os.environ, "COLUMNS": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0
    assert printed in done.stdout
    assert bool(done.stdout) == bool(printed)
    assert done.stderr == ""
    manifest = json.loads((job.parent / "out/manifest.json").read_text())
    assert all((job.parent / "out" / file["name"]).stat().st_size == file["n_bytes"] for file in manifest["files"])


CLOSED = """
import os, socket, sys
from flows.prefect.descriptors import occupy_descriptors
for number in {closed}:
    os.close(number)
occupy_descriptors()
with open(sys.argv[1], "w") as file, socket.socket() as listener:
    for number in {closed}:
        os.write(number, b"a library's last words")
    file.write(str(min(file.fileno(), listener.fileno()) > 2))
"""


@pytest.mark.parametrize("closed", [[0], [0, 1, 2]], ids=str)
def test_no_file_or_socket_takes_the_number_of_a_closed_stream(tmp_path, closed):
    told = tmp_path / "told"
    subprocess.run([sys.executable, "-c", CLOSED.format(closed=closed), told], check=True)
    assert told.read_text() == "True"


def test_what_others_print_while_bars_are_shown_appears_above_them(monkeypatch):
    from rich.console import Console
    from rich.progress import Progress

    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    console = Console(file=StandardError(), force_terminal=True, width=80)
    with Progress(console=console) as bars:
        bars.add_task("a stage", total=1)
        console.print("a warning")
        print("a library's line", file=sys.stderr)
    assert sys.stderr is screen
    assert all(text in screen.getvalue() for text in ("a warning", "a library's line", "a stage"))
