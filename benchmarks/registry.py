"""All benchmarks of `python -m benchmarks`, in the order in which they run. Adding one is one entry here.

Each is a module with a function `measure(bench)` that yields rows of the table; see `benchmarks.workbench`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from benchmarks.workbench import Measurement, Workbench


@dataclass(frozen=True)
class Benchmark:
    """A module that measures some rows, imported when it runs: peers take seconds to import."""

    name: str
    module: str
    in_smoke: bool = True  # whether a smoke run can do without servers and further processes

    def measure(self, bench: Workbench) -> Iterator[Measurement]:
        """Yield rows, each as soon as it is measured."""
        run = cast("Callable[[Workbench], Iterator[Measurement]]", import_module(self.module).measure)
        return run(bench)


BENCHMARKS = (
    Benchmark("kernels", "benchmarks.kernels"),
    Benchmark("ops", "benchmarks.ops_overhead"),
    Benchmark("whole-job", "benchmarks.whole_job"),
    Benchmark("series", "benchmarks.series"),
    Benchmark("growth", "benchmarks.growth"),
    Benchmark("loader", "benchmarks.loader"),
    Benchmark("stores", "benchmarks.stores", in_smoke=False),
    Benchmark("engines", "benchmarks.engines", in_smoke=False),
    Benchmark("accelerator", "benchmarks.accelerator", in_smoke=False),
)
