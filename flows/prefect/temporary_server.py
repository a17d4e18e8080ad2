"""A Prefect server for the length of one run, with a database of its own.

Prefect can start a server too, but only when the flow begins, with the user's database, and it would stay if the run were
killed. This one starts while imports are still going on, shares nothing with other runs, restarts if it dies, and ends with
the process that started it.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from flows.prefect.descriptors import occupy_descriptors
from flows.prefect.private import SERVER_FACTORY, SERVER_OF_ONE_PROCESS

SCRIPT = str(Path(__file__).with_name("server_process.py"))
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
MAX_RESTARTS = 3
MAX_COPIED_BYTES = 100 * 2**20
"""A larger user database is mostly history; copying it would take longer than creating one."""
COPY_TIMEOUT_S = 5.0

_SHARED = ("PREFECT_SERVER_", "PREFECT_API_DATABASE_", "PREFECT_PROFILE", "PREFECT_API_URL")
"""Settings of a shared server, such as its database, password and paths, which this one must not use."""
_OWN = {
    "PREFECT_UI_ENABLED": "0",
    **SERVER_OF_ONE_PROCESS,
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Blocks register their types when they are saved; all types that are installed take a second.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    # Otherwise the server imports Prefect's integrations, and with them Dask, Ray and BigQuery, and then registers none of
    # their types: measured, half of the start.
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    # Measured: a quarter of the server's time for each task run.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    # Nobody reads stored events: the database goes with the run, and automations get theirs as they arrive. Measured: half of
    # the server's time for each task run.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
}

_log = logging.getLogger(__name__)


class ServerDiedError(Exception):
    """The server ended before it answered."""


class TemporaryServer:
    """A server process on a free port of this machine, and the folder that holds its database."""

    def __init__(self, home: Path) -> None:
        self._home_database = home / "prefect.db"
        self._folder = Path(tempfile.mkdtemp(prefix="emberharmony-prefect-"))
        self._database = self._folder / "prefect.db"
        self._log_path = self._folder / "server.log"
        self.certificate = self._folder / "certificate.pem"
        write_one_certificate(self.certificate)
        self._is_copy = _copy_database(self._home_database, self._database)
        self._listener = _listener()
        self._lock = threading.Lock()
        self._stopping = False
        self._process = self._start_process()

    @property
    def url(self) -> str:
        """Address of its API."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/api"

    def wait_until_ready(self) -> None:
        """Wait until the server answers. After that, it restarts if it dies.

        Raises
        ------
        ServerDiedError
            If it ends instead, or does not answer in time.
        """
        try:
            self._wait_for_answer()
        except ServerDiedError:
            if not self._is_copy:
                raise
            _log.info("The copy of %s is of no use to this version of Prefect; a new database is made.", self._home_database)
            self._end_process()
            self._is_copy = False
            self._database.unlink(missing_ok=True)
            self._process = self._start_process()
            self._wait_for_answer()
        threading.Thread(target=self._keep_running, name="prefect-server", daemon=True).start()
        if not self._is_copy:
            # Making a database takes half of the start; the next run copies this one.
            _keep_database(self._database, self._home_database)

    def stop(self) -> None:
        """End the server, and remove its files."""
        with self._lock:
            self._stopping = True
        self._end_process()
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_process(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_SHARED)}
        paths = [str(Path(path).absolute()) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        own = {
            "PREFECT_HOME": str(self._folder),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self._database}",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        with self._log_path.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-P", SCRIPT, str(self._listener.fileno()), str(self._folder), SERVER_FACTORY],
                stdin=subprocess.PIPE,  # never written to: its end tells the server that we are gone
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[self._listener.fileno()],
                env={**environment, **_OWN, **own},
                cwd=self._folder,  # no settings of the folder in which the run was started
                start_new_session=True,  # Ctrl-C is for the run, which ends the server when it is over itself
            )

    def _wait_for_answer(self) -> None:
        import httpx

        end = time.monotonic() + START_TIMEOUT_S
        # One client: each reads all certificates, also for a server without TLS.
        with httpx.Client(timeout=1.0, trust_env=False) as client:
            while time.monotonic() < end:
                with suppress(httpx.HTTPError):
                    client.get(f"{self.url}/health").raise_for_status()
                    return
                if self._process.poll() is not None:
                    said = self._log_path.read_text(errors="replace").split("\n")
                    last = next((line for line in reversed(said) if line.strip()), "")
                    raise ServerDiedError(f"it ended with status {self._process.poll()}{last and f' ({last.strip()})'}")
        raise ServerDiedError(f"it did not answer within {START_TIMEOUT_S:.0f} s")

    def _keep_running(self) -> None:
        """Restart the server when it dies; meanwhile requests wait at its port."""
        for left in reversed(range(MAX_RESTARTS + 1)):
            status = self._process.wait()
            with self._lock:
                if self._stopping:
                    return
                if not left:
                    break
                _log.warning("The run's temporary Prefect server ended (status %d). It is started again.", status)
                assert self._process.stdin is not None
                self._process.stdin.close()
                self._process = self._start_process()
        _log.warning("The run's temporary Prefect server ended %d times, and is not started again.", MAX_RESTARTS + 1)
        self._listener.close()  # refuses what would wait for ever

    def _end_process(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def write_one_certificate(path: Path) -> None:
    """Write one of the certificates that come with Python's libraries, for ``PREFECT_API_SSL_CERT_FILE``.

    Prefect makes two clients for a task run on Dask or Ray, and each reads all certificates, also for a server without TLS:
    measured, 20 ms instead of 0.6.
    """
    import certifi

    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    path.write_text(f"{first}{end}\n", encoding="utf-8")


@contextmanager
def temporary_server(home: Path) -> Iterator[TemporaryServer]:
    """Provide a server of this run during the block. It is still starting when the block begins."""
    occupy_descriptors()  # the socket must not be the server's standard input
    try:
        server = TemporaryServer(home)
    except OSError as error:
        raise ServerDiedError(f"{error} (the folder for temporary files is set by TMPDIR)") from error
    try:
        yield server
    finally:
        server.stop()


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)  # requests wait here until the server takes them
    return listener


def _copy_database(source: Path, target: Path) -> bool:
    """Copy a SQLite database that others may be using, if it is sound and small; returns whether that was done.

    A copy needs no migrations, and contains the blocks that the user has saved.
    """
    end = time.monotonic() + COPY_TIMEOUT_S

    def check_time(*_: int) -> None:
        if time.monotonic() > end:  # otherwise it would wait for a locked database without end
            raise TimeoutError

    try:
        if not 0 < source.stat().st_size <= MAX_COPIED_BYTES:
            return False
        name = f"file:{quote(str(source.absolute()))}?mode=ro"
        with closing(sqlite3.connect(name, uri=True, timeout=1.0)) as theirs, closing(sqlite3.connect(target)) as ours:
            theirs.backup(ours, progress=check_time, sleep=0.1)
            ours.execute("PRAGMA journal_mode=DELETE")  # one file
            if ours.execute("PRAGMA quick_check").fetchone() == ("ok",):
                return True
    except (sqlite3.Error, OSError):
        pass
    with suppress(OSError):
        target.unlink(missing_ok=True)
    return False


def _keep_database(source: Path, target: Path) -> None:
    """Save a copy of a database if there is none yet. Atomic; the first of several runs wins."""
    if target.exists():
        return
    with suppress(sqlite3.Error, OSError), tempfile.TemporaryDirectory(dir=target.parent, prefix=".prefect-") as folder:
        copy = Path(folder) / target.name
        if _copy_database(source, copy):
            os.link(copy, target)
