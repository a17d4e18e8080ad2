"""How long a process waits, by what the system says of its threads."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.jobs import job_of
from benchmarks.table import write_table
from benchmarks.waiting import Watch, WatchedJob, watched

BUSY = "import time; end = time.monotonic() + 0.6\nwhile time.monotonic() < end: pass"
IDLE = "import time; time.sleep(0.6)"


@pytest.mark.parametrize(("script", "least", "most"), [(BUSY, 0.0, 0.3), (IDLE, 0.7, 1.0)])
def test_a_process_that_computes_does_not_wait(script, least, most):
    """However many others share the cores with it: who waits for a core does not wait for a server."""
    with subprocess.Popen([sys.executable, "-S", "-c", script]) as process, watched(process.pid, 0.002) as watch:
        time.sleep(0.3)  # Python starts
        begin = time.monotonic()
        time.sleep(0.2)
        end = time.monotonic()
        process.wait()
    assert len(watch.times) > 5
    assert (np.diff(watch.times) > 0).all()
    assert least <= watch.waiting(begin, end) <= most


def test_shares_are_of_so_many_workers():
    watch = Watch(np.arange(4.0), np.array([0.0, 1.0, 1.0, 5.0]))
    assert watch.waiting() == 0.25
    assert watch.waiting(1.0, 3.0, workers=2) == 0.5
    assert watch.waiting(9.0) == 0


def test_each_stage_of_a_job_has_its_share(tmp_path):
    table = write_table(tmp_path / "t.parquet", n_rows=2_000)
    job = WatchedJob.run_here(job_of(table, tmp_path / "out", runtime={"workers": 1}))
    assert [stage.stage for stage in job.stages] == ["profile", "fit", "featurize", "fit PCA", "project", "publish"]
    assert sum(stage.seconds for stage in job.stages) <= job.seconds
    assert all(0 <= stage.waiting <= 1 and stage.cpu_seconds >= 0 for stage in job.stages)
    assert "publish" in str(job)
