"""An S3 server: moto, in a process of its own, which prints its address and ends with its standard input."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import Thread

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
REGION = "us-east-1"


@contextmanager
def s3_server() -> Iterator[str]:
    """Address of an S3 server."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.servers.s3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(60)


def main() -> None:
    import moto.core.errors
    import moto.core.serialize
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        """Keeps connections: werkzeug's own waits at the end of each request whether more of it comes, and closes."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def run_wsgi(self) -> None:
            self.environ = environ = self.make_environ()
            body = environ["wsgi.input"]
            is_chunked = environ.get("wsgi.input_terminated", False)
            environ["wsgi.input"] = BytesIO(body.read() if is_chunked else body.read(int(environ.get("CONTENT_LENGTH") or 0)))
            head = []

            def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
                head[:] = [f"{self.protocol_version} {status}", *(f"{name}: {value}" for name, value in headers)]

            answer = server.app(environ, start_response)
            content = b"".join(answer)
            answer.close()
            assert any(line.lower().startswith("content-length:") for line in head) or not content, head
            self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1") + content)

    # A listing shows when each object was written. Half its time goes into reading moto's own texts of these times. And each
    # error would make moto's table of all errors again.
    moto.core.serialize.parse_to_aware_datetime = lru_cache(maxsize=4096)(moto.core.serialize.parse_to_aware_datetime)
    moto.core.errors.ErrorLookupFactory = lru_cache(moto.core.errors.ErrorLookupFactory)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # The application of S3 alone: moto's own server lists the modules of all services for each request.
    app = create_backend_app("s3")
    app.debug = False  # measured: a quarter of its time
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
