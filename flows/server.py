"""A Prefect server for the length of one run, where no other is configured.

Prefect would start one as well, but only when the flow begins, and would leave it behind if the run were killed. This one
starts while the rest is still being imported, and ends with the process that started it, whatever ends that.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_TIMEOUT_S = 10.0
START_TIMEOUT_S = 120.0
_LOCAL = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


@contextmanager
def server_if_needed() -> Iterator[None]:
    """Have a Prefect server for the length of the block: the one that is configured, or one of our own."""
    if _configured():
        yield
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)  # requests wait here until the server takes them
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server", str(listener.fileno())],
            stdin=subprocess.PIPE,  # never written to: its end tells the server that we are gone
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            env={**os.environ, **_LOCAL},
            start_new_session=True,  # Ctrl-C is for the run, which ends the server when it is over itself
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    try:
        with _using(url, process):
            yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()


@contextmanager
def _using(url: str, process: subprocess.Popen[bytes]) -> Iterator[None]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    import flows.extract  # noqa: F401 - two seconds in which the server starts

    _wait_until_ready(url, process)
    with temporary_settings({PREFECT_API_URL: url}):
        try:
            yield
        finally:
            from prefect.events.worker import EventsWorker

            EventsWorker.drain_all(timeout=STOP_TIMEOUT_S)  # the last states of the run are on their way


def _configured() -> bool:
    """Whether there is a server to use; Prefect is asked, and so imported, only if it may know of one."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    if "prefect" not in sys.modules and not (home / "profiles.toml").exists() and not Path("prefect.toml").exists():
        return False
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    import httpx

    from emberharmony.errors import TerminalError

    try:
        httpx.get(f"{url}/health", timeout=START_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        reason = f"it ended with status {process.poll()}" if process.poll() is not None else str(error)
        raise TerminalError(
            f"Prefect's own server did not start: {reason}. Say `prefect server start` and set PREFECT_API_URL, or run "
            f"without Prefect: --set runtime.engine=none."
        ) from error


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve until told to stop, or until the process that started this one is gone."""
    import uvicorn

    threading.Thread(target=_end_with_parent, daemon=True).start()
    uvicorn.run("prefect.server.api.server:create_app", factory=True, fd=int(sys.argv[1]), log_level="critical", lifespan="on")


if __name__ == "__main__":
    main()
