"""Start and stop `local-bigquery`, the BigQuery server of the integration tests, in a Python 3.13 environment of its own.

Needs nothing but the standard library, so that `make emulator` can run it before anything is installed::

    python tests/integration/emulator/server.py setup    # makes the environment; a second call is quick
    python tests/integration/emulator/server.py serve    # runs a server until interrupted, and prints its addresses
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".venv-emulator"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
SCRIPT = Path(__file__).with_name("quick.py")
PROJECT = "emberharmony-test"
START_TIMEOUT_S = 60.0

# DuckDB would download these; the packages carry them, and importing puts them where DuckDB looks, once per HOME.
_IMPORT_EXTENSIONS = """
import duckdb
from duckdb_extensions import import_extension

connection = duckdb.connect()
for name in ("icu", "ducklake", "spatial", "avro"):
    import_extension(name, con=connection)
"""


# DuckDB plans each query with tens of thousands of small objects, which glibc gives and takes sooner from a larger cache.
_TUNABLES = "glibc.malloc.tcache_count=65000:glibc.malloc.tcache_max=8192"


class EmulatorError(RuntimeError):
    """The emulator cannot be set up or started: the test run must fail, never skip."""


@dataclass(frozen=True)
class Emulator:
    """A running server; `gcs` is the folder that gs:// addresses map into."""

    project: str
    rest_url: str
    grpc_address: str
    gcs: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)


def _candidates() -> list[str]:
    named = os.environ.get("EMBERHARMONY_PYTHON313")
    found = [named] if named else []
    found += [path for path in [shutil.which("python3.13")] if path]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += [str(path) for path in sorted(pyenv.glob("versions/3.13.*/bin/python"), reverse=True)]
    return found


def _is_python313(path: str) -> bool:
    # A pyenv shim called python3.13 may lie on PATH and still refuse to run.
    command = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == "3.13"


def find_python() -> str:
    """Path of a Python 3.13: `EMBERHARMONY_PYTHON313`, then PATH, then pyenv's versions."""
    for path in _candidates():
        if _is_python313(path):
            return path
    raise EmulatorError(
        "The BigQuery emulator of the integration tests needs Python 3.13, and none was found. Install python3.13, "
        "or set EMBERHARMONY_PYTHON313 to its path."
    )


def set_up() -> None:
    """Make the emulator's environment from the locked versions; returns at once where it is up to date."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    stamp = ENVIRONMENT / "emulator-requirements.sha256"
    if stamp.exists() and stamp.read_text() == digest:
        return
    python = find_python()
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    _run([python, "-m", "venv", str(ENVIRONMENT)])
    inside = str(ENVIRONMENT / "bin" / "python")
    _run([inside, "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(REQUIREMENTS)])
    _run([inside, "-c", _IMPORT_EXTENSIONS], env=_environment(ENVIRONMENT / "home"))
    stamp.write_text(digest)


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EmulatorError(f"Setting up the BigQuery emulator failed at {' '.join(command)}:\n{done.stderr[-4000:]}")


def _environment(home: Path) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    # HOME of its own: DuckDB keeps its extensions there, and the user's own files stay untouched.
    return {"HOME": str(home), "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(directory: Path, *, project: str = PROJECT) -> Emulator:
    """Start a server that keeps its data under `directory`; returns once it answers.

    Raises
    ------
    EmulatorError
        If the server ends or does not answer in time; the end of its log is in the message.
    """
    set_up()
    directory.mkdir(parents=True, exist_ok=True)
    gcs = directory / "gcs"
    gcs.mkdir(exist_ok=True)
    port, grpc_port = free_port(), free_port()
    command = [str(ENVIRONMENT / "bin" / "python"), str(SCRIPT), "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(grpc_port)]
    command += ["--project", project, "--data-dir", str(directory / "data")]
    log = directory / "server.log"
    environment = {**_environment(ENVIRONMENT / "home"), "GCS_LOCAL_ROOT": str(gcs), "GLIBC_TUNABLES": _TUNABLES}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    emulator = Emulator(project, f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", gcs, process)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(emulator):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait(timeout=10)
            raise EmulatorError(f"The BigQuery emulator did not start:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)
    return emulator


def _answers(emulator: Emulator) -> bool:
    # No proxy: the address is this machine's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{emulator.rest_url}/bigquery/v2/projects/{emulator.project}/datasets", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def main(arguments: list[str]) -> int:
    if arguments == ["setup"]:
        set_up()
        return 0
    if arguments == ["serve"]:
        with tempfile.TemporaryDirectory() as directory:
            emulator = start(Path(directory))
            sys.stdout.write(f"project {emulator.project}  REST {emulator.rest_url}  gRPC {emulator.grpc_address}\n")
            sys.stdout.flush()
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                emulator.process.wait()
            except KeyboardInterrupt:
                emulator.stop()
        return 0
    sys.stderr.write(f"usage: {Path(__file__).name} setup | serve\n")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EmulatorError as error:
        sys.exit(str(error))
