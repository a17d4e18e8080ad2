"""The server's process: it loads nothing it has no use for, and ends with the one that started it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.prefect import temporary_server as room


@pytest.mark.xdist_group("prefect")
def test_a_server_imports_no_integration_of_prefect(prefect_api):
    """With them come Dask, Ray and BigQuery, whose client loads grpc: that takes as long as the rest of the start."""
    (server,) = (child for child in psutil.Process().children() if any("server_process" in word for word in child.cmdline()))
    loaded = {Path(library.path).name for library in server.memory_maps()}
    assert any("sqlite" in name for name in loaded), "libraries can be seen"
    assert not any("cygrpc" in name for name in loaded)


UVICORN = """
import signal
import socket
import time

class Config:
    def __init__(self, *_, **__):
        pass

    def load(self):
        pass

class Server:
    def __init__(self, config):
        self.should_exit = self.terminated = False

    def run(self, sockets):
        (listener,) = sockets  # without the family and protocol, asyncio leaves Nagle's algorithm on
        assert (listener.family, listener.proto) == (socket.AF_INET, socket.IPPROTO_TCP)
        before = signal.signal(signal.SIGTERM, self.terminate)
        print("serving", flush=True)
        while not self.should_exit:
            time.sleep(0.01)
        signal.signal(signal.SIGTERM, before)
        if self.terminated:
            signal.raise_signal(signal.SIGTERM)

    def terminate(self, *_):
        self.should_exit = self.terminated = True
"""


@pytest.mark.parametrize("how", ["early", "parent gone", "terminated with its parent"])
def test_the_process_ends_with_the_one_that_started_it_and_clears_up(tmp_path, how):
    """The real script, with a stand-in for uvicorn's server, which takes SIGTERM and raises it again at its end.

    It is given a socket that says that it is TCP: else every answer would wait 40 ms for the client.
    """
    (tmp_path / "uvicorn.py").write_text(UVICORN)
    folder = tmp_path / "database"
    folder.mkdir()
    script = Path(room.__file__).with_name("server_process.py")
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen(
        [sys.executable, "-P", script, str(listener.fileno()), folder, "app"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    with listener, process:
        assert process.stdin
        assert process.stdout
        if how != "early":
            assert process.stdout.readline() == b"serving\n"
        if how == "terminated with its parent":
            process.terminate()
        process.stdin.close()
        try:
            assert process.wait(120) == 0
        finally:
            process.kill()
    assert not folder.exists()
