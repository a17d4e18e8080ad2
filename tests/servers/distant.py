"""A small server that serves a folder by S3's protocol, read-only, as if it were far away or failing.

It runs in a process of its own. Each answer waits for the latency, so what is measured is how many requests a client makes one
after the other; moto's server would take longer than the latency to answer. It knows only what reading a table needs: listings
(ListObjectsV2), HEAD, and GET with ranges and `If-Match`; it checks no signature.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
CONTROL = "/-/"
FAULTS = {
    "busy": ("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"),
    "expired": ("403 Forbidden", b"<Error><Code>ExpiredToken</Code><Message>secret-of-the-server</Message></Error>"),
    "cut": ("", b""),  # the connection ends in the middle of the answer
}


@dataclass(frozen=True)
class DistantServer:
    """A server that runs: `root` is what it listens at."""

    root: str

    def address(self, key: str) -> str:
        """Address of an object or a prefix."""
        return f"s3://bucket/{key}?endpoint={self.root}&region=us-east-1"

    def counts(self) -> dict[str, int]:
        """Requests by kind, and bytes, since it was last asked."""
        found: dict[str, int] = json.loads(self._control("statistics"))
        return found

    def fail(self, fault: str, n: int) -> None:
        """Answer the next `n` GETs of objects with a fault."""
        self._control(f"fail/{fault}/{n}")

    def _control(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.root}{CONTROL}{path}", timeout=60) as answer:
            content: bytes = answer.read()
        return content


@contextmanager
def distant_server(folder: Path, *, latency_ms: float = 0.0) -> Iterator[DistantServer]:
    """Serve the files of a folder as a bucket named ``bucket``."""
    command = [sys.executable, "-m", "tests.servers.distant", str(folder), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        try:
            yield DistantServer(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


class Objects:
    """The files of a folder, by key, with their ETags."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = {"list": 0, "get": 0, "head": 0, "bytes": 0, "failed": 0}
        self.faults: list[str] = []
        self.tags: dict[str, tuple[int, str]] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                status = path.stat()
                tag = hashlib.md5(f"{path}{status.st_mtime_ns}".encode(), usedforsecurity=False).hexdigest()
                self.tags[path.relative_to(folder).as_posix()] = (status.st_size, f'"{tag}"')
        self.keys = sorted(self.tags)

    def answer(self, method: str, target: str, headers: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
        """Return status, headers and body."""
        url = urlsplit(target)
        if url.path.startswith(CONTROL):
            return "200 OK", {}, self._control(url.path.removeprefix(CONTROL))
        _, _, key = unquote(url.path).lstrip("/").partition("/")
        if not key:
            return self._list({name: values[0] for name, values in parse_qs(url.query).items()})
        self.counts[method.lower()] += 1
        if self.faults and method == "GET" and self.faults[0] != "cut":
            self.counts["failed"] += 1
            status, body = FAULTS[self.faults.pop(0)]
            return status, {}, body
        if key not in self.tags:
            return "404 Not Found", {}, b"<Error><Code>NoSuchKey</Code></Error>"
        size, tag = self.tags[key]
        if headers.get("if-match", tag) != tag:
            return "412 Precondition Failed", {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        about = {"ETag": tag, "Last-Modified": "Sat, 28 Nov 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
        if method == "HEAD":
            return "200 OK", about | {"Content-Length": str(size)}, b""
        start, stop, status = 0, size, "200 OK"
        if "range" in headers:
            first, last = headers["range"].removeprefix("bytes=").split("-")
            start = int(first) if first else size - int(last)
            stop = min(size, int(last) + 1) if first and last else size
            about["Content-Range"], status = f"bytes {start}-{stop - 1}/{size}", "206 Partial Content"
        with (self.folder / key).open("rb") as handle:
            handle.seek(start)
            body = handle.read(stop - start)
        self.counts["bytes"] += len(body)
        return status, about, body

    def _control(self, path: str) -> bytes:
        if path == "statistics":
            counts = json.dumps(self.counts).encode()
            self.counts = dict.fromkeys(self.counts, 0)
            return counts
        _, fault, n = path.split("/")
        self.faults += [fault] * int(n)
        return b""

    def _list(self, query: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
        self.counts["list"] += 1
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = [key for key in self.keys if key.startswith(prefix) and key > after]
        page = keys[:PAGE]
        entries = "".join(
            f"<Contents><Key>{quote(key) if query.get('encoding-type') == 'url' else escape(key)}</Key>"
            f"<LastModified>2026-11-28T00:00:00.000Z</LastModified><ETag>{escape(self.tags[key][1])}</ETag>"
            f"<Size>{self.tags[key][0]}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        more = len(page) < len(keys)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = (
            f'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{entries}</ListBucketResult>"
        )
        return "200 OK", {"Content-Type": "application/xml"}, body.encode()


class Connection(asyncio.Protocol):
    """One kept-alive connection; a client sends its next request when it has its answer."""

    def __init__(self, objects: Objects, latency_s: float) -> None:
        self.objects, self.latency_s, self.received = objects, latency_s, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            status, about, body = self.objects.answer(method, target, headers)
            about = {"Content-Length": str(len(body))} | about
            lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in about.items())]
            answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
            wait = 0.0 if target.startswith(CONTROL) else self.latency_s
            is_cut = bool(method == "GET" and "Content-Range" in about and self.objects.faults[:1] == ["cut"])
            if is_cut:
                self.objects.faults.pop(0)
                self.objects.counts["failed"] += 1
            asyncio.get_running_loop().call_later(
                wait, self._send, answer[: len(answer) - len(body) // 2] if is_cut else answer, is_cut
            )

    def _send(self, answer: bytes, is_cut: bool) -> None:
        self.transport.write(answer)  # type: ignore[attr-defined]
        if is_cut:
            self.transport.close()


async def serve(folder: Path, latency_s: float) -> None:
    """Serve a folder until the process is ended."""
    objects = Objects(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(objects, latency_s), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.folder, arguments.latency_ms / 1000))
