"""A fork does what a new process does."""

from __future__ import annotations

import multiprocessing
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.victims import wait_until
from tests.integration import hosts
from tests.servers.forks import ROOT, STAND_IN, Forks, _Server, fork_server

pytestmark = pytest.mark.xdist_group("pools")  # which has a server of forks

WAITING = """
import os, signal, time
def stop(*_):
    os.write(1, b"stopped\\n")  # the signal may come while Python writes the first line
    raise SystemExit(7)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), flush=True)
time.sleep(300)
"""


def ended(command: list[str], **options: Any) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)
    return done.returncode, done.stdout, done.stderr


def plain_environment() -> dict[str, str]:
    """Ours, without settings of Prefect: a run in this process leaves some for the processes that it starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


STATE = """
import logging, os, sys, time
print(sys.argv, sys.orig_argv[1:], sys.executable, __name__, sys.flags)
print(os.getcwd(), sys.path, sorted(os.environ.items()), time.localtime(0).tm_hour)
print(input(), input(), [number for number in range(3, 50) if os.path.exists(f"/proc/self/fd/{number}")])
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.encoding, stream.errors, stream.line_buffering, stream.seekable())
if os.environ.get("PYTHONSAFEPATH"):
    sys.exit()
import emberharmony, flows.extract, prefect.main, prefect.settings
print(emberharmony.__file__, flows.__file__, flows.extract.extract.retries)
print(prefect.settings.get_current_settings().home, prefect.settings.get_current_settings().api.url)
for name in ("prefect", "prefect.flow_runs", None):
    logger = logging.getLogger(name)
    print(logger.level, logger.propagate, [(type(handler), handler.level) for handler in logger.handlers])
"""
ENDS = {
    "a status": "import sys; print('x', end=''); sys.exit(3)",
    "no status": "raise SystemExit",
    "a large status": "raise SystemExit(259)",
    "words": "raise SystemExit('these words')",
    "an error": "raise LookupError('lost')",
    "an interrupt": "raise KeyboardInterrupt",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "terminated": "import os; os.kill(os.getpid(), 15)",
    "at exit": "import atexit; atexit.register(print, 'the end')",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.05), print('it ended'))).start()",
}


@pytest.mark.parametrize("safe", [{}, {"PYTHONSAFEPATH": "1"}], ids=["folder in the path", "safe path"])
def test_a_fork_has_what_a_new_process_has(forks: Forks, tmp_path: Path, safe: dict[str, str]):
    own = {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": "http://x/api", "PYTHONPATH": str(ROOT)}
    settings = {"PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_FLOWS_DEFAULT_RETRIES": "4", "TZ": "Pacific/Kiritimati"}
    options = {"cwd": tmp_path, "env": plain_environment() | own | settings | safe, "input": "one\ntwo\n"}
    arguments = ["-c", STATE, "first", "--second"]
    with (tmp_path / "file").open("w") as file:
        new = ended([sys.executable, *arguments], pass_fds=[file.fileno()], **options)
        fork = ended(forks.command(*arguments), pass_fds=[file.fileno()], **options)
    flags = re.compile("safe_path=(True|False)")  # cannot be changed
    assert (fork[0], flags.sub("", fork[1]), fork[2]) == (0, flags.sub("", new[1]), "")


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_a_fork_ends_as_a_new_process_does(forks: Forks, program: str):
    def without_trace(end: tuple[int, str, str]) -> tuple[int, str, str]:
        return *end[:2], end[2].strip().split("\n")[-1]

    fork = without_trace(ended(forks.command("-c", program)))
    assert fork == without_trace(ended([sys.executable, "-c", program]))


def test_a_fork_ignores_the_warnings_that_a_new_process_does(forks: Forks):
    program = "import warnings; warnings.warn('this'); warnings.warn('that')"
    arguments = ["-Wignore:this:UserWarning", "-B", "-c", program]
    fork = ended(forks.command(*arguments), env=plain_environment())
    assert fork == ended([sys.executable, *arguments], env=plain_environment())
    assert fork[2].count("Warning: that") == 1


def test_a_module_runs_as_main(forks: Forks, tmp_path: Path):
    arguments = ["-m", "json.tool", "--compact", "--no-ensure-ascii"]
    assert ended(forks.command(*arguments), input='{"é": 1}', cwd=tmp_path) == (0, '{"é":1}\n', "")
    status, _, err = ended(forks.command("-m", "prefect.engine"), env=plain_environment() | {"PREFECT__FLOW_RUN_ID": "none"})
    assert (status, "Invalid flow run id" in err) == (1, True)


@pytest.mark.parametrize("flags", [[], ["-P"]], ids=["folder in the path", "safe path"])
def test_a_file_runs_as_main(forks: Forks, tmp_path: Path, flags: list[str]):
    (tmp_path / "program.py").write_text("import sys; print(sys.argv, sys.path, __name__, __file__)")
    arguments = [*flags, str(tmp_path / "program.py"), "an argument"]
    assert ended(forks.command(*arguments)) == ended([sys.executable, *arguments])


def test_forks_take_the_place_of_new_processes(forks: Forks):
    with forks.instead_of_new_processes():
        command = [sys.executable, "-P", "-c", WAITING, "an argument"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        fork = psutil.Process(int(process.stdout.readline()))
        assert fork.parent().ppid() == os.getpid()
        assert fork.pid != process.pid
        assert [word for word in fork.cmdline() if word][1:] == command[1:]
        process.kill()


def test_forks_take_the_place_of_spawned_processes(forks: Forks):
    with forks.instead_of_spawned_processes():
        process = multiprocessing.get_context("spawn").Process(target=signal.pause)
        process.start()
    wait_until(lambda: str(STAND_IN) in psutil.Process(process.pid).cmdline())
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_signals_reach_a_fork(forks: Forks):
    with subprocess.Popen(forks.command("-c", WAITING), stdout=subprocess.PIPE, text=True) as process:
        fork = psutil.Process(int(process.stdout.readline()))
        assert process.poll() is None
        process.terminate()
        assert (process.stdout.read(), process.wait()) == ("stopped\n", 7)
    assert not running(fork)


def test_killing_the_stand_in_kills_the_fork(forks: Forks):
    with subprocess.Popen(forks.command("-c", WAITING), stdout=subprocess.PIPE, text=True) as process:
        fork = psutil.Process(int(process.stdout.readline()))
        process.kill()
        assert (process.stdout.read(), process.wait()) == ("", -signal.SIGKILL)
    wait_until(lambda: not running(fork))


def test_a_fork_may_end_just_before_its_stand_in(monkeypatch):
    """Both ends are told at once: the fork's process is gone, and nobody kills whoever has its number now."""
    server, fork = object.__new__(_Server), subprocess.Popen(["true"])
    (ended, _), (connection, _), (listener, _) = pairs = [socket.socketpair() for _ in range(3)]
    server._listener, server._ended, server._children = listener, ended.fileno(), {fork.pid: connection}
    with selectors.DefaultSelector() as events:
        server._events = events
        for source in (server._ended, listener):
            events.register(source, selectors.EVENT_READ)
        events.register(connection, selectors.EVENT_READ, fork.pid)
        told = [(events.get_key(source), selectors.EVENT_READ) for source in (server._ended, connection, listener)]
        monkeypatch.setattr(events, "select", iter([told]).__next__)
        monkeypatch.setattr(server, "_tell_of_the_ended", lambda: forget(server, fork))
        monkeypatch.setattr(server, "_fork", lambda: ({"the": "next one"}, []))
        assert server.next() == ({"the": "next one"}, [])
    for pair in pairs:
        for one in pair:
            one.close()


@pytest.mark.parametrize("sent", [b"", b"\0\0", (100).to_bytes(4), (100).to_bytes(4) + b"{"])
def test_who_asks_may_be_killed_before_it_has_asked(forks: Forks, sent: bytes):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(forks.command()[-1])
        if sent:
            gone.sendall(sent)
    assert ended(forks.command("-c", "print('the next one')"))[1] == "the next one\n"


def forget(server: _Server, fork: subprocess.Popen[bytes]) -> None:
    """Do what the server does when a fork has ended, for one child of this process only."""
    assert fork.wait(60) == 0
    connection = server._children.pop(fork.pid)
    server._events.unregister(connection)
    connection.close()


def test_a_killed_fork_is_told_as_such(forks: Forks):
    with subprocess.Popen(forks.command("-c", WAITING), stdout=subprocess.PIPE, text=True) as process:
        os.kill(int(process.stdout.readline()), signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_forks_end_with_their_server():
    with fork_server([]) as own:
        process = subprocess.Popen(own.command("-c", WAITING), stdout=subprocess.PIPE, text=True)
        fork = psutil.Process(int(process.stdout.readline()))
    with process:
        assert process.wait() == 70
    wait_until(lambda: not running(fork))


@pytest.mark.skipif(bool(hosts.why_not()), reason=hosts.why_not())
def test_a_fork_sees_the_files_of_its_host(forks: Forks, tmp_path: Path):
    (tmp_path / "hidden").touch()
    look = f"import os; print(os.listdir({str(tmp_path)!r}))"
    isolated = [*hosts.UNSHARE, "sh", "-c", 'mount -t tmpfs none "$0" && touch "$0/own" && exec "$@"', str(tmp_path)]
    assert ended([*isolated, *forks.command("-c", look)]) == (0, "['own']\n", "")
    assert ended(forks.command("-c", look)) == (0, "['hidden']\n", "")


def running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
