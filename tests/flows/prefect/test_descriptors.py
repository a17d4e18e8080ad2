"""A process that is started without standard streams opens its files under other numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, sys
from flows.prefect.descriptors import occupy_descriptors
report = os.dup(int(sys.argv[1]))  # above the numbers of the standard streams
for closed in sys.argv[2:]:
    os.close(int(closed))
occupy_descriptors()
opened = os.open(os.devnull, os.O_RDONLY)
targets = [os.readlink(f"/proc/self/fd/{n}") for n in range(3)]
os.write(report, repr([opened > 2, [t == os.devnull for t in targets]]).encode())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("closed", [[], [0], [1, 2], [0, 1, 2]], ids=str)
def test_closed_streams_are_taken_by_the_null_device(tmp_path, closed):
    with (tmp_path / "report").open("w+") as file:
        command = [sys.executable, "-c", CODE, str(file.fileno()), *map(str, closed)]
        with (tmp_path / "stream").open("w+") as stream:
            streams = {"stdin": stream, "stdout": stream, "stderr": stream}
            subprocess.run(command, pass_fds=[file.fileno()], check=True, **streams)
        file.seek(0)
        assert file.read() == repr([True, [n in closed for n in range(3)]])
