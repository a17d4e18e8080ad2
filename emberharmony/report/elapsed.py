"""The time a command took since it was started, and what it was spent on."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_WORTH_SAYING_S = 0.05


@dataclass(frozen=True)
class Elapsed:
    """Seconds since the process started, and what they were spent on.

    Examples
    --------
    >>> print(Elapsed(total_s=31.0, loading_s=3.2, job_s=4.5, around="Prefect's server and flow run"))
    31.0 s since the start: 3.2 s to load the program, 4.5 s for the job, 23.3 s for Prefect's server and flow run
    >>> print(Elapsed(total_s=2.0, loading_s=0.5, job_s=1.5))
    2.0 s since the start: 0.5 s to load the program, 1.5 s for the job
    """

    total_s: float
    loading_s: float  # the interpreter, the libraries and the job file
    job_s: float
    around: str = "the engine"

    def __str__(self) -> str:
        """One line for the summary."""
        rest_s = self.total_s - self.loading_s - self.job_s
        rest = f", {rest_s:.1f} s for {self.around}" if rest_s >= _WORTH_SAYING_S else ""
        parts = f"{self.loading_s:.1f} s to load the program, {self.job_s:.1f} s for the job{rest}"
        return f"{self.total_s:.1f} s since the start: {parts}"


def process_age_s() -> float:
    """Seconds since this process started, including the start of its interpreter."""
    status = Path("/proc/self/stat")
    if status.exists():
        # Not psutil's create_time(): it adds the boot time, which Linux reports in whole seconds.
        ticks = int(status.read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    import psutil

    return time.time() - float(psutil.Process().create_time())
