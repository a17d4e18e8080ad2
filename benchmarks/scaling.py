"""How time per row and peak memory grow with rows, features, window size, files and entities: one chart each.

    python -m benchmarks.scaling [--only rows files ...] [--max-rows 30000000] [--figures docs/figures] [--folder FOLDER]
    python -m benchmarks.scaling --draw        # the charts again, from the numbers of the last run

Every point is the whole job of `benchmarks.whole_job` in a process of its own, on the local engine, and its table is written
before. Time is the job's own, without the start of Python. Rows and entities are shown by the time of a row, which is a flat
line if cost grows in a straight line; features, windows and files by the seconds of the job, which are a straight line then.
Each chart is an SVG, with its numbers as JSON beside it. All together take an hour on two idle cores, and 30 GB of disk;
`--max-rows 3000000` takes ten minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.growth import files_table
from benchmarks.jobs import SIZE, job_of
from benchmarks.machine import Machine, print_machine
from benchmarks.measure import FailedError
from benchmarks.series import LEAST_ROWS, series_table, shuffled_table
from benchmarks.table import write_numbers
from benchmarks.workbench import Workbench

BASE_ROWS = 1_000_000
PACKAGES = ["emberharmony", "numpy", "pyarrow"]


@dataclass(frozen=True)
class Case:
    """A job of a sweep, and the number of its rows."""

    job: dict[str, Any]
    n_rows: int


@dataclass(frozen=True)
class Point:
    """What one job took."""

    number: int  # on the axis
    variant: str
    n_rows: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    planned_mb: float

    def time(self, cpu: bool, *, per_row: bool) -> float:
        """Seconds, or microseconds of a row."""
        seconds = self.cpu_seconds if cpu else self.seconds
        return seconds / self.n_rows * 1e6 if per_row else seconds


@dataclass(frozen=True)
class Sweep:
    """A number that varies while all others stay as they are."""

    name: str
    axis: str
    numbers: Sequence[int]
    smoke: Sequence[int]
    case: Callable[[Workbench, int, str, int], Case | None]  # None: it needs more rows than allowed
    variants: Sequence[str] = ("sorted",)
    per_row: bool = True  # whether the time of a row is shown, on a logarithmic axis, rather than that of the job

    @property
    def unit(self) -> str:
        """What is shown of time."""
        return "µs per row" if self.per_row else "s"

    def run(self, bench: Workbench, *, max_rows: int) -> list[Point]:
        """Run all cases that need at most `max_rows`."""
        points = []
        for variant in self.variants:
            for number in bench.pick(self.numbers, self.smoke):
                case = self.case(bench, number, variant, max_rows)
                if case is None:
                    print(f"  {variant}, {number:,} {self.axis}: needs more than {max_rows:,} rows; left out", flush=True)
                    continue
                try:
                    cost = bench.run_job(case.job)
                except FailedError as error:  # the points before it took long
                    print(f"  {variant}, {number:,} {self.axis}: FAILED: {str(error).splitlines()[-1]}", flush=True)
                    continue
                costs = cost.job_seconds, cost.job_cpu_seconds, cost.peak_mb, cost.planned_mb
                points.append(Point(number, variant, case.n_rows, *costs))
                print(f"  {self.line(points[-1])}", flush=True)
        return points

    def line(self, point: Point) -> str:
        """Return a point as a line of text."""
        wall, cpu = (point.time(of_cpu, per_row=True) for of_cpu in (False, True))
        memory = f"{point.peak_mb:,.0f} MB of {point.planned_mb:,.0f} MB planned"
        time = f"{point.seconds:8.1f} s {point.cpu_seconds:8.1f} s CPU, {wall:.3g} µs per row ({cpu:.3g} CPU)"
        return f"{point.variant:<9} {point.number:>10,} {self.axis:<10} {point.n_rows:>11,} rows {time}, {memory}"


def _rows(bench: Workbench, number: int, variant: str, max_rows: int) -> Case | None:
    if number > max_rows:
        return None
    table = bench.table(number) if variant == "sorted" else shuffled_table(bench, number)
    return Case(job_of(table, bench.result), number)


def _features(bench: Workbench, number: int, _variant: str, max_rows: int) -> Case:
    n_rows = min(BASE_ROWS // 2, max_rows)
    n_columns = number - 8  # the features of the time column
    make = lambda path: write_numbers(path, n_rows=n_rows, n_columns=n_columns)  # noqa: E731
    table = bench.made(f"numbers-{n_rows}-{n_columns}.parquet", make)
    return Case(job_of(table, bench.result), n_rows)


def _window(bench: Workbench, number: int, _variant: str, max_rows: int) -> Case:
    case = _features(bench, 20, "", max_rows)
    return Case(job_of(case.job["source"]["path"], bench.result, windows={"size": number, "strides": [1]}), case.n_rows)


def _files(bench: Workbench, number: int, _variant: str, max_rows: int) -> Case:
    n_rows = min(BASE_ROWS, max_rows)
    return Case(job_of(files_table(bench, n_rows, number), bench.result), n_rows)


def _entities(bench: Workbench, number: int, variant: str, max_rows: int) -> Case | None:
    n_rows = max(min(2 * BASE_ROWS, max_rows), LEAST_ROWS * number)
    if n_rows > max_rows:
        return None
    table = series_table(bench, n_rows, number, in_order=variant == "sorted")
    return Case(job_of(table, bench.result, columns={"entity": "entity"}), n_rows)


BOTH = ("sorted", "shuffled")
SWEEPS = (
    Sweep("rows", "rows", (1_000_000, 3_000_000, 10_000_000, 30_000_000), (1_000, 3_000), _rows, BOTH),
    Sweep("features", "features", (10, 30, 100, 300), (10, 20), _features, per_row=False),
    Sweep("window", "rows of a window", (2, 4, 8, 16, 32, 64), (2, 4), _window, per_row=False),
    Sweep("files", "files", (1, 10, 100, 1_000, 10_000), (1, 10), _files, per_row=False),
    Sweep("entities", "entities", (1, 10, 1_000, 100_000, 2_000_000), (1, 10), _entities, BOTH),
)


def summary(sweep: Sweep, points: Sequence[Point]) -> str:
    """Return how time and memory grow: the largest number of each variant beside the smallest."""
    lines = []
    for variant in sweep.variants:
        of_variant = [point for point in points if point.variant == variant]
        if len(of_variant) > 1:
            first, last = of_variant[0], of_variant[-1]
            times = ([point.time(of_cpu, per_row=sweep.per_row) for point in (first, last)] for of_cpu in (False, True))
            wall, cpu = (of_last / of_first for of_first, of_last in times)
            what = f"{last.number:,} beside {first.number:,} {sweep.axis}, {variant}"
            lines.append(f"{what}: {wall:.2f} x {sweep.unit} ({cpu:.2f} x CPU), {last.peak_mb / first.peak_mb:.2f} x memory")
    return "\n".join(lines)


def keep(sweep: Sweep, points: Sequence[Point], machine: Machine, figures: Path) -> Path:
    """Write the numbers of a sweep."""
    figures.mkdir(parents=True, exist_ok=True)
    path = figures / f"scaling-{sweep.name}.json"
    told = {"machine": asdict(machine), "points": [asdict(point) for point in points]}
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def draw(sweep: Sweep, figures: Path) -> Path:
    """Draw the chart of the numbers that were written."""
    import matplotlib as mpl

    mpl.use("svg")
    # Text stays text, and the file is the same whenever the numbers are.
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": sweep.name, "font.size": 9}
    import matplotlib.pyplot as plt

    told = json.loads((figures / f"scaling-{sweep.name}.json").read_text(encoding="utf-8"))
    points = [Point(**point) for point in told["points"]]
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for variant, colour in zip(sweep.variants, ("#3b7dd8", "#d8703b"), strict=False):
        some = [point for point in points if point.variant == variant]
        numbers = [point.number for point in some]
        label = f"{variant}, " if len(sweep.variants) > 1 else ""
        wall, cpu = ([point.time(of_cpu, per_row=sweep.per_row) for point in some] for of_cpu in (False, True))
        time.plot(numbers, wall, "o-", color=colour, label=f"{label}wall")
        time.plot(numbers, cpu, "o:", color=colour, label=f"{label}CPU", markersize=3)
        memory.plot(numbers, [point.peak_mb for point in some], "o-", color=colour, label=f"{label}peak")
        memory.plot(numbers, [point.planned_mb for point in some], "--", color=colour, label=f"{label}planned", linewidth=0.8)
    time.set_ylabel(sweep.unit)
    memory.set_ylabel("MB")
    for axes in (time, memory):
        if sweep.per_row:
            axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(sweep.axis)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    machine = told["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}", fontsize=8)
    path = figures / f"scaling-{sweep.name}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="How cost grows: one chart each.")
    names = [sweep.name for sweep in SWEEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--max-rows", type=int, default=30_000_000, help="no table has more rows")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"), help="where charts and numbers go")
    parser.add_argument("--folder", type=Path, help="folder of tables and results, used again (default: a temporary one)")
    parser.add_argument("--draw", action="store_true", help="only draw the charts again")
    parser.add_argument("--smoke", action="store_true", help="tiny tables, in this process: whether everything works")
    options = parser.parse_args(arguments)
    machine = Machine.here(PACKAGES)
    print_machine(PACKAGES)
    print(f"windows of {SIZE} at strides 1, 3 and 5 unless the window varies")
    for sweep in [sweep for sweep in SWEEPS if sweep.name in options.only]:
        if not options.draw:
            print(f"\n{sweep.name}", flush=True)
            with tempfile.TemporaryDirectory() as folder:  # one for each: 30 M rows fill a disk
                points = sweep.run(Workbench(options.folder or Path(folder), options.smoke), max_rows=options.max_rows)
            if not points:
                print(f"  no chart of {sweep.name}: it has no point", flush=True)
                continue
            keep(sweep, points, machine, options.figures)
            print(summary(sweep, points), flush=True)
        print(f"wrote {draw(sweep, options.figures)}", file=sys.stderr)


if __name__ == "__main__":
    main()
