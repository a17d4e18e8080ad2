"""Fixtures and settings for all tests: backends, Hypothesis, the flights, a Prefect server."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd  # noqa: F401 - before a test runs the command's main(), which keeps pandas away from pyarrow in its process
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings

from emberharmony.backend import using_backend
from emberharmony.planning.resident import resident_bytes
from flows.prefect.temporary_server import write_one_certificate
from tests import doctests
from tests.backends import BACKENDS, on_device
from tests.compiled import compile_all
from tests.sharing_out import Scheduling, place

if TYPE_CHECKING:
    from flows.prefect.temporary_server import TemporaryServer
    from tests.servers.forks import Forks

# No telemetry from the tests' Prefect servers; writing its first record also failed at times because the database was locked.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

# The tests' servers have no TLS, and Prefect would read all certificates for each of its clients.
ONE_CERTIFICATE = Path(__file__).parent.parent / "data" / "one-certificate.pem"
if not ONE_CERTIFICATE.exists():
    ONE_CERTIFICATE.parent.mkdir(exist_ok=True)
    write_one_certificate(ONE_CERTIFICATE)
os.environ.setdefault("PREFECT_API_SSL_CERT_FILE", str(ONE_CERTIFICATE))

# Thousands of jobs run here, and few tests look at their pages: those turn them on.
os.environ["EMBERHARMONY_REPORT"] = "off"

# On the short-lived threads here, the mimalloc of Arrow's wheels may crash (apache/arrow#50908). Jobs do not use it.
pa.set_memory_pool(pa.system_memory_pool())

# Collecting the tests makes a million objects that stay: the garbage collector would go through them again and again.
gc.disable()

# Deterministic and without deadlines: shared machines are slow at times, and a failure must be reproducible.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(doctests)  # a hook of this file would not see the files of the library


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    compile_all(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=place)  # stable


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _memory_in_use_before_a_job() -> Iterator[None]:
    """Plan jobs in these processes as in one that has just started.

    A worker of pytest-xdist has imported every library and run thousands of tests: it holds up to 1.8 GB, which a job with
    `max_memory_gb: 2` in its file would be refused for. Tests of memory run jobs in processes of their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberharmony.pipeline.plan.resident_bytes", lambda: min(resident_bytes(), 2**30))
        yield


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a backend, which is the default one inside the test."""
    name: str = request.param
    with using_backend(on_device(name)):
        yield name


@pytest.fixture(scope="session")
def flights_file() -> Path:
    """The demo's table, where `make demo` has it as well: made once for all sessions."""
    from flows.flights import prepare_flights

    return prepare_flights(Path(__file__).parent.parent / "data" / "flights.parquet")


@pytest.fixture(scope="session")
def tenth_of_flights(flights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every tenth row of the flights, out of order as they are, in as many row groups."""
    table = pq.read_table(flights_file)
    path = tmp_path_factory.mktemp("tenth") / "flights.parquet"
    pq.write_table(table.take(pa.array(range(0, len(table), 10))), path, row_group_size=5_000)
    return path


def _served(running: AbstractContextManager[str], credentials: Mapping[str, str]) -> Iterator[str]:
    """Address of a server that runs for the session; the process has its credentials."""
    with running as server, pytest.MonkeyPatch.context() as patched:
        for name, value in credentials.items():
            patched.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of one S3 server for all tests; the process has its credentials."""
    from tests.servers.s3 import CREDENTIALS, s3_server

    yield from _served(s3_server(), CREDENTIALS)


@pytest.fixture
def s3(s3_endpoint: str) -> Iterator[str]:
    """Address of a new bucket on the S3 server, such as ``s3://name?endpoint=...``."""
    from tests.stores import s3_bucket

    with s3_bucket(s3_endpoint) as address:
        yield address


@pytest.fixture(scope="session")
def azure_endpoint() -> Iterator[str]:
    """Address of one Azure Blob server for all tests; the process has its credentials."""
    from tests.servers.azure import CREDENTIALS, azure_server

    yield from _served(azure_server(), CREDENTIALS)


@pytest.fixture
def azure(azure_endpoint: str) -> Iterator[str]:
    """Address of a new container on the Azure server, such as ``az://name?endpoint=...``."""
    from tests.servers.azure import azure_container

    with azure_container(azure_endpoint) as address:
        yield address


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    """Address of a stand-in for Google Cloud Storage, see `tests.servers.gcs`."""
    from tests.servers.gcs import gcs_server

    yield from _served(gcs_server(), {"GOOGLE_BEARER_TOKEN": "test"})


@pytest.fixture
def gcs(gcs_endpoint: str) -> str:
    """Address of a new bucket of the stand-in for Google Cloud Storage."""
    return f"gs://test-{uuid.uuid4().hex[:12]}?endpoint={gcs_endpoint}"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A server of forks, for tests that start many processes."""
    from tests.servers.forks import fork_server

    with fork_server() as forks:
        yield forks


@pytest.fixture(scope="module")
def forked_workers(forks: Forks) -> Iterator[None]:
    """What `multiprocessing` and Dask spawn is forked: in new processes, imports take longer than the work of a small job.

    `tests.laws.test_memory` uses new processes.
    """
    with forks.instead_of_spawned_processes():
        yield


@pytest.fixture(scope="session")
def _prefect() -> Iterator[TemporaryServer]:
    """One Prefect server for all tests that do not need a server of their own."""
    from flows.prefect.temporary_server import temporary_server
    from tests.servers.prefect import unused_home

    with temporary_server(unused_home()) as server:
        server.wait_until_ready()
        yield server

        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=10.0)  # before the server goes: the last events are on their way


@pytest.fixture(scope="session")
def prefect_api(_prefect: TemporaryServer) -> str:
    """Address of that server."""
    return _prefect.url


@pytest.fixture(scope="session")
def prefect_folder(_prefect: TemporaryServer) -> Path:
    """Folder with the database of that server."""
    return _prefect.certificate.parent


@pytest.fixture
def prefect_server(prefect_api: str) -> Iterator[str]:
    """Configure the shared Prefect server inside the test; returns its address."""
    from flows.prefect.settings import changed_settings

    # The retries are those of a run with a temporary server.
    with changed_settings("api", url=prefect_api), changed_settings("client", max_retries=2):
        yield prefect_api
