"""An Azure Blob server: Azurite, installed by npm beside this file, in a process of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's, in its manual
CREDENTIALS = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}
SCRIPT = Path(__file__).parent / "azurite/node_modules/azurite/dist/src/blob/main.js"
_OPTIONS = (
    "--blobHost",
    "127.0.0.1",
    "--blobPort",
    "0",
    "--inMemoryPersistence",
    "--skipApiVersionCheck",
    "--disableTelemetry",
)


@contextmanager
def azure_server() -> Iterator[str]:
    """Address of an Azure Blob server."""
    assert SCRIPT.exists(), "Azurite is not installed: make azurite"
    with subprocess.Popen(["node", str(SCRIPT), *_OPTIONS, "--silent"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = re.search(r"successfully listens on (http://\S+)", line)
                if found:
                    yield f"{found[1]}/{ACCOUNT}"
                    break
        finally:
            process.kill()


@contextmanager
def azure_container(server: str) -> Iterator[str]:
    """Address of a new container on an Azure Blob server."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{server}/{name}?restype=container", method="PUT", headers={"Content-Length": "0"})
    request.add_header("x-ms-version", "2021-10-04")
    request.add_header("x-ms-date", formatdate(usegmt=True))
    request.add_header("Authorization", f"SharedKey {ACCOUNT}:{_signature(request, name)}")
    urllib.request.urlopen(request, timeout=60).close()
    yield f"az://{name}?endpoint={server}&account={ACCOUNT}"


def _signature(request: urllib.request.Request, container: str) -> str:
    """The shared key's signature: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key."""
    headers = f"x-ms-date:{request.get_header('X-ms-date')}\nx-ms-version:{request.get_header('X-ms-version')}\n"
    resource = f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    text = "PUT" + "\n" * 12 + headers + resource
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
