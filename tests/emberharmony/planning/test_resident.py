"""What this process holds, and gives back."""

import os
import subprocess
import sys

import psutil
import pyarrow as pa
import pytest

from emberharmony.planning.resident import arrow_in_c_memory, release_memory, resident_bytes

GROWTH = """
import psutil
import pyarrow as pa
from emberharmony.planning.resident import resident_bytes
counted = resident_bytes()
import pandas, pyarrow as pa, scipy.linalg, safetensors.numpy
pa.array(pandas.Series([1.5])).to_pandas()
print(psutil.Process().memory_info().rss - counted)
"""


def test_libraries_that_chunks_load_are_counted():
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 10 * 2**20  # pandas and SciPy alone are 45 MiB


def test_free_memory_is_given_back():
    kept = [bytes(1000 + i % 50) for i in range(100_000)]
    full = psutil.Process().memory_info().rss
    del kept
    release_memory()
    assert psutil.Process().memory_info().rss < full
    assert 0 < resident_bytes() < full + 200 * 2**20


def test_arrow_takes_memory_from_the_c_library_within_the_block(monkeypatch):
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    before = pa.default_memory_pool().backend_name
    with arrow_in_c_memory():
        assert pa.default_memory_pool().backend_name == "system"
        held = pa.total_allocated_bytes()
        column = pa.array(range(100_000), pa.int64())
        assert pa.total_allocated_bytes() - held >= column.nbytes
    assert pa.default_memory_pool().backend_name == before


LEFT = """
import psutil
import pyarrow as pa
from emberharmony.planning.resident import arrow_in_c_memory
values = pa.array(range(8_000), pa.int64())
tables = [values.take(values) for _ in range(2_000)]  # 122 MiB
full = psutil.Process().memory_info().rss
del tables
with arrow_in_c_memory():
    print(full - psutil.Process().memory_info().rss)
"""


def test_what_arrow_has_kept_before_the_block_is_given_back(monkeypatch):
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    done = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 80 * 2**20


def test_an_allocator_that_was_asked_for_is_kept(monkeypatch):
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    before = pa.default_memory_pool().backend_name
    with arrow_in_c_memory():
        assert pa.default_memory_pool().backend_name == before


ARENAS = """
import ctypes, threading
from emberharmony.planning.resident import limit_arenas
limit_arenas()
barrier = threading.Barrier(12)
def hold():
    held = bytes(10_000)
    barrier.wait(30)
threads = [threading.Thread(target=hold) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the arenas of glibc")
@pytest.mark.parametrize(("asked", "expected"), [("", len(os.sched_getaffinity(0))), ("7", 7)], ids=["none asked for", "7"])
def test_threads_share_one_arena_for_each_core(asked, expected):
    environment = os.environ | {"MALLOC_ARENA_MAX": asked}
    done = subprocess.run([sys.executable, "-c", ARENAS], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.count("Arena ") == expected
