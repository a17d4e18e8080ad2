"""Run the console script in forks of one process, which has imported what a job on the local engine needs.

A new process spends 1.3 s of CPU time on imports. Tests of the start itself, such as tests/house/test_quiet.py, use new ones.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from typing import Any

PRELOADED = ["flows.cli.console", "flows.config.job", "flows.run", "emberharmony.pipeline.execute"]


def run_console(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `emberharmony` with these arguments and environment variables."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = {"arguments": arguments, "environment": environment, "cwd": str(Path.cwd()), "out": str(out), "err": str(err)}
        server.stdin.write(f"{json.dumps(asked)}\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())


@cache
def _server() -> subprocess.Popen[str]:
    code = "from tests.console import serve; serve()"
    server = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    atexit.register(server.communicate)  # the end of its input ends it
    return server


def serve() -> None:
    """Fork for every line of input, and print the exit status of the fork."""
    from importlib import import_module

    from flows.cli.startup import import_pyarrow_alone

    import_pyarrow_alone()
    for module in PRELOADED:
        import_module(module)
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _become_console(**json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become_console(arguments: list[str], environment: dict[str, str], cwd: str, out: str, err: str) -> Any:
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        file = os.open(path, mode | (os.O_CREAT | os.O_TRUNC if number else 0), 0o600)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["emberharmony", *arguments]
    from flows.cli.app import main

    status: object = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - a bug, which the tests look for in what was written
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))  # threads of libraries end badly in a fork
