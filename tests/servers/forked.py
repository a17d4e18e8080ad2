"""Stands in for a new Python process: asks a fork server for a fork, and passes on signals, output and the exit status.

Run by its path, as `python -IS forked.py SOCKET -m module arguments`: it imports nothing of ours, and starts in 20 ms. It has
the environment, the parent and the arguments that the new process would have. Whoever kills it kills the fork.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

PASSED_ON = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


def main() -> None:
    """Ask for a fork, and end as it ends."""
    asked = {
        "arguments": sys.argv[2:],
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "process": os.getpid(),
        "files": [int(file.name) for file in Path("/proc/self/fd").iterdir() if file.exists()],  # without the listing's own
    }
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # until they can be passed on
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(sys.argv[1])
        message = json.dumps(asked).encode()
        socket.send_fds(server, [len(message).to_bytes(4)], asked["files"])
        server.sendall(message)
        for number in asked["files"]:
            os.close(number)  # whoever waits for their ends waits for the fork alone
        answers = server.makefile()
        child = int(answers.readline())
        for number in PASSED_ON:
            signal.signal(number, lambda number, _: os.kill(child, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        status = int(answers.readline() or 70)  # the server is gone, and the fork with it
    if status < 0:
        with suppress(OSError):  # of SIGKILL
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main()
