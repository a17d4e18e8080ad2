"""Compare single steps with pandas, polars, DuckDB and scikit-learn; all sides take turns in one process.

python -m benchmarks.kernels [--rounds 5] [--backend numpy|torch|mlx]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.machine import named, print_machine
from benchmarks.measure import Cost, median_of, print_ratios, turn_about
from benchmarks.peers import datetime_duckdb, datetime_pandas, datetime_polars, incremental_pca, materialised_pca
from benchmarks.workbench import Measurement, Target, Workbench, times_as_fast
from emberharmony.backend import using_backend
from emberharmony.features.kinds.datetime import cyclical_block
from emberharmony.features.specs import CyclicalSpec
from emberharmony.pca import MAX_DEFAULT_COMPONENTS, PCASpec, WindowPCA
from emberharmony.stats import WindowGram
from emberharmony.windows import n_windows

OURS = "emberharmony"
PANDAS, POLARS, DUCKDB = "pandas + NumPy, the formula as given", "polars, all cores", "DuckDB, all cores"
INCREMENTAL, IN_MEMORY = "IncrementalPCA over sliding_window_view", "PCA(covariance_eigh), all windows in memory"
TIMES = 5_000_000
ROWS = 200_000
PCAS = ((16, 5, 1.5), (32, 24, 8.0))
"""Features of a row, rows of a window, and how many times as fast as scikit-learn in memory we have to be."""

Sides = Mapping[str, Callable[[], object]]


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield datetime features and windowed PCAs beside their peers."""
    n_times = bench.pick(TIMES, 1_000)
    costs = medians(datetime_sides(n_times), rounds=bench.rounds)
    peers = {PANDAS: ("pandas", 35), POLARS: ("polars", 20), DUCKDB: ("duckdb", 15)}
    for name, (package, target) in peers.items():
        what = f"datetime features of {n_times:,} times"
        yield times_as_fast(what, costs[OURS], named(package), costs[name], Target(at_least=target))
    for n_features, size, target in PCAS:
        n_rows = bench.pick(ROWS, 600)
        sides = pca_sides(n_features, bench.pick(size, 3), n_rows=n_rows)
        costs = medians({name: sides[name] for name in (OURS, IN_MEMORY)}, rounds=bench.rounds)
        costs |= medians({INCREMENTAL: sides[INCREMENTAL]}, rounds=1)  # takes half a minute
        what = f"PCA of windows of {size}, {n_rows:,} rows x {n_features} features"
        yield times_as_fast(
            what, costs[OURS], f"{named('scikit-learn')}, all windows in memory", costs[IN_MEMORY], Target(at_least=target)
        )
        yield times_as_fast(what, costs[OURS], f"{named('scikit-learn')}, IncrementalPCA", costs[INCREMENTAL])


def medians(sides: Sides, *, rounds: int) -> dict[str, Cost]:
    """Median cost of each side."""
    return {name: median_of(costs) for name, costs in turn_about(sides, rounds=rounds).items()}


def datetime_sides(n_times: int) -> Sides:
    """Eight cyclical features of random times within four years."""
    ticks = np.random.default_rng(0).integers(0, 4 * 365 * 86_400_000_000, n_times) + 1_577_836_800_000_000
    column = pa.array(ticks.view("datetime64[us]"))
    series, frame, table = pd.Series(ticks.view("datetime64[us]")), pl.DataFrame({"time": column}), pa.table({"time": column})
    theirs = datetime_pandas(series).to_numpy().T
    np.testing.assert_allclose(cyclical_block(column, CyclicalSpec()), theirs, atol=1e-6)  # all sides compute the same
    np.testing.assert_allclose(datetime_polars(frame).to_numpy().T, theirs, atol=1e-12)
    np.testing.assert_allclose(np.array(datetime_duckdb(table).columns), theirs, atol=1e-12)
    return {
        OURS: lambda: cyclical_block(column, CyclicalSpec()),
        PANDAS: lambda: datetime_pandas(series),
        POLARS: lambda: datetime_polars(frame),
        DUCKDB: lambda: datetime_duckdb(table),
    }


def pca_sides(n_features: int, size: int, *, n_rows: int) -> Sides:
    """Fit on all windows of a series at stride 1, and project them."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, n_features))
    rows = np.cumsum(rng.standard_normal((n_rows, 4)), axis=0) / 100 @ mixing + rng.standard_normal((n_rows, n_features))
    rows = ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype(np.float32)
    block = np.ascontiguousarray(rows.T)
    components = n_components_of(n_features, size)
    count = n_windows(size, 1, n_rows)

    def ours() -> np.ndarray:
        state = WindowGram.of(block, start=0, size=size, stride=1)
        return WindowPCA.fit(state, PCASpec(components)).project(block, np.arange(count))

    exact = materialised_pca(rows.astype(np.float64), size=size, stride=1, components=components)
    np.testing.assert_allclose(np.abs(ours()[:4]), np.abs(exact[:, :4].T), atol=2e-3)  # all sides compute the same
    del exact
    return {
        OURS: ours,
        INCREMENTAL: partial(incremental_pca, rows, size=size, stride=1, components=components),
        IN_MEMORY: partial(materialised_pca, rows, size=size, stride=1, components=components),
    }


def n_components_of(n_features: int, size: int) -> int:
    """Components that a job keeps by default."""
    return min(size * n_features // 2, MAX_DEFAULT_COMPONENTS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Single steps against pandas, polars, DuckDB and scikit-learn.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", default="numpy", help="backend of our side")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "numpy", "pandas", "polars", "duckdb", "scikit-learn", "pyarrow"])
    print(f"our backend: {arguments.backend}; medians of {arguments.rounds} rounds (range), all sides in turn")
    with using_backend(arguments.backend):
        costs = turn_about(datetime_sides(TIMES), rounds=arguments.rounds)
        print_ratios(f"datetime features of {TIMES:,} times", costs, ours=OURS)
        for n_features, size, _ in PCAS:
            costs = turn_about(pca_sides(n_features, size, n_rows=ROWS), rounds=arguments.rounds)
            kept = f"{n_components_of(n_features, size)} components"
            print_ratios(f"PCA of windows: {ROWS:,} rows x {n_features} features, size {size}, {kept}", costs, ours=OURS)


if __name__ == "__main__":
    main()
