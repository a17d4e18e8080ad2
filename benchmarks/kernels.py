"""Compare single steps with pandas, polars, DuckDB and scikit-learn; all sides take turns in one process.

python -m benchmarks.kernels [--rounds 5] [--backend numpy|torch|mlx]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.measure import print_machine, print_ratios, turn_about
from benchmarks.peers import datetime_duckdb, datetime_pandas, datetime_polars, incremental_pca, materialised_pca
from emberharmony.backend import using_backend
from emberharmony.features.kinds.datetime import cyclical_block
from emberharmony.features.specs import CyclicalSpec
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats import WindowGram
from emberharmony.windows import n_windows

OURS = "emberharmony"
TIMES = 5_000_000
ROWS = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Single steps against pandas, polars, DuckDB and scikit-learn.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", default="numpy", help="backend of our side")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "numpy", "pandas", "polars", "duckdb", "scikit-learn", "pyarrow"])
    print(f"our backend: {arguments.backend}; medians of {arguments.rounds} rounds (range), all sides in turn")
    with using_backend(arguments.backend):
        datetime_features(arguments.rounds)
        windowed_pca(arguments.rounds, n_features=16, size=5)
        windowed_pca(arguments.rounds, n_features=32, size=24)


def datetime_features(rounds: int) -> None:
    """Compute eight cyclical features of random times within four years."""
    ticks = np.random.default_rng(0).integers(0, 4 * 365 * 86_400_000_000, TIMES) + 1_577_836_800_000_000
    column = pa.array(ticks.view("datetime64[us]"))
    series, frame, table = pd.Series(ticks.view("datetime64[us]")), pl.DataFrame({"time": column}), pa.table({"time": column})
    theirs = datetime_pandas(series).to_numpy().T
    np.testing.assert_allclose(cyclical_block(column, CyclicalSpec()), theirs, atol=1e-6)  # all sides compute the same
    np.testing.assert_allclose(datetime_polars(frame).to_numpy().T, theirs, atol=1e-12)
    np.testing.assert_allclose(np.array(datetime_duckdb(table).columns), theirs, atol=1e-12)
    sides = {
        OURS: lambda: cyclical_block(column, CyclicalSpec()),
        "pandas + NumPy, the formula as given": lambda: datetime_pandas(series),
        "polars, all cores": lambda: datetime_polars(frame),
        "DuckDB, all cores": lambda: datetime_duckdb(table),
    }
    print_ratios(f"datetime features of {TIMES:,} times", turn_about(sides, rounds=rounds), ours=OURS)


def windowed_pca(rounds: int, *, n_features: int, size: int) -> None:
    """Fit on all windows of a series at stride 1, and project them."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, n_features))
    rows = np.cumsum(rng.standard_normal((ROWS, 4)), axis=0) / 100 @ mixing + rng.standard_normal((ROWS, n_features))
    rows = ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype(np.float32)
    block = np.ascontiguousarray(rows.T)
    components = min(size * n_features // 2, 32)
    count = n_windows(size, 1, ROWS)

    def ours() -> np.ndarray:
        state = WindowGram.of(block, start=0, size=size, stride=1)
        return WindowPCA.fit(state, PCASpec(components)).project(block, np.arange(count))

    exact = materialised_pca(rows.astype(np.float64), size=size, stride=1, components=components)
    np.testing.assert_allclose(np.abs(ours()[:4]), np.abs(exact[:, :4].T), atol=2e-3)  # all sides compute the same
    del exact
    sides = {
        OURS: ours,
        "IncrementalPCA over sliding_window_view": lambda: incremental_pca(rows, size=size, stride=1, components=components),
        "PCA(covariance_eigh), all windows in memory": lambda: materialised_pca(
            rows, size=size, stride=1, components=components
        ),
    }
    title = f"PCA of windows, fit and project: {ROWS:,} rows x {n_features} features, size {size}, {components} components"
    print_ratios(title, turn_about(sides, rounds=rounds), ours=OURS)


if __name__ == "__main__":
    main()
