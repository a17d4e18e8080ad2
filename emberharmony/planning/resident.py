"""Memory of this process: bytes in use before a job starts, and free memory that allocators keep after a stage."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import pyarrow as pa

from emberharmony.threads import available_cores

if TYPE_CHECKING:
    import psutil

_M_ARENA_MAX = -8  # of mallopt(3)
_IMPORTED = ("safetensors.numpy", "threadpoolctl")
"""Libraries that every job imports when it first uses them: a plan imports them, and so counts their memory."""
COUNTED_BYTES = {"pandas": 45 * 2**20, "scipy.linalg": 30 * 2**20}
"""Memory of libraries (measured: 42 and 27 MiB) that only some jobs import: counted in every plan, not imported for it.

pyarrow or a hash of strings imports pandas, and windows of many numbers import SciPy.
"""


def resident_bytes() -> int:
    """Return the bytes of this process before its first chunk, with all libraries that chunks import."""
    for name in _IMPORTED:
        import_module(name)
    release_memory()
    later = sum(n_bytes for name, n_bytes in COUNTED_BYTES.items() if name not in sys.modules)
    return resident_now() + later


def resident_now() -> int:
    """Return the bytes that this process holds."""
    return int(_process(os.getpid()).memory_info().rss)


@lru_cache(maxsize=1)
def _process(pid: int) -> psutil.Process:
    """Return this process: psutil opens a file to make one, and a fork has another number."""
    import psutil

    return psutil.Process(pid)


@contextmanager
def arrow_in_c_memory() -> Iterator[None]:
    """Have Arrow take memory from the C library, as NumPy does, until the block ends; see `use_c_memory`."""
    before = pa.default_memory_pool()
    before.release_unused()  # what planning has left there, which no stage would use
    use_c_memory()
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def use_c_memory() -> None:
    """Have Arrow take memory from the C library, unless ``ARROW_DEFAULT_MEMORY_POOL`` asks for another allocator.

    Measured: mimalloc, Arrow's default, returns memory to the system so early that a job spends a tenth of its CPU time on
    fresh pages.
    """
    if not os.environ.get("ARROW_DEFAULT_MEMORY_POOL"):
        pa.set_memory_pool(pa.system_memory_pool())


def limit_arenas() -> None:
    """Have the threads of this process share one arena of the C library for each core, unless ``MALLOC_ARENA_MAX`` is set.

    Of each arena, glibc keeps free memory that no call gives back, and it makes eight for each core. Measured on two cores: a
    job holds 30 to 60 MiB less, and takes as long. It comes before the first thread: arenas stay.
    """
    if not os.environ.get("MALLOC_ARENA_MAX"):
        with suppress(AttributeError, OSError):  # only glibc has it
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, available_cores())


def release_memory() -> None:
    """Return free memory that allocators keep to the system.

    Measured with two workers: otherwise up to 150 MiB of a stage's memory stay in use during the next stage.
    """
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
