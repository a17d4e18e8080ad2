"""The server of one run: its own database, a new process when it dies, and nothing left behind.

A stand-in serves in place of Prefect, as a whole process on the same socket; tests/laws/test_engines.py kills the real one.
"""

import sqlite3
import ssl
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from flows.prefect import temporary_server as room
from flows.prefect.temporary_server import ServerDiedError, temporary_server
from tests.faults.victims import wait_until

STAND_IN = """
import socket, sqlite3, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
folder = sys.argv[2]

class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

with sqlite3.connect(folder + "/prefect.db") as database:
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'newer'").fetchone():
        sys.exit(3)
    database.execute("CREATE TABLE IF NOT EXISTS starts (n)")
    database.execute("INSERT INTO starts VALUES (1)")
server = HTTPServer(("", 0), Healthy, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.buffer.read()
"""


@pytest.fixture(autouse=True)
def stand_in(tmp_path, monkeypatch) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(room, "SCRIPT", str(tmp_path / "stand_in.py"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


def make_database(path: Path, *, table: str = "starts", journal: str = "WAL") -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode={journal}")
        database.execute(f"CREATE TABLE {table} (n)")
        database.execute(f"INSERT INTO {table} VALUES (7)")
        database.commit()
    return path


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        return [n for (n,) in database.execute("SELECT n FROM starts")]


def test_two_servers_share_nothing_and_leave_nothing(home, tmp_path):
    """Both start in a home that has no database yet: each makes its own, and one of them is kept for the next run."""
    with temporary_server(home) as one, temporary_server(home) as other:
        assert one.url != other.url
        assert len(list((tmp_path / "tmp").iterdir())) == 2
        for server in (one, other):
            server.wait_until_ready()
        assert rows(home / "prefect.db") == [1]
    assert not list((tmp_path / "tmp").iterdir())
    assert [path.name for path in home.iterdir()] == ["prefect.db"]
    with temporary_server(home) as next_one:
        next_one.wait_until_ready()
        assert rows(next(tmp_path.glob("tmp/*/prefect.db"))) == [1, 1]  # a copy, to which it has added
        assert rows(home / "prefect.db") == [1]


def test_a_home_that_cannot_be_written(tmp_path):
    with temporary_server(Path("/dev/null/home")) as server:
        server.wait_until_ready()


def test_the_users_database_is_copied_while_it_is_in_use(home, tmp_path):
    with closing(sqlite3.connect(make_database(home / "prefect.db"))) as user:
        user.execute("BEGIN IMMEDIATE")
        user.execute("INSERT INTO starts VALUES (8)")
        with temporary_server(home) as server:
            server.wait_until_ready()
            assert rows(next(tmp_path.glob("tmp/*/prefect.db"))) == [7, 1]
        user.commit()
    assert rows(home / "prefect.db") == [7, 8]


@pytest.mark.parametrize("state", ["locked", "corrupt", "cut", "large", "newer"])
def test_a_database_that_is_of_no_use_does_not_stop_a_run(home, tmp_path, monkeypatch, state):
    """Of a newer Prefect, or locked by another program, which a copy would wait for without an end."""
    database = make_database(home / "prefect.db", table="newer" if state == "newer" else "starts", journal="DELETE")
    monkeypatch.setattr(room, "COPY_TIMEOUT_S", 0.3)
    if state == "corrupt":
        database.write_bytes(b"no database" * 1000)
    if state == "cut":
        database.write_bytes(database.read_bytes()[:5000])
    if state == "large":
        monkeypatch.setattr(room, "MAX_COPIED_BYTES", 100)
    before = database.read_bytes()
    with closing(sqlite3.connect(database, isolation_level=None)) as user:
        if state == "locked":
            user.execute("BEGIN EXCLUSIVE")
        with temporary_server(home) as server:
            server.wait_until_ready()
            assert rows(next(tmp_path.glob("tmp/*/prefect.db"))) == [1]
    assert database.read_bytes() == before


def test_a_server_that_dies_is_started_again_until_it_has_died_too_often(home, monkeypatch, caplog):
    monkeypatch.setattr(room, "MAX_RESTARTS", 2)
    with temporary_server(home) as server:
        server.wait_until_ready()
        for _ in range(2):
            dead = server._process
            dead.kill()
            wait_until(lambda dead=dead: server._process is not dead)
            assert httpx.get(f"{server.url}/health", timeout=120).is_success  # it waits for the next one
        url = server.url
        server._process.kill()
        wait_until(lambda: "not started again" in caplog.text)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")
    assert caplog.text.count("It is started again") == 2


def test_a_server_that_does_not_start_is_told(home, tmp_path):
    (tmp_path / "stand_in.py").write_text("raise ImportError('cannot import name Depends')")
    words = r"it ended with status 1 \(ImportError: cannot import name Depends\)"
    with temporary_server(home) as server, pytest.raises(ServerDiedError, match=words):
        server.wait_until_ready()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_machine_without_a_place_for_temporary_files(home, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/dev/null/nowhere")
    with pytest.raises(ServerDiedError, match="TMPDIR"), temporary_server(home):
        pass


def test_settings_of_a_shared_server_are_not_for_this_one(home, tmp_path, monkeypatch):
    """Its password would keep the run out, its database would be shared, its paths are others."""
    for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_API_BASE_PATH", "PREFECT_API_DATABASE_CONNECTION_URL"):
        monkeypatch.setenv(name, "shared")
    monkeypatch.setenv("PYTHONPATH", "src")
    monkeypatch.setenv("PREFECT_API_KEY", "kept")
    with temporary_server(home) as server:
        server.wait_until_ready()
        environment = psutil.Process(server._process.pid).environ()
    assert "shared" not in environment.values()
    assert environment["PREFECT_API_KEY"] == "kept"
    assert environment["PYTHONPATH"] == str(Path("src").absolute())
    assert environment["PREFECT_HOME"].startswith(str(tmp_path / "tmp"))


def test_one_certificate_is_enough_for_clients_of_a_server_without_tls(home):
    with temporary_server(home) as server:
        assert len(ssl.create_default_context(cafile=server.certificate).get_ca_certs()) == 1


def test_the_clients_of_a_run_read_that_certificate(home, monkeypatch):
    from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL

    from flows.prefect.server import server_if_needed

    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    before = PREFECT_API_SSL_CERT_FILE.value()
    with server_if_needed():
        assert PREFECT_API_URL.value().startswith("http://127.0.0.1:")
        certificate = Path(PREFECT_API_SSL_CERT_FILE.value())
        assert certificate != Path(before or "")
        assert certificate.exists()
    assert not certificate.exists()
    assert PREFECT_API_SSL_CERT_FILE.value() == before
