"""Where BigQuery is, and as whom to talk to it."""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from emberharmony.errors import EmberharmonyError, MissingLibraryError, TerminalError
from emberharmony.io.bigquery.failures import RetrySpec
from emberharmony.io.bigquery.identifiers import checked_labels, checked_location, checked_project, of_setting
from emberharmony.settings import Section

if TYPE_CHECKING:
    from google.cloud import bigquery

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_DEFAULT_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_KEY_TEXT: Final = re.compile(r"[{\n]|PRIVATE KEY")
_ANY_SIZE: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True)
class BigQueryConnection(Section):
    """How to reach BigQuery: plain values, so that it can stand in a configuration and travel to a worker.

    Credentials come from `google.auth.default`, unless `service_account_file` names a key file or `credentials_block` a block
    (see `use_block_loader`); `impersonate` then acts as another service account. No credential ever
    stands in here, so none can reach a log, a manifest or a cache: each process finds its own, where this says.
    """

    project: str | None = None
    """Project that runs and pays for the jobs; by default that of the credentials."""
    location: str | None = None
    """Where the datasets are, such as `US`."""
    service_account_file: Path | None = None
    """Path of a service account's key file; by default Google's default credentials."""
    credentials_block: str | None = None
    """Name of a GcpCredentials block of Prefect, instead of a key file."""
    impersonate: str | None = None
    """Address of a service account to act as."""
    quota_project: str | None = None
    """Project whose quota the calls count against."""
    api_endpoint: str | None = None
    """Address of the REST API, for private networks: `https://bigquery-NAME.p.googleapis.com`."""
    grpc_endpoint: str | None = None
    """Address of the Storage APIs, `host:port`."""
    storage_endpoint: str | None = None
    """Address of Cloud Storage, where `sink.staging` lies: `https://storage-NAME.p.googleapis.com`."""
    insecure: bool = False
    """Plain text and, unless credentials are given, anonymous: for emulators at endpoints of your own."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels on every job and table."""
    maximum_bytes_billed: int | None = None
    """Bound on the bytes of each query; by default none."""
    retry: RetrySpec = field(default_factory=RetrySpec)
    """How failures are retried."""

    def __post_init__(self) -> None:
        checked_labels(dict(self.labels))
        if self.service_account_file is not None and self.credentials_block is not None:
            raise ValueError("Give `service_account_file` or `credentials_block`, not both.")
        if self.service_account_file is not None and not str(self.service_account_file).strip("./ "):
            raise ValueError("`service_account_file` is empty: give the path of a key file, or leave it out.")
        if self.service_account_file is not None and _KEY_TEXT.search(str(self.service_account_file)):
            raise ValueError("`service_account_file` is the path of a key file, not its content, which has no place in a job.")
        checks = {"project": checked_project, "quota_project": checked_project, "location": checked_location}
        for name, check in checks.items():
            if (value := getattr(self, name)) is not None:
                with of_setting(name):
                    check(value)
        for name in ("api_endpoint", "grpc_endpoint", "storage_endpoint"):
            _check_endpoint(name, getattr(self, name))
        if self.maximum_bytes_billed is not None and self.maximum_bytes_billed <= 0:
            raise ValueError(f"`maximum_bytes_billed` is a number of bytes above 0, got {self.maximum_bytes_billed}.")
        if self.insecure and not (self.api_endpoint and self.grpc_endpoint):
            raise ValueError("`insecure` is for endpoints of your own: set `api_endpoint` and `grpc_endpoint` with it.")
        if self.insecure and not self.project:
            raise ValueError("An anonymous connection knows no project of its own: set `project`.")

    def open(self, *, credentials: Any = None, interceptors: Sequence[Any] = ()) -> Clients:
        """Return clients that connect when first used.

        Parameters
        ----------
        credentials : google.auth.credentials.Credentials, optional
            Used instead of those that the connection's own fields lead to.
        interceptors : sequence of gRPC client interceptors
            Around every call of the Storage APIs.
        """
        return Clients(self, credentials=credentials, interceptors=interceptors)

    def check_credentials(self) -> None:
        """Refuse missing or unusable credentials.

        Those of a `credentials_block` are not looked for: Prefect keeps the block, and has to be started first.

        Raises
        ------
        TerminalError
            If this process has no credentials, or cannot use them.
        """
        if self.credentials_block is None:
            shared_clients(self).identity()


def _check_endpoint(name: str, endpoint: str | None) -> None:
    if endpoint is None:
        return
    if "@" in endpoint:
        raise ValueError("An endpoint is an address without user or password; give credentials in their own settings.")
    is_url = endpoint.startswith(("https://", "http://"))
    if name == "grpc_endpoint" and is_url:
        raise ValueError("`grpc_endpoint` is host:port, without https://.")
    if name != "grpc_endpoint" and not is_url:
        raise ValueError(f"`{name}` begins with https://, such as https://bigquery-NAME.p.googleapis.com.")


class Clients:
    """The clients of one connection, each made when first used; closes what it opened."""

    def __init__(self, connection: BigQueryConnection, *, credentials: Any = None, interceptors: Sequence[Any] = ()) -> None:
        self.connection = connection
        self._credentials = credentials
        self._interceptors = tuple(interceptors)
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def retry(self) -> RetrySpec:
        """How failures are repeated."""
        return self.connection.retry

    @property
    def project(self) -> str:
        """The project that jobs run in and pay from."""
        return self.connection.project or str(self.jobs.project)

    @property
    def jobs(self) -> bigquery.Client:
        """Client of the REST API: tables, queries, load and copy jobs."""
        client: bigquery.Client = self._once("jobs", self._make_jobs)
        return client

    @property
    def storage(self) -> Any:
        """Client of Cloud Storage."""
        return self._once("storage", self._make_storage)

    @property
    def silence_s(self) -> float:
        """How long one attempt at a REST call waits for a word of the server."""
        return min(self.retry.silence_s, self.retry.request_deadline_s)

    @property
    def reader(self) -> Any:
        """Client of the Storage Read API."""
        return self._once("reader", self._make_reader)

    @property
    def writer(self) -> Any:
        """Client of the Storage Write API."""
        return self._once("writer", self._make_writer)

    def close(self) -> None:
        """Close every client that was made."""
        with self._lock:
            for name, made in self._made.items():
                if name in ("jobs", "storage"):
                    made.close()
                elif name in ("reader", "writer"):
                    made.transport.close()
            self._made.clear()

    def _once(self, name: str, make: Any) -> Any:
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    def _make_jobs(self) -> Any:
        return self._make_rest(
            library("google.cloud.bigquery"), self.connection.api_endpoint, location=self.connection.location
        )

    def _make_storage(self) -> Any:
        return self._make_rest(library("google.cloud.storage"), self.connection.storage_endpoint)

    def _make_rest(self, module: Any, endpoint: str | None, **settings: Any) -> Any:
        credentials, project = self.identity()
        if project is None:
            raise TerminalError(
                "The credentials belong to no project: set `connection.project` to the one that runs and pays for the jobs."
            )
        options: dict[str, Any] = {}
        if endpoint:
            options["api_endpoint"] = endpoint
        if self.connection.quota_project:
            options["quota_project_id"] = self.connection.quota_project
        client = module.Client(project=project, credentials=credentials, client_options=options or None, **settings)
        for scheme in ("https://", "http://"):
            client._http.mount(scheme, _bounded_adapter(self.silence_s))
        return client

    def _make_reader(self) -> Any:
        module = library("google.cloud.bigquery_storage_v1.services.big_query_read")
        transport = library("google.cloud.bigquery_storage_v1.services.big_query_read.transports.grpc")
        # The generated client: the handwritten one resumes broken streams without end, and on errors that it picks itself.
        return module.BigQueryReadClient(transport=self._transport(transport.BigQueryReadGrpcTransport))

    def _make_writer(self) -> Any:
        module = library("google.cloud.bigquery_storage_v1.services.big_query_write")
        transport = library("google.cloud.bigquery_storage_v1.services.big_query_write.transports.grpc")
        return module.BigQueryWriteClient(transport=self._transport(transport.BigQueryWriteGrpcTransport))

    def _transport(self, kind: Any) -> Any:
        grpc = library("grpc")
        connection = self.connection
        endpoint = connection.grpc_endpoint or kind.__init__.__kwdefaults__["host"]
        if connection.insecure:
            channel = grpc.insecure_channel(endpoint, options=_ANY_SIZE)
        else:
            credentials, _ = self.identity()
            channel = kind.create_channel(
                endpoint if ":" in endpoint else f"{endpoint}:443",
                credentials=credentials,
                quota_project_id=connection.quota_project,
                options=_ANY_SIZE,
            )
        return kind(channel=grpc.intercept_channel(channel, *self._interceptors))

    def sleep(self, seconds: float) -> None:
        """Wait between two attempts."""
        time.sleep(seconds)

    def identity(self) -> tuple[Any, str | None]:
        """Return the credentials, and the project they belong to or the configured one."""
        found: tuple[Any, str | None] = self._once("identity", lambda: find_credentials(self.connection, self._credentials))
        return found


def _bounded_adapter(limit: float) -> Any:
    """Return what sends REST requests; google's client sets most of them no time limit, and would wait for ever."""
    adapters = library("requests.adapters")

    class Bounded(adapters.HTTPAdapter):  # type: ignore[misc, name-defined]
        def send(self, request: Any, *, timeout: Any = None, **settings: Any) -> Any:
            bounded = min(timeout, limit) if isinstance(timeout, (int, float)) else limit
            return super().send(request, timeout=bounded, **settings)

    return Bounded()


_block_loaders: list[Callable[[str], Any]] = []


def use_block_loader(loader: Callable[[str], Any], /) -> None:
    """Say how a credentials block's name becomes a credentials object; this library itself knows no Prefect."""
    _block_loaders[:] = [loader]


@lru_cache(maxsize=8)
def shared_clients(connection: BigQueryConnection) -> Clients:
    """Return this process's clients of a connection: opened once, closed when the process ends."""
    clients = connection.open()
    atexit.register(clients.close)
    return clients


def find_credentials(connection: BigQueryConnection, given: Any = None) -> tuple[Any, str | None]:
    """Return the credentials to use and the project they belong to, or the configured one.

    Raises
    ------
    TerminalError
        If there are none, with what to do about it.
    """
    exceptions = library("google.auth.exceptions")
    try:
        credentials, project = _loaded(connection, given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, exceptions.GoogleAuthError) as error:
        if isinstance(error, EmberharmonyError):
            raise
        # Neither the reason's text nor its cause: what a malformed key file holds could be in them.
        raise TerminalError(_why_unusable(connection, error)) from None
    if connection.impersonate:
        impersonated = library("google.auth.impersonated_credentials")
        credentials = impersonated.Credentials(
            source_credentials=credentials, target_principal=connection.impersonate, target_scopes=[SCOPE]
        )
    if connection.quota_project and hasattr(credentials, "with_quota_project"):
        credentials = credentials.with_quota_project(connection.quota_project)
    return credentials, connection.project or project


def _loaded(connection: BigQueryConnection, given: Any) -> tuple[Any, str | None]:
    """Return the credentials and their own project; what it raises is Google's."""
    if connection.credentials_block is not None and given is None:
        given = _load_block(connection.credentials_block)
    if given is not None:
        credentials = library("google.auth.credentials").with_scopes_if_required(given, [SCOPE])
        return credentials, getattr(credentials, "project_id", None)
    if connection.service_account_file is not None:
        accounts = library("google.oauth2.service_account")
        credentials = accounts.Credentials.from_service_account_file(str(connection.service_account_file), scopes=[SCOPE])
        return credentials, credentials.project_id
    if connection.insecure:
        return library("google.auth.credentials").AnonymousCredentials(), None
    found: tuple[Any, str | None] = library("google.auth").default(scopes=[SCOPE], quota_project_id=connection.quota_project)
    return found


def _why_unusable(connection: BigQueryConnection, error: Exception) -> str:
    reason = f"cannot be used ({type(error).__name__}): check that it"
    if connection.credentials_block is not None:
        return f"The credentials block {connection.credentials_block!r} {reason} holds the whole key of Google Cloud."
    if connection.service_account_file is not None:
        path = str(connection.service_account_file)
        return f"The service account file {path!r} {reason} exists, is readable, and is a key file of Google Cloud."
    if named := os.environ.get(_DEFAULT_FILE):
        return (
            f"The file {named!r}, which {_DEFAULT_FILE} names, {reason} exists, is readable, and is a key file of Google "
            f"Cloud, or unset the variable and run `gcloud auth application-default login`."
        )
    return (
        f"No Google credentials were found. Run `gcloud auth application-default login`, set {_DEFAULT_FILE}, or give "
        f"`service_account_file`."
    )


def _load_block(name: str) -> Any:
    if not _block_loaders:
        raise TerminalError(
            f"The credentials block {name!r} can only be loaded where Prefect runs the job. Outside of it give "
            "`service_account_file`, or nothing at all for Google's default credentials."
        )
    return _block_loaders[0](name)


_importing = threading.Lock()


def library(name: str, /) -> Any:
    """Import one of google's libraries, or say how to install it."""
    from importlib import import_module

    try:
        # One at a time: their modules import each other in circles, which deadlocks where workers of several threads begin.
        with _importing:
            return import_module(name)
    except ImportError as error:
        raise MissingLibraryError(
            f"BigQuery needs {name}, which cannot be imported ({error}). Install it with: pip install 'emberharmony[bigquery]'"
        ) from error
