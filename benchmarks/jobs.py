"""Run the job of the benchmarks: a table in, features, splits and PCA scores of windows out.

    python -m benchmarks.jobs JOB

JOB is a job as JSON. The last line that is printed holds what the job itself says: its seconds, its peak and planned memory.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Cost, run_process, timed

if TYPE_CHECKING:
    from emberharmony.pipeline.callback import Callback

SIZE, STRIDES = 5, (1, 3, 5)
MAX_MEMORY_GB = 2.0


@dataclass(frozen=True)
class JobCost(Cost):
    """What a job took: its process, and the job within it."""

    job_seconds: float = math.nan  # without the start of Python and the imports
    job_cpu_seconds: float = math.nan  # likewise, of the process that runs the job alone
    job_peak_mb: float = math.nan  # as the job measures itself; with the processes that it starts, of all at a time
    planned_mb: float = math.nan
    n_rows: int = 0


def job_of(table: Path | str, result: Path | str, **sections: Any) -> dict[str, Any]:
    """Return a job with the benchmarks' defaults; `sections` are merged into it, one level deep."""
    job: dict[str, Any] = {
        "source": {"path": str(table)},
        "sink": {"path": str(result)},
        "columns": {"time": "time"},
        "windows": {"size": SIZE, "strides": list(STRIDES)},
        "runtime": {"engine": "local", "backend": "numpy", "max_memory_gb": MAX_MEMORY_GB},
    }
    for name, section in sections.items():
        job[name] = {key: it for key, it in (job.get(name, {}) | section).items() if it is not None}
    return job


def run_job(job: dict[str, Any], *, log: Path, environment: dict[str, str] | None = None) -> JobCost:
    """Run a job in a process of its own, into an empty folder."""
    shutil.rmtree(job["sink"]["path"], ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.jobs", json.dumps(job)]
    process = run_process(command, log=log, environment=environment)
    told = json.loads(log.read_text().splitlines()[-1])
    return JobCost(process.seconds, process.cpu_seconds, process.peak_mb, **told)


def run_job_here(job: dict[str, Any], callback: Callback | None = None) -> JobCost:
    """Run a job in this process, whose peak memory is not the job's alone."""
    shutil.rmtree(job["sink"]["path"], ignore_errors=True)
    cost, told = timed(lambda: _run(job, callback))
    return JobCost(cost.seconds, cost.cpu_seconds, told["job_peak_mb"], **told)


def _run(job: dict[str, Any], callback: Callback | None = None) -> dict[str, Any]:
    from flows.config.job import parse_job
    from flows.run import run

    cost, result = timed(lambda: run(parse_job(job), callback))
    return {
        "job_seconds": result.seconds,
        "job_cpu_seconds": cost.cpu_seconds,
        "job_peak_mb": result.peak_bytes / 2**20,
        "planned_mb": result.projected_bytes / 2**20,
        "n_rows": result.manifest.source_rows,
    }


def main() -> None:
    from flows.cli.startup import prepare_process

    prepare_process()  # as the command does
    print(json.dumps(_run(json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
