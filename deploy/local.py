"""Start a server, pools and workers on this machine, and run the flights on them.

    make deploy-local                       # or: python -m deploy.local --home data/deployed --keep

Everything it starts ends with it; with `--keep`, server and workers run until Ctrl-C, so that you can look at the UI.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
POOLS = {"control": 1, "cpu": 1, "gpu": 1, "apple": 1}
"""Pools and their concurrency limits; in production a pool's limit is its number of GPUs or hosts."""


@contextlib.contextmanager
def local_deployment(home: Path, pools: Mapping[str, int] = POOLS, command: str | None = None) -> Iterator[dict[str, str]]:
    """Run a server, pools, deployments and one worker per pool; yields the environment variables that point to them.

    The workers start each flow run by `command`, which is Prefect's engine if it is not given.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    login = f"admin:{secrets.token_urlsafe(24)}"  # other users of this machine reach the port, too
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **settings_of(ROOT / "deploy/server.env", {**os.environ, "PREFECT_SERVER_API_AUTH_STRING": login}),
        "PREFECT_HOME": str(home / ".prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # instead of 10, so that shards start sooner
        "EMBERHARMONY_DATA": str(home / "data"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(local_server(environment, home / "server.log"))
        _prepare_server(environment, pools, command or f"{shlex.quote(sys.executable)} -m prefect.engine")
        _prefect(["--no-prompt", "deploy", "--all"], environment)
        for pool, limit in pools.items():
            stack.enter_context(local_worker(pool, limit, environment, home / f"worker-{pool}.log"))
        yield environment


@contextlib.contextmanager
def local_server(environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server on this machine, wait until it answers, and stop it at the end of the block."""
    api = environment["PREFECT_API_URL"]
    with _process(["prefect", "server", "start", "--port", str(urlsplit(api).port)], environment, log) as process:
        _wait_until_ready(api, log)
        yield process


def local_worker(
    pool: str, limit: int, environment: Mapping[str, str], log: Path
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Start a worker of a pool on this machine, and stop it at the end of the block."""
    command = ["prefect", "worker", "start", "--pool", pool, "--limit", str(limit), "--name", f"local-{pool}"]
    return _process(command, environment, log)


def run_flights(environment: Mapping[str, str], source: str, sink: str, runtime: Mapping[str, Any]) -> None:
    """Run the demo's job from the beginning on another table, by the deployment `extract/flights`."""
    settings = {"source.path": source, "sink.path": sink, "runtime.engine": "pools"}
    settings |= {f"runtime.{name}": value for name, value in runtime.items()}
    overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    run_and_wait("extract/flights", {"overrides": overrides, "overwrite": True}, environment)


def run_and_wait(deployment: str, parameters: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Run a deployment and wait for its end; raises a RuntimeError if the run fails."""
    command = ["deployment", "run", deployment, "--watch", "--watch-interval", "2"]
    for name, value in parameters.items():
        command += ["--param", f"{name}={json.dumps(value)}"]
    _prefect(command, environment)


def _prepare_server(environment: Mapping[str, str], pools: Mapping[str, int], command: str) -> None:
    """Create the pools and the automation, as deploy/README.md does with `prefect work-pool` and `deploy.zombies`."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from deploy.zombies import automation, register

    template = json.loads((ROOT / "deploy/templates/process.json").read_text())
    # Otherwise each flow run first starts Prefect to look for a project that is to be fetched, which takes a second or two.
    template["variables"]["properties"]["command"]["default"] = command
    with client_settings(environment):
        with get_client(sync_client=True) as client:
            for pool, limit in pools.items():
                wanted = WorkPoolCreate(name=pool, type="process", concurrency_limit=limit, base_job_template=template)
                client.create_work_pool(wanted, overwrite=True)
        register(automation())


def client_settings(environment: Mapping[str, str]) -> contextlib.AbstractContextManager[Any]:
    """Use the server of a local deployment for the length of the block."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    return temporary_settings(
        {
            PREFECT_API_URL: environment["PREFECT_API_URL"],
            PREFECT_API_AUTH_STRING: environment["PREFECT_API_AUTH_STRING"],
        }
    )


def settings_of(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a file like `server.env` sets, in an environment that has those which the file needs."""
    names = re.findall(r"^([A-Z_]+)=", path.read_text(), re.MULTILINE)
    shell = subprocess.run(
        ["sh", "-c", 'set -a; . "$0"; env -0', str(path)], env=dict(environment), capture_output=True, text=True, check=True
    )
    found = dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)
    return {name: found[name] for name in names}


def _prefect(arguments: list[str], environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "prefect", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"prefect {' '.join(arguments[:3])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "wb", opener=_private) as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)  # a worker stops on SIGINT
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait_until_ready(api: str, log: Path, timeout_s: float = 120.0) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{api}/health", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"The server did not start within {timeout_s:.0f} s; see {log}.")


def main() -> None:
    """Deploy, run the flights, and print which worker computed which chunks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--home", type=Path, default=Path("data/deployed"), help="folder of the server, the logs and the results"
    )
    parser.add_argument("--keep", action="store_true", help="leave server and workers running until Ctrl-C")
    options = parser.parse_args()
    try:
        _show(options.home.resolve(), keep=options.keep)
    except KeyboardInterrupt:
        raise SystemExit("\nStopped: server and workers have ended.") from None
    except RuntimeError as error:
        raise SystemExit(f"{error}\nThe logs of server and workers are {options.home}/*.log.") from None


def _show(home: Path, *, keep: bool) -> None:
    from emberharmony.published import open_result
    from flows.flights import prepare_flights

    _say(f"Starting a Prefect server, the pools {', '.join(POOLS)} and a worker for each (one minute)")
    with local_deployment(home) as environment:
        _say(f"Server and workers run. UI: {environment['PREFECT_API_URL'][:-4]}, logs: {home}")
        if keep:
            _say(f"The UI asks for the login that stands in {_note_login(home, environment)}, which a shell can read as well.")
        _say("Running extract/flights, which sends its chunks to the pools cpu, gpu and apple (two minutes)")
        # A shard for each pool and stage: starting a flow run takes longer than its chunks do.
        runtime = {"pools": {"cpu": 1, "gpu": 1, "apple": 1}, "chunk_rows": 40_000, "shard_chunks": 3, "workers": 1}
        sink = str(home / "data/flights-features")
        run_flights(environment, str(prepare_flights(home / "data/flights.parquet")), sink, runtime)
        manifest = open_result(sink).manifest
        _say(f"{manifest.source_rows:,} flights are in {sink}. Computed by:")
        for stage, hosts in manifest.computed.items():
            _say(f"  {stage:<10} " + "; ".join(f"{who}: chunks {chunks}" for who, chunks in hosts.items()))
        if keep:
            _say("Ctrl-C ends server and workers.")
            signal.pause()
        _say("Stopping server and workers. Use --keep to leave them running and look at the UI.")


def _note_login(home: Path, environment: Mapping[str, str]) -> Path:
    """Write down how clients reach the server, for this user alone: `set -a; . login.env; set +a; prefect ...`."""
    path = home / "login.env"
    with open(path, "w", opener=_private) as file:
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
            file.write(f"{name}={environment[name]}\n")
    return path


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
