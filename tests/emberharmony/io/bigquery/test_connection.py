"""Who connects, and that nobody else learns how."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import google.auth
import pytest
from google.auth import exceptions, impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account
from pydantic import TypeAdapter

from emberharmony.errors import TerminalError
from emberharmony.io.bigquery import BigQueryConnection
from emberharmony.io.bigquery import connection as connection_module
from emberharmony.io.bigquery.connection import SCOPE, find_credentials, use_block_loader

SECRET = "a-very-secret-text"


@pytest.fixture
def key_file(tmp_path):
    """A service account's key file; the key is made up for this test."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = tmp_path / "key.json"
    account = {
        "type": "service_account",
        "project_id": "from-the-file",
        "private_key_id": SECRET,
        "private_key": text,
        "client_email": "someone@from-the-file.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path.write_text(json.dumps(account))
    return path


def test_default_credentials(monkeypatch):
    asked = {}

    def default(**settings):
        asked.update(settings)
        return AnonymousCredentials(), "found"

    monkeypatch.setattr(google.auth, "default", default)
    _, project = find_credentials(BigQueryConnection(quota_project="payer"))
    assert project == "found"
    assert asked == {"scopes": [SCOPE], "quota_project_id": "payer"}
    assert find_credentials(BigQueryConnection(project="mine"))[1] == "mine"


def test_no_credentials(monkeypatch):
    def default(**settings):
        raise exceptions.DefaultCredentialsError("none")

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(TerminalError, match="gcloud auth application-default login"):
        find_credentials(BigQueryConnection())


def test_service_account_file(key_file):
    connection = BigQueryConnection(service_account_file=key_file, quota_project="payer")
    credentials, project = find_credentials(connection)
    assert isinstance(credentials, service_account.Credentials)
    assert (project, credentials.quota_project_id, credentials.scopes) == ("from-the-file", "payer", [SCOPE])
    stated = [repr(connection), json.dumps(TypeAdapter(BigQueryConnection).dump_python(connection, mode="json"))]
    assert not any(SECRET in text or "PRIVATE KEY" in text for text in stated)


def test_a_bad_key_file_is_named_and_not_shown(tmp_path):
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"type": "service_account", "private_key": SECRET}))
    with pytest.raises(TerminalError) as caught:
        find_credentials(BigQueryConnection(service_account_file=path))
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(TerminalError, match="FileNotFoundError"):
        find_credentials(BigQueryConnection(service_account_file=tmp_path / "nowhere.json"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"text"',
        "{}",
        "not JSON",
        '{"type": "service_account", "private_key": 5}',
        '{"type": "authorized_user"}',
        '{"type": "external_account", "audience": 7}',
        "\xff\x00binary",
    ],
)
@pytest.mark.parametrize("named_by", ["setting", "variable"])
def test_a_malformed_file_is_named_in_words(tmp_path, monkeypatch, text, named_by):
    path = tmp_path / "key.json"
    path.write_text(text, encoding="latin-1")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    connection = BigQueryConnection(service_account_file=path) if named_by == "setting" else BigQueryConnection()
    with pytest.raises(TerminalError, match=r"key\.json.*cannot be used.*key file of Google Cloud"):
        find_credentials(connection)


def test_credentials_of_no_project(monkeypatch):
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), None))
    with BigQueryConnection().open() as clients, pytest.raises(TerminalError, match=r"set `connection\.project`"):
        _ = clients.jobs


def test_impersonation(key_file):
    connection = BigQueryConnection(service_account_file=key_file, impersonate="robot@p.iam.gserviceaccount.com")
    credentials, _ = find_credentials(connection)
    assert isinstance(credentials, impersonated_credentials.Credentials)
    assert credentials.service_account_email == "robot@p.iam.gserviceaccount.com"


def test_a_block_is_loaded_by_name(monkeypatch):
    # A list of this test's own: the loader that stands there is Prefect's, and other tests' business.
    monkeypatch.setattr(connection_module, "_block_loaders", [])
    connection = BigQueryConnection(project="mine", credentials_block="prod")
    with pytest.raises(TerminalError, match="where Prefect runs the job"):
        find_credentials(connection)
    use_block_loader(lambda name: {"prod": AnonymousCredentials()}[name])
    assert isinstance(find_credentials(connection)[0], AnonymousCredentials)


def test_clients_travel_nowhere_but_connections_do():
    connection = BigQueryConnection(
        project="p-1", api_endpoint="http://x", grpc_endpoint="y:1", insecure=True, labels={"a": "b"}
    )
    assert pickle.loads(pickle.dumps(connection)) == connection
    assert hash(pickle.loads(pickle.dumps(connection))) == hash(connection)
    adapter = TypeAdapter(BigQueryConnection)
    assert adapter.validate_python(adapter.dump_python(connection, mode="json")) == connection


def test_a_private_endpoint_speaks_tls():
    """Without `insecure` a custom endpoint gets the credentials, over TLS."""
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import grpc as transport

    asked = {}

    class Recorded(transport.BigQueryReadGrpcTransport):
        @classmethod
        def create_channel(cls, host, **settings):
            asked.update(settings, host=host)
            return super().create_channel(host, **settings)

    connection = BigQueryConnection(project="p-1", grpc_endpoint="storage.p.googleapis.com", quota_project="payer")
    with connection.open(credentials=AnonymousCredentials()) as clients:
        made = clients._transport(Recorded)
        made.close()
    assert asked["host"] == "storage.p.googleapis.com:443"
    assert asked["quota_project_id"] == "payer"
    assert isinstance(asked["credentials"], AnonymousCredentials)


@pytest.mark.parametrize(
    "wrong",
    [
        {"insecure": True, "project": "p"},
        {"insecure": True, "api_endpoint": "x", "grpc_endpoint": "y"},
        {"service_account_file": "x", "credentials_block": "y"},
        {"labels": {"A": "b"}},
        {"project": "PROJECT"},
        {"quota_project": "p"},
        {"location": "U S"},
        {"maximum_bytes_billed": 0},
        {"api_endpoint": "localhost:9050"},
        {"grpc_endpoint": "https://storage.p.googleapis.com"},
    ],
)
def test_contradictions(wrong):
    with pytest.raises(ValueError, match=r"."):
        BigQueryConnection(**wrong)


def test_google_is_imported_when_it_is_needed_and_asked_for_by_name():
    code = """
import sys
class Absent:
    def find_spec(self, name, *rest):
        if name.startswith("google.cloud") or name == "grpc":
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import emberharmony.io.sinks.bigquery.publish, emberharmony.io.sources.bigquery.profile
assert not [name for name in sys.modules if name.startswith(("google.", "grpc"))]
from emberharmony.io.bigquery import BigQueryConnection
try:
    BigQueryConnection(project="p-1", insecure=True, api_endpoint="http://x", grpc_endpoint="y").open().jobs
except ImportError as error:
    assert "pip install 'emberharmony[bigquery]'" in str(error), error
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_may_import_google_at_once():
    """Its modules import each other in circles: without a lock, threads that begin together deadlock or see half of one."""
    code = """
import threading
from emberharmony.io.bigquery.connection import library
storage = "google.cloud.bigquery_storage_v1"
wanted = {
    f"{storage}.types": "ReadSession",
    f"{storage}.services.big_query_read": "BigQueryReadClient",
    f"{storage}.services.big_query_write": "BigQueryWriteClient",
    "google.cloud.bigquery": "Client",
}
together, failed = threading.Barrier(2 * len(wanted)), []
def load(name):
    together.wait()
    try:
        getattr(library(name), wanted[name])
    except Exception as error:
        failed.append(repr(error))
threads = [threading.Thread(target=load, args=(name,)) for name in (*wanted, *wanted)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failed, failed
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
