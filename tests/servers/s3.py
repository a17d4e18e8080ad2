"""An S3 server: moto, in a process of its own, which prints its address and ends with its standard input."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
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
    import moto.core.serialize
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # clients keep their connections

    # A listing shows when each object was written. Half its time goes into reading moto's own texts of these times.
    moto.core.serialize.parse_to_aware_datetime = lru_cache(maxsize=4096)(moto.core.serialize.parse_to_aware_datetime)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # The application of S3 alone: moto's own server lists the modules of all services for each request.
    server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True, request_handler=Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
