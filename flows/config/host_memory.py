"""Memory of a job's processes on this host: the limit is the limit of them all together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MiB = 2**20
TORCH_BYTES = 200 * MiB
"""Memory that torch adds to a worker process (measured: 190 MiB on the CPU)."""
SAMPLE_S = 0.2


def most_processes(max_memory_gb: float, worker_bytes: int) -> int:
    """Worker processes that take a quarter of the memory at most: a chunk needs more than twice what its process does.

    Examples
    --------
    >>> most_processes(2.0, 160 * MiB), most_processes(0.5, 320 * MiB)
    (3, 1)
    """
    return max(1, int(max_memory_gb * 2**30 / 4) // worker_bytes)


def server_bytes() -> int:
    """Resident bytes of the temporary Prefect server that this process has started, if any."""
    import psutil

    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any("server_process.py" in word for word in child.cmdline()):
                return _resident([child, *child.children(recursive=True)])
    return 0


class PeakMemory:
    """Most bytes that this process and those it has started have held at once, looked at every `SAMPLE_S` seconds."""

    def __init__(self) -> None:
        self.sampled_bytes = 0

    @contextmanager
    def using_callback(self) -> Iterator[None]:
        """Look for the length of the block."""
        import psutil

        over, this = threading.Event(), psutil.Process()

        def look() -> None:
            while not over.wait(SAMPLE_S):
                with suppress(psutil.Error):
                    self.sampled_bytes = max(self.sampled_bytes, _resident([this, *this.children(recursive=True)]))

        watch = threading.Thread(target=look, name="memory-watch", daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()


def _resident(processes: list[psutil.Process]) -> int:
    import psutil

    total = 0
    for process in processes:
        with suppress(psutil.Error):  # it may just have ended
            total += int(process.memory_info().rss)
    return total
