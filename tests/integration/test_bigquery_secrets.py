"""Whatever a run does or fails at, its credentials are in nothing that it says or leaves behind."""

from __future__ import annotations

import dataclasses
import http.server
import json
import logging
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import grpc
import pyarrow.parquet as pq
import pytest
import requests
from google.auth.transport.requests import Request
from google.cloud import bigquery

from emberharmony.errors import EmberharmonyError, TerminalError
from emberharmony.io.bigquery import BigQueryConnection, TableName
from emberharmony.io.bigquery.connection import Clients, find_credentials, shared_clients
from emberharmony.io.bigquery.failures import google_errors
from emberharmony.io.bigquery.queries import query_row, run_query, table_of
from emberharmony.io.bigquery.read import read_rows
from emberharmony.io.bigquery.schema import table_fields
from flows.config.job import parse_job
from flows.run import run
from tests.integration.bigquery_faults import Broken, Faults
from tests.jobs import small_table

pytestmark = pytest.mark.xdist_group("bigquery-job")

TOKEN = "ya29.a-very-secret-token"
KEY_ID = "a-very-secret-key-id"


class TokenServer(http.server.BaseHTTPRequestHandler):
    """Gives out one token, or refuses and repeats what it was told, as a careless proxy does."""

    refuses = False
    assertions: ClassVar[list[str]] = []

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.assertions.append(parse_qs(sent)["assertion"][0])
        answer = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if self.refuses:
            answer = {"error": "invalid_grant", "error_description": f"Bad assertion {self.assertions[-1]}", "sent": sent}
        body = json.dumps(answer).encode()
        self.send_response(400 if self.refuses else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def token_url(monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(TokenServer, "assertions", [])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/token"
    server.shutdown()
    server.server_close()


@pytest.fixture
def key_file(tmp_path, token_url) -> Path:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "project_id": "from-the-file",
        "private_key_id": KEY_ID,
        "private_key": text,
        "client_email": "someone@from-the-file.iam.gserviceaccount.com",
        "token_uri": token_url,
    }
    path = tmp_path / "secret" / "key.json"
    path.parent.mkdir()
    path.write_text(json.dumps(account))
    return path


@pytest.fixture
def account(connection, key_file) -> BigQueryConnection:
    """The server's connection, as a service account: this server asks nobody who they are, but is told."""
    return dataclasses.replace(connection, service_account_file=key_file)


@pytest.fixture
def secrets(key_file) -> list[str]:
    """Every line of the key, and what else nobody may see."""
    lines = json.loads(key_file.read_text())["private_key"].splitlines()
    return [*lines[1:-1], KEY_ID, TOKEN]


@pytest.fixture
def said(caplog, capfd, secrets, monkeypatch):
    """Asserts that neither this library's log at its most talkative, nor the others' as they come, nor the console, nor an
    error's traceback holds a secret."""
    # A console handler of Prefect's outlives its test's console; how logging complains of that is not the library's word.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="emberharmony")

    def check(error: BaseException | None = None) -> None:
        console = capfd.readouterr()
        texts = [caplog.text, console.out, console.err]
        texts += ["".join(traceback.format_exception(error))] if error is not None else []
        for secret in [*secrets, *TokenServer.assertions]:
            found = [text[max(0, place - 300) : place + 60] for text in texts if (place := text.find(secret)) >= 0]
            assert not found

    return check


def files_hold(folder: Path, secrets: list[str]) -> list[str]:
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "key.json"]
    return [secret for secret in secrets if any(secret.encode() in content for content in kept)]


@pytest.fixture(scope="module")
def rows(connection, tmp_path_factory) -> TableName:
    name = TableName(connection.project, "secrets", "rows")
    path = tmp_path_factory.mktemp("secrets") / "rows.parquet"
    table = small_table(2_000)
    pq.write_table(table, path)
    with connection.open() as clients:
        clients.jobs.create_dataset("secrets", exists_ok=True)
        clients.jobs.create_table(
            bigquery.Table(str(name), table_fields(table.schema, table.column_names, {})), exists_ok=True
        )
        config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
        with path.open("rb") as file:
            clients.jobs.load_table_from_file(file, str(name), job_config=config).result()
    return name


def job_of(account, rows, folder, engine):
    at = dataclasses.asdict(account)
    settings = {
        "source": {"type": "bigquery", "table": str(rows), "connection": at},
        "sink": {"type": "bigquery", "dataset": "secrets", "prefix": f"{engine}_", "path": str(folder), "connection": at},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"strides": [1]},
        "runtime": {"engine": engine, "backend": "numpy", "workers": 2},
    }
    return parse_job(settings)


def test_a_run_from_table_to_tables(account, rows, tmp_path, secrets, said):
    job = job_of(account, rows, tmp_path / "out", "none")
    manifest = run(job).manifest
    assert manifest.source_rows == 2_000
    assert TokenServer.assertions  # it was the key's account that ran it
    assert "key.json" in json.dumps(manifest.spec, default=str)  # its place is known, its content is not
    shared_clients.cache_clear()
    assert not files_hold(tmp_path, [*secrets, *TokenServer.assertions])
    said()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_run_on_prefect(account, rows, tmp_path, secrets, said, monkeypatch, prefect_folder):
    """What a flow run leaves in Prefect's database: parameters, states, logs, artifacts."""
    from prefect.settings import PREFECT_HOME, temporary_settings

    from flows.extract import extract
    from flows.prefect.private import drain_events

    with temporary_settings({PREFECT_HOME: tmp_path / "prefect"}):
        outcome = extract(job_of(account, rows, tmp_path / "out", "threads"))
        assert outcome.manifest.source_rows == 2_000
        monkeypatch.setattr(TokenServer, "refuses", True)
        refused = dataclasses.replace(account, labels={"try": "again"})  # another connection, which has no token yet
        with pytest.raises(EmberharmonyError) as caught:
            extract(job_of(refused, rows, tmp_path / "refused", "threads"))
        drain_events(timeout_s=60)
    shared_clients.cache_clear()
    assert TokenServer.assertions
    assert files_hold(prefect_folder, [str(rows), "key.json"]) == [str(rows), "key.json"], "the database is there"
    for folder in (tmp_path, prefect_folder):
        assert not files_hold(folder, [*secrets, *TokenServer.assertions])
    said(caught.value)


CALLS = {
    "query": lambda clients, rows: query_row(clients, "SELECT 1 AS n", doing="Asking"),
    "dry run": lambda clients, rows: run_query(clients, "SELECT 1", doing="Asking", dry_run=True),
    "metadata": table_of,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_account_that_is_refused(account, rows, said, monkeypatch, call):
    monkeypatch.setattr(TokenServer, "refuses", True)
    with account.open() as clients, pytest.raises(TerminalError, match="did not accept the credentials") as caught:
        call(clients, rows)
    said(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_an_answer_that_repeats_the_request(account, rows, said, monkeypatch, status):
    """A proxy that answers with what it was asked, headers and all."""

    def send(self, request, **_):
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = status, request, request.url
        told = f"You asked with {dict(request.headers)}"
        answer._content = json.dumps({"error": {"code": status, "message": told, "errors": [{"message": told}]}}).encode()
        return answer

    quick = dataclasses.replace(account, retry=dataclasses.replace(account.retry, attempts=1, request_deadline_s=0.5))
    with quick.open() as clients:
        assert clients.jobs._http.credentials.token is None
        clients.identity()[0].refresh(Request())
        monkeypatch.setattr(type(clients.jobs._http.adapters["http://"]), "send", send)
        with pytest.raises(EmberharmonyError) as caught:
            table_of(clients, rows)
    assert "You asked with" in str(caught.value)
    said(caught.value)


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNKNOWN])
def test_a_stream_that_is_refused(account, rows, said, code):
    faults = Faults()
    faults.broken["CreateReadSession"] = [(0, Broken(code, f"no: Bearer {TOKEN}"))] * 9
    with account.open(interceptors=[faults]) as clients, pytest.raises(EmberharmonyError) as caught:
        read_rows(clients, rows, columns=[])
    said(caught.value)


def test_a_key_that_is_none(account, key_file, said):
    content = json.loads(key_file.read_text())
    for change in ({"private_key": content["private_key"][:200]}, {"client_email": None}):
        bad = key_file.with_name("key.json")
        bad.write_text(json.dumps({name: value for name, value in {**content, **change}.items() if value is not None}))
        with pytest.raises(TerminalError, match="cannot be used") as caught:
            find_credentials(account)
        said(caught.value)
        bad.write_text(json.dumps(content))


def test_google_errors_are_all_explained():
    """What authentication raises is among the errors that are told apart, so that none passes by untouched."""
    from google.auth import exceptions

    assert issubclass(exceptions.RefreshError, google_errors())
    assert issubclass(exceptions.TransportError, google_errors())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: {"service_account_file": json.loads(key)},
        lambda key: {"service_account_file": key},
        lambda key: {"service_account_file": json.loads(key)["private_key"]},
        lambda key: {"credentials_block": json.loads(key)},
        lambda key: {"impersonate": json.loads(key)},
        lambda key: {"credentials": json.loads(key)},
        lambda key: {"private_key": json.loads(key)["private_key"]},
        lambda key: {"api_endpoint": f"https://user:{KEY_ID}@bigquery.example.com"},
    ],
)
def test_a_key_in_the_job_is_refused_and_not_shown(key_file, wrong, said):
    """Somebody will paste one."""
    source = {"type": "bigquery", "table": "a.b", "connection": wrong(key_file.read_text())}
    with pytest.raises(EmberharmonyError, match=r"source\.connection") as caught:
        parse_job({"source": source, "sink": {"path": "out"}})
    said(caught.value)


def test_clients_say_nothing_of_whom_they_speak_for(account, secrets):
    with account.open() as clients:
        clients.identity()
        assert isinstance(clients, Clients)
        assert not any(secret in repr(clients) + repr(clients.connection) for secret in secrets)
