"""The time that a command took, from its process's start."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from emberharmony.report.elapsed import Elapsed, process_age_s

ASK = """
import time
time.sleep(0.5)
from emberharmony.report.elapsed import process_age_s
print(process_age_s())
"""


def test_the_age_of_a_process_begins_with_its_interpreter():
    began = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    assert 0.5 <= float(told) <= time.perf_counter() - began + 0.02  # the kernel counts in hundredths


def test_the_age_grows_with_time():
    before = process_age_s()
    time.sleep(0.05)
    assert 0.03 < process_age_s() - before < 60.0


@pytest.mark.parametrize(("total", "rest"), [(10.0, "4.0 s for Prefect"), (6.0, None), (5.99, None)])
def test_what_the_rest_went_to_is_told_if_there_is_any(total, rest):
    text = str(Elapsed(total, loading_s=2.0, job_s=4.0, around="Prefect"))
    assert text.startswith(f"{total:.1f} s since the start: 2.0 s to load the program, 4.0 s for the job")
    assert text.endswith("for the job" if rest is None else f"for the job, {rest}")
