"""The process of a temporary Prefect server: started by its path, with a socket and the folder of its database.

It imports only Prefect, so it runs in any folder, whether this package is installed or not.
"""

from __future__ import annotations

import gc
import shutil
import signal
import socket
import sys
import threading


def main() -> None:
    """Serve until asked to stop, or until the parent process is gone."""
    import uvicorn

    socket_number, folder, app = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    # With the number alone, uvicorn would not see that it is a socket of TCP, and each answer would wait 40 ms for the client.
    listener = socket.socket(fileno=socket_number)
    config = uvicorn.Config(app, factory=True, log_level="critical", lifespan="on")
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        stop()

    # uvicorn takes SIGTERM only while it serves, and raises it again at its end, before anything could be cleared up.
    signal.signal(signal.SIGTERM, stop)
    parent = threading.Thread(target=stop_with_parent, daemon=True)
    parent.start()
    gc.disable()  # what is imported stays: looking for garbage among it takes a fifth of the start
    config.load()
    gc.freeze()
    gc.enable()
    server.run(sockets=[listener])
    parent.join(1.0)
    if not parent.is_alive():  # else it may start another server on this database
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
