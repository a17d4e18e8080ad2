"""A configured Prefect server that is none, or that does not answer: found out at the start, within a time limit."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from emberharmony.errors import TerminalError, TransientError
from flows.config.job import parse_job
from flows.prefect import server as room
from flows.prefect.server import check_address, check_server
from flows.run import run
from tests.faults.victims import small_job

pytestmark = pytest.mark.xdist_group("prefect")


class Site(SimpleHTTPRequestHandler):
    """`python -m http.server`."""

    def log_message(self, *_):
        pass


class Page(Site):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")


class Dripping(Site):
    """A byte now and then, which no time limit on reading notices."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(1000):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.05)


@contextmanager
def serving(handler: type) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def silent() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("place", "request_s", "error", "message"),
    [
        (silent, 0.5, TransientError, r"at http://127\.0\.0\.1:\d+/api does not answer \(timed out\)\. Start it again\."),
        (lambda: serving(Dripping), 60.0, TransientError, r"does not answer \(within 3 s\)\. Start it again\."),
        (
            lambda: serving(Page),
            60.0,
            TerminalError,
            r"What answers at http://127\.0\.0\.1:\d+/api is not a Prefect server\. Set",
        ),
        (lambda: serving(Site), 60.0, TerminalError, r"refuses GET /api/health \(status 404\)\. Is that its API\?"),
    ],
    ids=["silent", "dripping", "page", "site"],
)
def test_what_is_no_server_is_found_out_soon(monkeypatch, place, request_s, error, message):
    monkeypatch.setattr(room, "REQUEST_TIMEOUT_S", request_s)
    monkeypatch.setattr(room, "CHECK_TIMEOUT_S", 3.0)
    with place() as port, temporary_settings({PREFECT_API_URL: f"http://user:secret@127.0.0.1:{port}/api"}):
        began = time.monotonic()
        with pytest.raises(error, match=message) as told:
            check_server("Start it again.")
        assert time.monotonic() - began < 25
    assert "secret" not in str(told.value)


ADDRESSES = [
    "localhost:4200/api",
    "http://",
    "http://[::1/api",
    "http://u:sec@ret@h:abc/api",
    "ftp://h/api",
    "http://h:0",
    " ",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_is_none(monkeypatch, url):
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(TerminalError, match=r"^PREFECT_API_URL is .* which is not the address of a Prefect server") as told:
        room.is_configured()
    assert "sec" not in str(told.value)
    assert "ret" not in str(told.value).split("which")[0]


@pytest.mark.parametrize(
    "url", ["http://h:4200/api", "https://api.prefect.cloud/api/accounts/a/workspaces/w", "http://[::1]:4200/api"]
)
def test_an_address_that_is_one(url):
    check_address(url)


def test_an_unknown_host(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    nowhere = {PREFECT_API_URL: "http://prefect.invalid:4200/api"}
    with (
        temporary_settings(nowhere),
        pytest.raises(TransientError, match=r"prefect\.invalid.* \(.*Name or service not known\)"),
    ):
        check_server()


def test_pools_need_a_server_that_is_configured(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.prefect.server.is_configured", lambda: False)
    job = parse_job(small_job(tmp_path, runtime={"engine": "pools", "pools": {"cpu": 1}}))
    with pytest.raises(TerminalError, match=r"engine: pools .* Set PREFECT_API_URL"):
        run(job)
