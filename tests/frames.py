"""Frames and matrices of notebooks, and the formula of the user's guide."""

import numpy as np
import pandas as pd

NOW = pd.DataFrame(
    {"x": np.linspace(0, 1, 60), "k": np.arange(60) % 4, "s": [*"abc"] * 20, "t": pd.date_range("2024-01-01", periods=60)}
)


def datetime_names(column):
    parts = ("hour", "dayofweek", "day", "month")
    return tuple(f"{column}_{function}_{part}" for part in parts for function in ("sin", "cos"))


def formula(times, col):
    """The user's guide, word for word."""
    parts = {
        "hour": times.dt.hour / 23.0,
        "dayofweek": times.dt.day_of_week / 6.0,
        "day": (times.dt.day - 1) / 30.0,
        "month": (times.dt.month - 1) / 11.0,
    }
    features = {}
    for name, part in parts.items():
        features[f"{col}_sin_{name}"] = np.sin(2 * np.pi * part)
        features[f"{col}_cos_{name}"] = np.cos(2 * np.pi * part)
    return pd.DataFrame(features)


def rows_of(n_rows, n_features=3, seed=0):
    """Rows that hang together in time and between features, of separated variances."""
    rng = np.random.default_rng(seed)
    walk = rng.normal(size=(n_rows, n_features)).cumsum(axis=0) * 0.2
    rows = (walk + rng.normal(size=(n_rows, n_features))) * np.linspace(1.0, 2.0, n_features)
    rows.flags.writeable = False
    return rows


def windows_of(rows, size, stride):
    starts = range(0, len(rows) - size + 1, stride)
    return np.array([rows[s : s + size].ravel() for s in starts]).reshape(len(starts), size * rows.shape[1])
