"""Memory of this process: what is in use before a job starts, and what allocators keep after a stage."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from importlib import import_module

import pyarrow as pa

_LIBRARIES = ("scipy.linalg", "safetensors.numpy", "threadpoolctl")
"""Libraries that stages import when they first use them; a plan has to count their memory."""
PANDAS_BYTES = 45 * 2**20
"""Memory of pandas (measured: 42 MiB), which pyarrow or a hash of strings imports in some jobs: counted, not imported."""


def resident_bytes() -> int:
    """Bytes that this process holds before the first chunk, with all libraries that chunks load."""
    import psutil

    for name in _LIBRARIES:
        import_module(name)
    release_memory()
    return int(psutil.Process().memory_info().rss) + (0 if "pandas" in sys.modules else PANDAS_BYTES)


def release_memory() -> None:
    """Give free memory that allocators keep back to the system.

    Measured with two workers: up to 150 MiB of a stage's memory would otherwise stay beside that of the next stage.
    """
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
