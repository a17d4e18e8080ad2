"""The same computations with other libraries, each in its own idiom, for comparison."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.decomposition import PCA, IncrementalPCA

PARTS = ("hour", "dayofweek", "day", "month")
PCA_BATCH_WINDOWS = 10_000

# ---- eight cyclical features of a time column -------------------------------------------------------------------------------


def datetime_pandas(times: pd.Series) -> pd.DataFrame:
    """The user's formula in pandas and NumPy."""
    return pd.DataFrame(
        {
            "sin_hour": np.sin(2 * np.pi * times.dt.hour / 23.0),
            "cos_hour": np.cos(2 * np.pi * times.dt.hour / 23.0),
            "sin_dayofweek": np.sin(2 * np.pi * times.dt.day_of_week / 6.0),
            "cos_dayofweek": np.cos(2 * np.pi * times.dt.day_of_week / 6.0),
            "sin_day": np.sin(2 * np.pi * (times.dt.day - 1) / 30.0),
            "cos_day": np.cos(2 * np.pi * (times.dt.day - 1) / 30.0),
            "sin_month": np.sin(2 * np.pi * (times.dt.month - 1) / 11.0),
            "cos_month": np.cos(2 * np.pi * (times.dt.month - 1) / 11.0),
        }
    )


def datetime_expressions(name: str) -> list[pl.Expr]:
    """The eight features as polars expressions."""
    time = pl.col(name).dt
    angles = {
        "hour": 2 * np.pi * time.hour() / 23.0,
        "dayofweek": 2 * np.pi * (time.weekday() - 1) / 6.0,
        "day": 2 * np.pi * (time.day() - 1) / 30.0,
        "month": 2 * np.pi * (time.month() - 1) / 11.0,
    }
    return [
        expression.alias(f"{name}_{function}_{part}")
        for part, angle in angles.items()
        for function, expression in (("sin", angle.sin()), ("cos", angle.cos()))
    ]


def datetime_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """The same features in polars, on all cores."""
    return frame.lazy().select(datetime_expressions("time")).collect()


def datetime_duckdb(times: pa.Table) -> pa.Table:
    """The same features in DuckDB, on all cores."""
    return duckdb.sql(
        """
        select
            sin(2 * pi() * hour(time) / 23.0) as sin_hour,
            cos(2 * pi() * hour(time) / 23.0) as cos_hour,
            sin(2 * pi() * (isodow(time) - 1) / 6.0) as sin_dayofweek,
            cos(2 * pi() * (isodow(time) - 1) / 6.0) as cos_dayofweek,
            sin(2 * pi() * (day(time) - 1) / 30.0) as sin_day,
            cos(2 * pi() * (day(time) - 1) / 30.0) as cos_day,
            sin(2 * pi() * (month(time) - 1) / 11.0) as sin_month,
            cos(2 * pi() * (month(time) - 1) / 11.0) as cos_month
        from times
        """
    ).to_arrow_table()


# ---- PCA of windows ---------------------------------------------------------------------------------------------------------


def window_batches(rows: np.ndarray, *, size: int, stride: int) -> Iterator[np.ndarray]:
    """Flattened windows in batches; only one batch is in memory at a time."""
    every = sliding_window_view(rows, size, axis=0)[::stride]  # (n_windows, n_features, size), a view
    for begin in range(0, len(every), PCA_BATCH_WINDOWS):
        batch = every[begin : begin + PCA_BATCH_WINDOWS]
        yield batch.transpose(0, 2, 1).reshape(len(batch), -1)


def incremental_pca(rows: np.ndarray, *, size: int, stride: int, components: int) -> np.ndarray:
    """Fit and project in bounded memory."""
    pca = IncrementalPCA(n_components=components)
    for batch in window_batches(rows, size=size, stride=stride):
        if len(batch) >= components:
            pca.partial_fit(batch)
    return np.concatenate([pca.transform(batch) for batch in window_batches(rows, size=size, stride=stride)])


def materialised_pca(rows: np.ndarray, *, size: int, stride: int, components: int) -> np.ndarray:
    """Fit and project with all windows in memory, with scikit-learn's fastest exact solver."""
    windows = np.concatenate(list(window_batches(rows, size=size, stride=stride)))
    return PCA(n_components=components, svd_solver="covariance_eigh").fit_transform(windows)
