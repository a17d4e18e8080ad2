"""What the command prints: names and messages as long as they may be, and none that steers a terminal."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from flows.cli.console import print_aligned, run_and_show, show_error, warnings_shown
from flows.cli.plan import show_plan
from flows.config.job import load_job
from tests.jobs import small_table, write_job, write_table

NAME = "größe\x1b[2J\u202e→"


ESCAPED = r"größe\x1b[2J\u202e→"


@pytest.fixture
def job(tmp_path):
    return write_job(tmp_path, small_table(200).append_column(NAME, pa.array(np.ones(200))))


def test_long_names_and_messages(job, capsys):
    """A plan shows every name whole, and pads none to the longest; a message is cut, whatever it quotes."""
    table = small_table(200).append_column("x" * 10_000, pa.array(np.ones(200)))
    write_table(table, job.parent / "table.parquet")
    show_plan(load_job(job))
    lengths = sorted(map(len, capsys.readouterr().out.splitlines()))
    assert lengths[-1] > 10_000
    assert lengths[-2] < 500
    show_error(DataError("x" * 1_000_000))
    assert len(capsys.readouterr().err) < 4_100


def test_names_do_not_steer_a_terminal(job, capsys):
    run_and_show(load_job(job), overwrite=False, quiet=True)
    told = capsys.readouterr()
    assert f"no features from {ESCAPED}: constant in training (1)" in told.out
    show_error(DataError(f"{NAME} and\n'\x07\r'"))
    with warnings_shown():
        logging.getLogger("flows").warning("The share %s is away.", NAME)
    err = capsys.readouterr().err
    assert err == f"error: {ESCAPED} and\n'\\x07\\r'\nwarning: The share {ESCAPED} is away.\n"
    assert not {"\x1b", "\u202e"} & {*told.out, *told.err, *err}


@pytest.mark.timeout(60)
def test_a_run_in_a_terminal_shows_bars_and_ends(job):
    """On a real one: the bars put a proxy in the place of standard error, which prints by the console that writes there."""
    master, slave = os.openpty()
    command = [sys.executable, "-c", "from flows.cli.app import main; main()", "run", str(job)]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(slave)
        shown = bytearray()
        while True:
            try:
                shown += os.read(master, 65_536)
            except OSError:  # the last one that had it open has ended
                break
    os.close(master)
    assert process.returncode == 0
    for stage in (b"profile", b"featurize", b"project", b"rows/s", b"\x1b[2K", b"\x1b[?25h", b"output"):
        assert stage in shown


def test_columns_are_as_wide_as_their_widest_cell_but_not_as_a_name_that_is_too_long(capsys):
    long = "n" * 70
    print_aligned([["a", "number"], ["colour", "text"]])
    print_aligned([["a", "number"], [long, "text"]])
    assert capsys.readouterr().out.splitlines() == ["a       number", "colour  text", f"{'a':<60}  number", f"{long}  text"]
