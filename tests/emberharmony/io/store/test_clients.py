"""Clients of buckets: errors of the servers translated, credentials found, and never shown."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from emberharmony.errors import MissingLibraryError, TerminalError, TransientError
from emberharmony.io.store import clients
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.bucket import Bucket
from tests.servers.s3 import CREDENTIALS

pytestmark = pytest.mark.xdist_group("stores")


@contextmanager
def answering(status, body=""):
    """A server with one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_PUT = do_HEAD = do_POST = do  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield BucketAddress.parse(f"s3://lake/out?endpoint=http://127.0.0.1:{server.server_port}&region=us-east-1")
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clients, "MAX_RETRIES", 1)
    monkeypatch.setattr(clients, "RETRY_TIMEOUT", timedelta(seconds=5))
    clients._made.cache_clear()
    yield
    clients._made.cache_clear()


def xml(code):
    return f"<Error><Code>{code}</Code><Message>secret-text</Message></Error>"


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (503, "SlowDown", TransientError, "answered status 503 SlowDown"),
        (500, "InternalError", TransientError, "answered status 500 InternalError"),
        (429, "", TransientError, "answered status 429"),
        (403, "AccessDenied", TerminalError, r"refused the credentials of this process \(status 403 AccessDenied\)"),
        (401, "", TerminalError, "refused the credentials"),
        (400, "ExpiredToken", TerminalError, r"refused the credentials of this process \(status 400 ExpiredToken\)"),
        (404, "NoSuchBucket", TerminalError, "there is no such bucket"),
        (301, "", TerminalError, "lies in another region"),
        (400, "InvalidRequest", TerminalError, r"cannot be used \(status 400 InvalidRequest\)"),
    ],
)
def test_answers_are_translated_once_and_without_their_texts(status, code, kind, said):
    with answering(status, xml(code) if code else "") as address:
        bucket = Bucket(address)
        for call in (lambda: bucket.put("k", b"x"), lambda: bucket.get("k"), lambda: list(bucket.list("k"))):
            with pytest.raises(kind, match=said) as told:
                call()
            assert "s3://lake/k" in str(told.value)
            assert "secret-text" not in str(told.value)
            assert "127.0.0.1" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://lake/out?region=eu-west-1&anonymous=true", {"region": "eu-west-1", "skip_signature": "true"}),
        ("gs://lake/out?endpoint=http://127.0.0.1:9", {"base_url": "http://127.0.0.1:9", "allow_http": "true"}),
        ("az://lake/out?account=mine", {"account_name": "mine"}),
        ("s3://lake/out?block=keys", {"access_key_id": "a"}),
    ],
)
def test_other_libraries_reach_an_address_by_the_same_settings(monkeypatch, address, expected):
    monkeypatch.setattr(clients, "_load_secret", {"keys": {"access_key_id": "a"}}.__getitem__)
    bounds = {"connect_timeout": "10s", "timeout": "60s", "max_retries": "1", "retry_timeout": "5s"}
    assert clients.settings_of(BucketAddress.parse(address)) == bounds | expected


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_a_server_that_the_environment_names_is_reached(monkeypatch, s3, variable):
    address, _, options = s3.partition("?")
    endpoint = dict(option.split("=", 1) for option in options.split("&"))["endpoint"]
    monkeypatch.setenv(variable, endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    here = BucketAddress.parse(address)
    Bucket(here).put("k", b"x")
    assert Bucket(BucketAddress.parse(s3)).get("k")[0] == b"x"
    assert clients.settings_of(here)["allow_http"] == "true"


def test_the_address_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "allow_http" not in clients.settings_of(BucketAddress.parse("s3://lake?endpoint=https://minio.example.com"))
    assert "allow_http" not in clients.settings_of(BucketAddress.parse("gs://lake"))


def test_nobody_answers():
    bucket = Bucket(BucketAddress.parse("s3://lake?endpoint=http://127.0.0.1:9&region=us-east-1"))
    with pytest.raises(TransientError, match="gave no answer"):
        bucket.put("k", b"x")


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(MissingLibraryError, match=r"emberharmony\[cloud\]"):
        clients.client_of(BucketAddress("s3", "lake"))


def test_a_block_holds_the_settings_of_the_client(monkeypatch, s3):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(clients, "_load_secret", {"lake": '{"access_key_id": "a", "secret_access_key": "b"}', "bad": "x"}.get)
    address = BucketAddress.parse(f"{s3}&block=lake")
    assert Bucket(address).get("k") is None
    with pytest.raises(TerminalError, match="holds no JSON object"):
        clients.client_of(BucketAddress.parse(f"{s3}&block=bad"))
    monkeypatch.setattr(clients, "_load_secret", None)
    with pytest.raises(TerminalError, match="nothing here can load one"):
        clients.client_of(BucketAddress.parse(f"{s3}&block=other"))


def test_a_forked_process_says_what_to_do(s3):
    """The client's threads are not in it: it would wait for ever."""
    address = BucketAddress.parse(s3)
    Bucket(address).put("k", b"x")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            Bucket(address).get("k")
        except TerminalError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as said:
        assert "multiprocessing_context='spawn'" in said.read()
