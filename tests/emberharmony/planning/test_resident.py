"""What this process holds, and gives back."""

import subprocess
import sys

import psutil

from emberharmony.planning.resident import release_memory, resident_bytes

GROWTH = """
import psutil
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
