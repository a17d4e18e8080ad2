"""A proxy before a server that disturbs the way to it, and counts what passes."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PASS, BUSY, CUT, SLOW, LOST, EXPIRED = "pass", "busy", "cut", "slow", "lost", "expired"
"""What happens to a request: it passes; 503; its upload is cut in the middle; it waits; its answer is lost; 403."""

SLOW_S = 1.5


@dataclass
class Proxy:
    """A proxy that runs; `fate` decides what happens to a request, given its method, its path and its number from 0."""

    url: str
    fate: Callable[[str, str, int], str] = lambda method, path, number: PASS
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and fate of each request."""

    def uploads(self) -> list[str]:
        """Paths of the whole objects that have reached the server, in order."""
        return [path for method, path, fate in self.seen if method == "PUT" and fate in (PASS, LOST, SLOW)]


@contextmanager
def proxy(server: str) -> Iterator[Proxy]:
    """Run a proxy before the server at this address."""
    host = urlsplit(server).netloc
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            with lock:
                fate = running.fate(self.command, self.path, len(running.seen))
                running.seen.append((self.command, self.path, fate))
            n_bytes = int(self.headers.get("Content-Length") or 0)
            if fate == CUT:
                self.rfile.read(n_bytes // 2)
                self.close_connection = True
                return
            body = self.rfile.read(n_bytes)
            if fate == SLOW:
                time.sleep(SLOW_S)
            if fate in (BUSY, EXPIRED):
                code = "SlowDown" if fate == BUSY else "ExpiredToken"
                self.answer(503 if fate == BUSY else 403, {}, f"<Error><Code>{code}</Code></Error>".encode())
                return
            there = http.client.HTTPConnection(host, timeout=30)
            there.request(self.command, self.path, body, dict(self.headers))
            answer = there.getresponse()
            content = answer.read()
            there.close()
            if fate == LOST:
                self.close_connection = True
                return
            self.answer(answer.status, dict(answer.getheaders()), content)

        def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)
            except OSError:  # the client has given up
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    running = Proxy(f"http://127.0.0.1:{serving.server_port}")
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield running
    finally:
        serving.shutdown()
        serving.server_close()
