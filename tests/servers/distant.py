"""A small server that serves a folder by S3's protocol, as if it were far away or failing.

It runs in a process of its own. Each answer waits for the latency, so what is measured is how many requests a client makes one
after the other; moto's server would take longer than the latency to answer. It knows only what a job needs: listings
(ListObjectsV2), HEAD, GET with ranges, PUT at once and in parts, both with conditions on ETags, and DELETE; it checks no
signature.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

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

    def forget(self, prefix: str) -> None:
        """Have no objects below a prefix any more; their files are left."""
        self._control(f"forget/{prefix}")

    def writes(self) -> list[tuple[str, float, float]]:
        """Each PUT so far: the object's key, when it came and when it was answered, in seconds."""
        return [(key, begin, end) for key, begin, end in json.loads(self._control("writes"))]

    def _control(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.root}{CONTROL}{path}", timeout=60) as answer:
            content: bytes = answer.read()
        return content


@contextmanager
def distant_server(folder: Path, *, latency_ms: float = 0.0, distant: str = "") -> Iterator[DistantServer]:
    """Serve the files of a folder as a bucket named ``bucket``.

    Only requests with `distant` in their address wait for the latency, which are all of them if it is empty.
    """
    command = [sys.executable, "-m", "tests.servers.distant", str(folder)]
    command += ["--latency-ms", str(latency_ms), "--distant", distant]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        try:
            yield DistantServer(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


MISSING = "404 Not Found", dict[str, str](), b"<Error><Code>NoSuchKey</Code></Error>"
CONDITION_FAILED = "412 Precondition Failed", dict[str, str](), b"<Error><Code>PreconditionFailed</Code></Error>"


class Objects:
    """The files of a folder, by key, with their ETags."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = dict.fromkeys(("list", "get", "head", "put", "post", "delete", "bytes", "failed"), 0)
        self.faults: list[str] = []
        self.tags: dict[str, tuple[int, str]] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                status = path.stat()
                tag = hashlib.md5(f"{path}{status.st_mtime_ns}".encode(), usedforsecurity=False).hexdigest()
                self.tags[path.relative_to(folder).as_posix()] = (status.st_size, f'"{tag}"')
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.writes: list[tuple[str, float, float]] = []
        self.numbers = itertools.count()

    def answer(
        self, method: str, target: str, headers: dict[str, str], sent: bytes = b""
    ) -> tuple[str, dict[str, str], bytes]:
        """Return status, headers and body."""
        url = urlsplit(target)
        if url.path.startswith(CONTROL):
            return "200 OK", {}, self._control(url.path.removeprefix(CONTROL))
        _, _, key = unquote(url.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if not key and method == "GET":
            return self._list(query)
        self.counts[method.lower()] += 1
        if method in ("PUT", "POST", "DELETE"):
            return self._changed(method, key, query, headers, sent)
        if self.faults and method == "GET" and self.faults[0] != "cut":
            self.counts["failed"] += 1
            status, body = FAULTS[self.faults.pop(0)]
            return status, {}, body
        if key not in self.tags:
            return MISSING
        size, tag = self.tags[key]
        if headers.get("if-match", tag) != tag:
            return CONDITION_FAILED
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

    def _changed(
        self, method: str, key: str, query: dict[str, str], headers: dict[str, str], sent: bytes
    ) -> tuple[str, dict[str, str], bytes]:
        if method == "POST" and "delete" in query:
            keys = [unescape(found) for found in re.findall("<Key>(.*?)</Key>", sent.decode())]
            for each in keys:
                self._remove(each)
            deleted = "".join(f"<Deleted><Key>{escape(each)}</Key></Deleted>" for each in keys)
            return "200 OK", {"Content-Type": "application/xml"}, f"<DeleteResult>{deleted}</DeleteResult>".encode()
        if method == "POST" and "uploads" in query:
            upload = f"upload-{next(self.numbers)}"
            self.uploads[upload] = {}
            return "200 OK", {}, f"<R><Bucket>b</Bucket><Key>k</Key><UploadId>{upload}</UploadId></R>".encode()
        if method == "PUT" and "partNumber" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = sent
            return "200 OK", {"ETag": f'"{query["partNumber"]}"'}, b""
        if method == "DELETE":
            self._remove(key)
            return "204 No Content", {}, b""
        if method == "POST":  # the end of an upload in parts
            sent = b"".join(part for _, part in sorted(self.uploads.pop(query["uploadId"]).items()))
        found = self.tags.get(key)
        if (headers.get("if-none-match") == "*" and found) or (
            "if-match" in headers and (found or (0, ""))[1] != headers["if-match"]
        ):
            return CONDITION_FAILED
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sent)
        tag = f'"{next(self.numbers):032x}"'
        self.tags[key] = len(sent), tag
        return "200 OK", {"ETag": tag}, f"<R><ETag>{escape(tag)}</ETag></R>".encode() if method == "POST" else b""

    def _remove(self, key: str) -> None:
        if self.tags.pop(key, None):
            (self.folder / key).unlink()

    def _control(self, path: str) -> bytes:
        if path == "statistics":
            counts = json.dumps(self.counts).encode()
            self.counts = dict.fromkeys(self.counts, 0)
            return counts
        if path == "writes":
            return json.dumps(self.writes).encode()
        command, _, rest = path.partition("/")
        if command == "forget":
            self.tags = {key: tag for key, tag in self.tags.items() if not key.startswith(rest)}
            return b""
        fault, n = rest.split("/")
        self.faults += [fault] * int(n)
        return b""

    def _list(self, query: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
        self.counts["list"] += 1
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(key for key in self.tags if key.startswith(prefix) and key > after)
        folders = set[str]()
        if query.get("delimiter"):
            folders = {
                prefix + key.removeprefix(prefix).partition("/")[0] + "/" for key in keys if "/" in key.removeprefix(prefix)
            }
            keys = [key for key in keys if "/" not in key.removeprefix(prefix)]
        page = keys[:PAGE]
        entries = "".join(
            f"<Contents><Key>{quote(key) if query.get('encoding-type') == 'url' else escape(key)}</Key>"
            f"<LastModified>2026-11-28T00:00:00.000Z</LastModified><ETag>{escape(self.tags[key][1])}</ETag>"
            f"<Size>{self.tags[key][0]}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        within = "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders))
        more = len(page) < len(keys)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        body = (
            f'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{entries}{within}</ListBucketResult>"
        )
        return "200 OK", {"Content-Type": "application/xml"}, body.encode()


class Connection(asyncio.Protocol):
    """One kept-alive connection; a client sends its next request when it has its answer."""

    def __init__(self, objects: Objects, latency_s: float, distant: str) -> None:
        self.objects, self.latency_s, self.distant, self.received = objects, latency_s, distant, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n") + 4) >= 4:
            first, *lines = self.received[: end - 4].decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            stop = end + int(headers.get("content-length", "0"))
            if len(self.received) < stop:
                return
            sent = bytes(self.received[end:stop])
            del self.received[:stop]
            status, about, body = self.objects.answer(method, target, headers, sent)
            about = {"Content-Length": str(len(body))} | about
            lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in about.items())]
            answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
            wait = self.latency_s if self.distant in target and not target.startswith(CONTROL) else 0.0
            is_cut = bool(method == "GET" and "Content-Range" in about and self.objects.faults[:1] == ["cut"])
            if is_cut:
                self.objects.faults.pop(0)
                self.objects.counts["failed"] += 1
            now = asyncio.get_running_loop().time()
            if method == "PUT":
                self.objects.writes.append((unquote(urlsplit(target).path), now, now + wait))
            asyncio.get_running_loop().call_later(
                wait, self._send, answer[: len(answer) - len(body) // 2] if is_cut else answer, is_cut
            )

    def _send(self, answer: bytes, is_cut: bool) -> None:
        self.transport.write(answer)  # type: ignore[attr-defined]
        if is_cut:
            self.transport.close()


async def serve(folder: Path, latency_s: float, distant: str) -> None:
    """Serve a folder until the process is ended."""
    objects = Objects(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(objects, latency_s, distant), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    parser.add_argument("--distant", default="")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.folder, arguments.latency_ms / 1000, arguments.distant))
