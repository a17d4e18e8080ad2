"""A stand-in for Google Cloud Storage's XML API, in this process: no emulator that installs here answers as obstore expects.

It is written after https://docs.cloud.google.com/storage/docs/xml-api/reference-headers, over the bucket in memory: objects
have generations, writes take `x-goog-if-generation-match`, and large objects come in parts. It checks no credentials. What it
shows is that our code and obstore's agree about conditions; what Google's own servers do was not seen.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from emberharmony.io.store.objects import ABSENT, ConditionFailedError, Revision
from tests.stores import MemoryObjects

_PAGE = 1000


@contextmanager
def gcs_server() -> Iterator[str]:
    """Address of a server of buckets in memory, which exist as soon as they are named."""
    buckets: dict[str, MemoryObjects] = defaultdict(MemoryObjects)
    uploads: dict[str, dict[int, bytes]] = defaultdict(dict)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def read(self) -> tuple[MemoryObjects, str, dict[str, str], bytes]:
            parts = urlsplit(self.path)
            bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            return buckets[bucket], key, query, self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def answer(self, status: int, content: bytes = b"", *, length: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self) -> None:
            objects, key, query, _ = self.read()
            if not key:
                return self.answer(200, listing(objects, query), Content_Type="application/xml")
            found, info = objects.get(key), objects.info(key)
            if found is None or info is None:
                return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            if self.headers.get("If-Match") not in (None, f'"{info.revision}"'):
                return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            headers = {"ETag": f'"{info.revision}"', "x_goog_generation": info.revision} | {
                "Last_Modified": info.modified.strftime("%a, %d %b %Y %H:%M:%S GMT")
            }
            content, n_bytes = found[0], len(found[0])
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
            if wanted:
                start, stop = int(wanted[1]), min(n_bytes, int(wanted[2]) + 1)
                range_ = f"bytes {start}-{stop - 1}/{n_bytes}"
                return self.answer(206, content[start:stop], Content_Range=range_, **headers)
            return self.answer(200, content, length=n_bytes, **headers)

        do_HEAD = do_GET  # noqa: N815

        def do_PUT(self) -> None:
            objects, key, query, body = self.read()
            if "uploadId" in query:
                uploads[query["uploadId"]][int(query["partNumber"])] = body
                return self.answer(200, ETag=f'"{query["partNumber"]}"')
            generation = self.headers.get("x-goog-if-generation-match")
            condition = None if generation is None else ABSENT if generation == "0" else Revision(generation)
            try:
                revision = objects.put(key, body, only_if=condition)
            except ConditionFailedError:
                return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return self.answer(200, ETag=f'"{revision}"', x_goog_generation=revision)

        def do_POST(self) -> None:
            objects, key, query, _ = self.read()
            if "uploads" in query:
                name = uuid.uuid4().hex
                body = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
                return self.answer(200, body.encode())
            parts = uploads.pop(query["uploadId"])
            revision = objects.put(key, b"".join(parts[number] for number in sorted(parts)))
            body = f'<CompleteMultipartUploadResult><ETag>"{revision}"</ETag></CompleteMultipartUploadResult>'
            return self.answer(200, body.encode(), x_goog_generation=revision)

        def do_DELETE(self) -> None:
            objects, key, _, _ = self.read()
            known = objects.info(key) is not None
            objects.delete([key])
            self.answer(204 if known else 404, b"" if known else b"<Error><Code>NoSuchKey</Code></Error>")

        def log_message(self, *_: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.daemon_threads = True
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()


def listing(objects: MemoryObjects, query: dict[str, str]) -> bytes:
    """One page of a listing as XML."""
    prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
    entries, folders = [], set()
    for info in objects.list(""):
        rest = info.key[len(prefix) :]
        if not info.key.startswith(prefix) or info.key <= after:
            continue
        if query.get("delimiter") and "/" in rest:
            folders.add(prefix + rest.partition("/")[0] + "/")
            continue
        modified = info.modified.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        entries.append(
            (
                info.key,
                f"<Contents><Key>{escape(info.key)}</Key><Size>{info.n_bytes}</Size><LastModified>{modified}</LastModified>"
                f'<ETag>"{info.revision}"</ETag></Contents>',
            )
        )
    page = entries[:_PAGE]
    more = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if len(entries) > _PAGE else ""
    common = "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders))
    return f"<ListBucketResult>{''.join(text for _, text in page)}{common}{more}</ListBucketResult>".encode()
