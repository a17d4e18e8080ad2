"""The whole job against the machine's floor, and against a polars + scikit-learn script.

    python -m benchmarks.whole_job [--rows 2000000] [--rounds 3] [--no-peer] [--flow] [--spark PYTHON] [--folder FOLDER]
    python -m benchmarks.whole_job --profile [--rows 2000000]

The table has 16 numeric, one string, one boolean and one time column. All sides write 45 features, three splits, and windows
of 5 at strides 1, 3 and 5 with 32 components. Every run is a separate process, and the sides take turns. `benchmarks.floor`
says what the floor is; set `TMPDIR=/dev/shm` if the disk is slow. `--flow` adds the job as a Prefect flow on threads, and
`--spark` adds Spark ML in local mode, with the Python of an environment that has Java and `pyspark`. Spark takes minutes where
ours takes seconds, so use fewer rows (`--rows 500000`). `--profile` runs our side alone, and shows how long it waits and
where its time goes.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.floor import Floor, Shape, measure_floor, print_floor
from benchmarks.jobs import MAX_MEMORY_GB, SIZE, job_of, run_job_here
from benchmarks.machine import named, print_machine
from benchmarks.measure import Cost, median_of, run_process
from benchmarks.sampling import ARITHMETIC, Sampler, table_of
from benchmarks.waiting import WatchedJob
from benchmarks.workbench import Measurement, Target, Workbench, times_as_fast, times_the_cost, times_the_memory
from emberharmony.threads import available_cores
from flows.cli.startup import prepare_process

OURS = "emberharmony, local engine"
FLOW = "emberharmony, Prefect flow on threads"
PEER = "polars + scikit-learn"
SPARK = "Spark ML, local mode"
ROWS = 2_000_000


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield our time beside the floor's, and time and memory beside the peer's."""
    n_rows = bench.pick(ROWS, 3_000)
    table, what = bench.table(n_rows), f"whole job, {n_rows:,} rows"
    sides = {OURS: our_side(bench, table)}
    costs, floors = compare(bench, table, sides, rounds=bench.rounds)
    ours, floor = median_of(costs[OURS]), Floor.median(floors)
    yield times_the_cost(what, ours, "the machine's floor", floor.total, Target(at_most=1.5))
    peer, theirs = peer_side(bench, table)(), f"{named('polars', 'scikit-learn')} script"
    check_same_shape(bench.result, bench.folder / "peer")
    yield times_as_fast(what, ours, theirs, peer, Target(at_least=20))
    yield times_the_memory(f"{what}, memory", ours, theirs, peer, Target(at_most=0.2))


def compare(
    bench: Workbench, table: Path, sides: dict[str, Callable[[], Cost]], *, rounds: int
) -> tuple[dict[str, list[Cost]], list[Floor]]:
    """Run the sides and the floor in turns. The first side is ours, and makes the result whose floor is measured."""
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    floors = []
    for _ in range(rounds):
        for name, side in sides.items():
            costs[name].append(side())
            if name == OURS:
                floors.append(measure_floor(table, bench.result, size=SIZE))
    return costs, floors


def our_side(
    bench: Workbench, table: Path, *, engine: str = "local", backend: str = "numpy", max_memory_gb: float = MAX_MEMORY_GB
) -> Callable[[], Cost]:
    """Our job on an engine."""
    result = bench.result if engine == "local" else bench.folder / engine
    runtime = {"engine": engine, "backend": backend, "max_memory_gb": max_memory_gb}
    return lambda: bench.run_job(job_of(table, result, runtime=runtime))


def peer_side(bench: Workbench, table: Path) -> Callable[[], Cost]:
    """The script that an expert would write with polars and scikit-learn."""

    def run() -> Cost:
        shutil.rmtree(bench.folder / "peer", ignore_errors=True)
        return bench.run_module("benchmarks.peer_job", str(table), str(bench.folder / "peer"))

    return run


def spark_side(bench: Workbench, table: Path, python: str) -> Callable[[], Cost]:
    """Spark ML; its memory and CPU time are unknown: its Python starts a JVM and does not wait for it."""

    def run() -> Cost:
        shutil.rmtree(bench.folder / "spark", ignore_errors=True)
        script = Path(__file__).with_name("spark_job.py")
        command = [shutil.which(python) or python, str(script), str(table), str(bench.folder / "spark")]
        return replace(run_process(command, log=bench.folder / "log.txt"), peak_mb=math.nan, cpu_seconds=math.nan)

    return run


def check_same_shape(ours: Path, theirs: Path) -> None:
    """Raise an error unless both sides wrote the same numbers of rows: a side that does less must not count as faster."""
    for part in ("features/split=*", "windows/stride=*/split=*"):
        for folder in sorted(theirs.glob(part)):
            name = folder.relative_to(theirs)
            if n_rows(ours / name) != n_rows(folder):
                raise ValueError(f"{name}: ours has {n_rows(ours / name)} rows, the peer's {n_rows(folder)}.")


def n_rows(folder: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("*.parquet"))


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole job against the machine's floor and a polars script.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="numpy", help="backend of our side")
    parser.add_argument("--max-memory-gb", type=float, default=MAX_MEMORY_GB, help="memory limit of our plan")
    parser.add_argument("--no-peer", action="store_true", help="only our side and the floor")
    parser.add_argument("--flow", action="store_true", help="also run our job as a Prefect flow on threads")
    parser.add_argument("--spark", metavar="PYTHON", help="also run Spark ML, with this Python")
    parser.add_argument("--profile", action="store_true", help="only our side: how long it waits, and where its time goes")
    parser.add_argument("--folder", type=Path, help="folder of tables and results (default: a temporary one)")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "prefect", "numpy", "polars", "scikit-learn", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(arguments.folder or Path(folder))
        table = bench.table(arguments.rows)
        if arguments.profile:
            profile(bench, table, arguments)
        else:
            show(bench, table, arguments)


def profile(bench: Workbench, table: Path, arguments: argparse.Namespace) -> None:
    """Print how long our job takes and waits; then where its CPU time goes, by stage and kind of work, beside the floor."""
    import flows.run  # noqa: F401 - its imports are not the job's time

    sampler, runtime = Sampler(), {"backend": arguments.backend, "max_memory_gb": arguments.max_memory_gb}
    job = job_of(table, bench.result, runtime=runtime)
    watched = WatchedJob.run(job, log=bench.folder / "log.txt")
    prepare_process()
    with sampler.sampling():
        run_job_here(job, sampler)
    floor = measure_floor(table, bench.result, size=SIZE)
    by_kind = {name: cost.cpu_seconds for name, cost in floor.parts.items()}
    by_kind[ARITHMETIC] = by_kind.pop("gram") + by_kind.pop("project")
    ratio = watched.seconds / floor.total.seconds
    print(f"\n{arguments.rows:,} rows, {available_cores()} cores, {ratio:.2f} x the floor by the clock")
    print(f"{watched}\n\nsampled in another run: CPU seconds of each kind of work\n{table_of(sampler.stages, by_kind)}")


def show(bench: Workbench, table: Path, arguments: argparse.Namespace) -> None:
    """Run the sides that were asked for, and print them beside ours and beside the floor."""
    ours = {"backend": arguments.backend, "max_memory_gb": arguments.max_memory_gb}
    sides = {OURS: our_side(bench, table, **ours)}
    if arguments.flow:
        sides[FLOW] = our_side(bench, table, engine="threads", **ours)
    if not arguments.no_peer:
        sides[PEER] = peer_side(bench, table)
    if arguments.spark:
        sides[SPARK] = spark_side(bench, table, arguments.spark)
    costs, floors = compare(bench, table, sides, rounds=arguments.rounds)
    for name, folder in ((PEER, "peer"), (SPARK, "spark")):
        if name in sides:
            check_same_shape(bench.result, bench.folder / folder)

    print(f"\nwhole job, {arguments.rows:,} rows; medians of {arguments.rounds} rounds, each run a separate process, in turns")
    our = median_of(costs[OURS])
    for name, of_side in costs.items():
        it = median_of(of_side)
        beside = "" if name == OURS else f"{it.seconds / our.seconds:7.1f} x ours {it.peak_mb / our.peak_mb:7.1f} x memory"
        print(f"  {name:<40} {it} {arguments.rows / it.seconds:12,.0f} rows/s {beside}")
    floor = Floor.median(floors)
    print("the machine's floor")
    print_floor(floor, Shape.of(bench.result, size=SIZE))
    job = median_of(Cost(cost.job_seconds, cost.job_cpu_seconds) for cost in costs[OURS])
    for name, cost in {"ours": our, "without the start of Python": job}.items():
        wall, cpu = cost.seconds / floor.total.seconds, cost.cpu_seconds / floor.total.cpu_seconds
        print(f"{name} / floor: {wall:.2f} x wall, {cpu:.2f} x CPU")


if __name__ == "__main__":
    main()
