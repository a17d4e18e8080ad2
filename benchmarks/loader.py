"""Rows per second of `WindowLoader`, against the same windows materialised in memory.

python -m benchmarks.loader [--rows 500000] [--rounds 3]

All sides read the training windows of the benchmarks' table once, in batches, and take turns in one process. Then each side
reads them in a process of its own, one and three times, for its peak memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.jobs import SIZE, job_of
from benchmarks.machine import print_machine
from benchmarks.measure import median_of, print_ratios, run_process, turn_about
from benchmarks.workbench import Measurement, Workbench, times_as_fast
from emberharmony import WindowLoader

BATCH_SIZE, BUFFER_ROWS = 1_024, 131_072
OURS, SHUFFLED = "streamed, in order", "streamed, shuffled"
IN_MEMORY, IN_MEMORY_SHUFFLED = "in memory, in order", "in memory, shuffled"


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield streamed windows beside the same windows in memory."""
    sides = Sides(make_result(bench, bench.pick(500_000, 2_000)))
    costs = {name: median_of(of_side) for name, of_side in turn_about(sides.by_name, rounds=bench.rounds).items()}
    for ours, theirs in ((OURS, IN_MEMORY), (SHUFFLED, IN_MEMORY_SHUFFLED)):
        yield times_as_fast(f"{sides.in_order.n_windows:,} windows, {ours}", costs[ours], theirs, costs[theirs])


class Sides:
    """What is compared: each method reads all training windows once, and returns how many there are."""

    def __init__(self, result: Path) -> None:
        options = {"split": "train", "stride": 1, "batch_size": BATCH_SIZE, "buffer_rows": BUFFER_ROWS}
        self.result = result
        self.in_order, self.shuffled = (WindowLoader(result, shuffle=shuffle, **options) for shuffle in (False, True))
        self.materialised: np.ndarray | None = None
        self.by_name = {
            OURS: lambda: count(features for features, _, _ in self.in_order),
            SHUFFLED: lambda: count(features for features, _, _ in self.shuffled),
            IN_MEMORY: lambda: count(self.in_memory(np.arange(len(self.windows)))),
            IN_MEMORY_SHUFFLED: lambda: count(self.in_memory(np.random.default_rng(0).permutation(len(self.windows)))),
        }

    @property
    def windows(self) -> np.ndarray:
        """All windows, of shape (n_windows, size, n_features); made once."""
        if self.materialised is None:
            rows = pd.read_parquet(self.result / "features/split=train", columns=list(self.in_order.feature_names)).to_numpy()
            self.materialised = np.lib.stride_tricks.sliding_window_view(rows, SIZE, axis=0).transpose(0, 2, 1).copy()
        return self.materialised

    def in_memory(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the batches of an order."""
        for begin in range(0, len(order), BATCH_SIZE):
            yield self.windows[order[begin : begin + BATCH_SIZE]]


def count(batches: Iterable[np.ndarray]) -> int:
    return sum(len(batch) for batch in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description="Streamed windows against windows in memory.")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", help="only read the windows of this side of --result, for its peak memory")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.side:
        side = Sides(arguments.result).by_name[arguments.side]
        for _ in range(arguments.epochs):
            side()
        return
    print_machine(["emberharmony", "numpy", "pandas", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        result = make_result(Workbench(Path(folder)), arguments.rows)
        compare_speed(result, rounds=arguments.rounds)
        compare_memory(result, log=Path(folder) / "log")


def make_result(bench: Workbench, n_rows: int) -> Path:
    """Publish the features of the benchmarks' table."""
    result, windows = bench.folder / "windows", {"strides": [1]}
    bench.run_job(job_of(bench.table(n_rows), result, columns={"target": "signal_0"}, windows=windows))
    return result


def compare_speed(result: Path, *, rounds: int) -> None:
    sides = Sides(result)
    n_windows, n_features = sides.in_order.n_windows, len(sides.in_order.feature_names)
    costs = turn_about(sides.by_name, rounds=rounds)
    title = f"{n_windows:,} windows of {SIZE} rows x {n_features} features, batches of {BATCH_SIZE:,}"
    print_ratios(title, costs, ours=OURS)
    for name, of_side in costs.items():
        print(f"  {name:<46} {n_windows / median_of(of_side).seconds / 1e6:9.2f} M windows/s")


def compare_memory(result: Path, *, log: Path) -> None:
    print("\npeak memory of a process, in MB, after one epoch and after three")
    for name in Sides(result).by_name:
        command = [sys.executable, "-m", "benchmarks.loader", "--side", name, "--result", str(result), "--epochs"]
        one, three = (run_process([*command, epochs], log=log).peak_mb for epochs in ("1", "3"))
        print(f"  {name:<46} {one:9,.0f} {three:9,.0f}")


if __name__ == "__main__":
    main()
