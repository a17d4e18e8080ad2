"""Memory of a job's processes on this host; `max_memory_gb` limits all of them together."""

from __future__ import annotations

from contextlib import suppress

from emberharmony.pipeline.peak_memory import resident_of

MiB = 2**20
TORCH_BYTES = 200 * MiB
"""Memory that torch adds to a worker process (measured: 190 MiB on the CPU)."""


def most_processes(max_memory_gb: float, worker_bytes: int) -> int:
    """Return how many worker processes take a quarter of the memory at most: a chunk needs more than twice its process.

    Examples
    --------
    >>> most_processes(2.0, 160 * MiB), most_processes(0.5, 320 * MiB)
    (3, 1)
    """
    return max(1, int(max_memory_gb * 2**30 / 4) // worker_bytes)


def server_bytes() -> int:
    """Return the resident bytes of the temporary Prefect server that this process has started; 0 without one."""
    import psutil

    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any("server_process.py" in word for word in child.cmdline()):
                return resident_of([child, *child.children(recursive=True)])
    return 0
