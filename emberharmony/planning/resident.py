"""Memory of this process: bytes in use before a job starts, and free memory that allocators keep after a stage."""

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
    """Return the bytes of this process before its first chunk, with all libraries that chunks import."""
    import psutil

    for name in _LIBRARIES:
        import_module(name)
    release_memory()
    return int(psutil.Process().memory_info().rss) + (0 if "pandas" in sys.modules else PANDAS_BYTES)


def release_memory() -> None:
    """Return free memory that allocators keep to the system.

    Measured with two workers: otherwise up to 150 MiB of a stage's memory stay in use during the next stage.
    """
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
