"""A Prefect server that refuses, or that does not answer at all."""

import socket
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from emberharmony.errors import TerminalError, TransientError
from emberharmony.pipeline.callback import record_result
from flows.config.job import parse_job
from flows.prefect.outages import outages_told
from flows.run import run
from tests.faults.victims import small_job
from tests.jobs import small_table, write_table

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture
def job(tmp_path):
    write_table(small_table(60), tmp_path / "table.parquet", group_rows=60)
    return parse_job(small_job(tmp_path, runtime={"engine": "threads", "workers": 1}))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r" \(status 401\)\. Set PREFECT_API_KEY"),
        (403, r" \(status 403\)\. Its key, PREFECT_API_KEY, does not allow"),
        (404, r"refuses .* \(status 404\)\. Is that its API\?"),
        (422, r"refuses .* \(status 422\)\. Are client and server of the same version\?"),
    ],
)
def test_a_server_that_refuses_is_told_with_what_to_set(job, status, message):
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name is the library's

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = f"http://user:secret@127.0.0.1:{server.server_port}/api"
        with temporary_settings({PREFECT_API_URL: api}), pytest.raises(TerminalError, match=message) as told:
            run(job)
        server.shutdown()
    assert "secret" not in str(told.value)


def test_only_what_an_outage_is_is_told_as_one():
    with pytest.raises(httpx.TooManyRedirects), outages_told():
        raise httpx.TooManyRedirects("21 of them")


def test_a_server_that_is_not_there_is_told_with_how_to_go_on(job):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nowhere = {PREFECT_API_URL: f"http://127.0.0.1:{nobody.getsockname()[1]}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
        with temporary_settings(nowhere), pytest.raises(TransientError, match=r"does not answer .* runtime\.engine=local"):
            run(job)


@pytest.mark.parametrize("published", [True, False])
def test_an_outage_after_the_result_was_published_is_a_warning(job, monkeypatch, caplog, published):
    def flow_run(*_, **__):
        if published:
            record_result("the outcome")
        raise httpx.ConnectError("refused")

    monkeypatch.setattr("flows.run.server_if_needed", lambda *_, **__: nullcontext())
    monkeypatch.setattr("flows.run._as_flow_run", flow_run)
    with temporary_settings({PREFECT_API_URL: "http://somewhere:4200/api"}):
        if published:
            assert run(job) == "the outcome"
            assert "somewhere:4200/api does not answer (refused). The result is published" in caplog.text
        else:
            with pytest.raises(TransientError, match="Run the same command again when the server is back"):
                run(job)
