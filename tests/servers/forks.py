"""A server of forks: processes that have imported Prefect and our libraries when they start.

A new process of Prefect spends 2 to 4 s of CPU time on imports. Here one process does that, and forks for each that is asked
for by `tests.servers.forked`. What is read at import is read again in the fork: Prefect's settings and loggers. The flows and
tasks are imported there, since Prefect gives them defaults from its settings when they are defined.

Nothing but imports may happen before the fork: threads, clients and event loops do not survive it. The tests of imports, of
the start of a command, and some of each kind of process use new processes.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import multiprocessing.spawn
import os
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("forked.py")
PRELOADED = [
    "prefect.artifacts",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.runner",
    "prefect.utilities.visualization",
    "prefect.server.api.server",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "aiosqlite",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "prefect_gcp",
    "prefect_dask",
    "anyio._backends._asyncio",
    "pydantic.v1",
    "importlib_metadata._adapters",
    "email.policy",
    "emberharmony.pipeline.execute",
    "emberharmony.pipeline.slicing",
    "emberharmony.report.summary",
    "emberharmony.pipeline.stages",
    "emberharmony.backend._numpy",
    "emberharmony.backend._torch",
    "emberharmony.io.sources.parquet.slice",
    "emberharmony.io.sources.parquet.source",
    "emberharmony.io.sinks.parquet.publish",
    "emberharmony.io.sinks.delta.log",
    "pyarrow.acero",
    "pyarrow.dataset",
    "safetensors.numpy",
    "sklearn.decomposition",
    "tests.faults.preloaded",
]
"""What flow runs and Prefect's workers import; those load every integration that is installed."""

ROOM = 4000 * "."
"""An argument of the server: where its forks show their own arguments."""

FIRST_FREE = 1000
"""File descriptors from here on are unused in the server and in those that ask it."""


class Forks:
    """A running server of forks.

    Attributes
    ----------
    python : str
        Path of an executable that takes the place of `sys.executable`.
    """

    def __init__(self, folder: Path) -> None:
        self._command = [sys.executable, "-IS", str(STAND_IN), str(folder / "forks")]
        self.python = str(folder / "python")
        Path(self.python).write_text(f'#!/bin/sh\nexec {shlex.join(self._command)} "$@"\n')
        Path(self.python).chmod(0o700)

    def command(self, *arguments: str) -> list[str]:
        """Command of a process that a fork stands for; `arguments` are those of Python, such as ``-m prefect.engine``."""
        return [*self._command, *arguments]

    @contextmanager
    def instead_of_new_processes(self) -> Iterator[None]:
        """Fork whatever is started by `sys.executable` during the block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", self.python)
            yield

    @contextmanager
    def instead_of_spawned_processes(self) -> Iterator[None]:
        """Fork whatever `multiprocessing` spawns during the block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(multiprocessing.spawn, "_python_exe", self.python.encode())
            yield


@contextmanager
def fork_server(modules: Sequence[str] = PRELOADED) -> Iterator[Forks]:
    """Run a server that has imported these modules until the end of the block, and end its forks with it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/forks")
        listener.listen(64)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        server = subprocess.Popen(
            [sys.executable, "-c", f"from tests.servers.forks import serve; serve({listener.fileno()}, {modules!r})", ROOM],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env=environment | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": folder},
            cwd=folder,
            start_new_session=True,
        )
        try:
            yield Forks(Path(folder))
        finally:
            server.communicate()  # the end of its input ends it


# ---- the server ------------------------------------------------------------------------------------------------------------


def serve(listening: int, modules: Sequence[str]) -> None:
    """Fork for everyone who connects; returns in no process but the forks, when they have done their work."""
    own = {"", str(ROOT)}
    paths = [path for path in sys.path if path not in own]
    with _low_numbers_taken():
        for module in modules:
            import_module(module)
    assert not {"flows", "tasks"} & sys.modules.keys(), "they read settings of Prefect when they are imported"
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    _become(paths, *_Server(socket.socket(fileno=listening)).next())


@contextmanager
def _low_numbers_taken() -> Iterator[None]:
    """A library may keep a file open that it has found when it was imported: no fork may have another under this number."""
    null = os.open(os.devnull, os.O_RDWR)
    taken = [null, *(number for number in range(3, FIRST_FREE) if not Path(f"/proc/self/fd/{number}").exists())]
    for number in taken[1:]:
        os.dup2(null, number)
    yield
    for number in taken:
        os.close(number)


class _Server:
    """The children, by the connections of those who asked for them."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._children: dict[int, socket.socket] = {}
        self._ended, told = os.pipe()
        os.set_blocking(told, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        self._events = selectors.DefaultSelector()
        for source in (0, self._ended, listener):
            self._events.register(source, selectors.EVENT_READ)

    def next(self) -> tuple[dict[str, Any], list[int]]:
        """In a new fork: what was asked for, and its open files."""
        while True:
            for key, _ in self._events.select():
                if key.fd == 0:
                    self._end()
                elif key.fd == self._ended:
                    self._tell_of_the_ended()
                elif key.fileobj is self._listener:
                    if asked := self._fork():
                        return asked
                elif key.data in self._children:  # whoever asked is gone; it may have ended in the same moment as the fork
                    self._events.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)

    def _fork(self) -> tuple[dict[str, Any], list[int]] | None:
        connection, _ = self._listener.accept()
        size, files, _, _ = socket.recv_fds(connection, 4, 250)
        try:
            asked = json.loads(connection.recv(int.from_bytes(size), socket.MSG_WAITALL))
        except ValueError:  # whoever asked was killed meanwhile
            connection.close()
        else:
            child = os.fork()
            if child == 0:
                self._close(connection)
                return asked, files
            self._children[child] = connection
            self._events.register(connection, selectors.EVENT_READ, child)
            with suppress(OSError):  # whoever asked is gone, which is told next
                connection.sendall(f"{child}\n".encode())
        for number in files:
            os.close(number)
        return None

    def _close(self, connection: socket.socket) -> None:
        """Close what is the server's in a fork, or the garbage collector would, when others have these numbers."""
        self._events.close()
        for own in (self._listener, connection, *self._children.values()):
            own.close()

    def _tell_of_the_ended(self) -> None:
        os.read(self._ended, 4096)
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            connection = self._children.pop(child)
            with suppress(KeyError):
                self._events.unregister(connection)
            with suppress(OSError):
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            connection.close()

    def _end(self) -> None:
        for child in self._children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)


# ---- a fork ----------------------------------------------------------------------------------------------------------------


def _become(paths: list[str], asked: dict[str, Any], files: list[int]) -> None:
    """Do what a new process would do that got these arguments, and end as it would."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _enter_namespaces(asked["process"])
    _take(files, asked["files"])
    _open_streams()
    os.chdir(asked["folder"])
    environment = asked["environment"]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[:] = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *paths]
    run = _program(asked["arguments"], environment)
    _show_arguments(asked["arguments"])
    _read_settings_again()
    _exit(run)


def _enter_namespaces(process: int) -> None:
    """Share the files of a process that is on a host of its own, see `tests.integration.hosts`."""
    for kind in ("user", "mnt"):
        theirs = Path(f"/proc/{process}/ns/{kind}")
        if theirs.readlink() != Path(f"/proc/self/ns/{kind}").readlink():
            number = os.open(theirs, os.O_RDONLY)
            if ctypes.CDLL(None, use_errno=True).setns(number, 0) != 0:
                raise OSError(ctypes.get_errno(), f"setns {kind}")
            os.close(number)


def _take(files: list[int], numbers: list[int]) -> None:
    """Have these files open, under these numbers, and no others."""
    import fcntl

    safe = [fcntl.fcntl(file, fcntl.F_DUPFD, FIRST_FREE) for file in files]
    os.closerange(0, FIRST_FREE)
    for file, number in zip(safe, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def _open_streams() -> None:
    """Open the standard streams anew: those of the server know whether its own files can seek."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old, new = getattr(sys, f"__{name}__"), None
        with suppress(OSError):  # closed
            new = os.fdopen(number, "w" if number else "r", encoding=old.encoding, errors=old.errors, closefd=False)
            new.reconfigure(line_buffering=old.line_buffering, write_through=old.write_through)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _show_arguments(arguments: list[str]) -> None:
    """Make `ps` and psutil show these arguments of this process, which they read in its memory."""
    start, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    words = "\0".join([sys.executable, *arguments]).encode()[: end - start - 1]
    ctypes.memmove(start, words.ljust(end - start, b"\0"), end - start)


def _program(arguments: list[str], environment: dict[str, str]) -> Callable[[], object]:
    """What Python would run."""
    sys.orig_argv = [sys.executable, *arguments]
    n_flags = next(place for place, argument in enumerate(arguments) if not argument.startswith(("-B", "-P", "-W")))
    flags, (how, *own) = arguments[:n_flags], arguments[n_flags:]
    what = own.pop(0) if how in ("-c", "-m") else how
    sys.argv = [how, *own]
    if what.startswith("-"):
        raise ValueError(f"only -c, -m and files are known here, not {arguments}")
    warnings._processoptions([flag.removeprefix("-W") for flag in flags if flag.startswith("-W")])  # type: ignore[attr-defined]
    sys.dont_write_bytecode = "-B" in flags or bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    if "-P" not in flags and not environment.get("PYTHONSAFEPATH"):
        sys.path.insert(0, {"-c": "", "-m": str(Path.cwd())}.get(how, str(Path(how).parent)))
    if how == "-c":
        return lambda: exec(what, _new_main())
    if how != "-m":
        return lambda: runpy.run_path(what, run_name="__main__")
    sys.modules.pop(what, None)
    return lambda: runpy._run_module_as_main(what)  # type: ignore[attr-defined] # what `python -m` calls


def _new_main() -> dict[str, Any]:
    main = type(sys)("__main__")
    sys.modules["__main__"] = main
    return main.__dict__


def _read_settings_again() -> None:
    """Read what Prefect reads when it is imported: its profile, its settings, and those of its loggers."""
    if "prefect.context" not in sys.modules:
        return
    import prefect.context
    from prefect.logging import configuration

    prefect.context.refresh_global_settings_context()
    configuration.PROCESS_LOGGING_CONFIG.clear()
    configuration.setup_logging()


def _exit(run: Callable[[], object]) -> None:
    """Run a program and end as Python would, but for taking down its modules, which takes a tenth of a second."""
    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        traceback.print_exc()
        code = -signal.SIGINT
    except BaseException:  # noqa: BLE001 - as Python does
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # closed
            stream.flush()
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(int(code or 0) & 0xFF)
