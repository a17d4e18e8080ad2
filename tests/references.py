"""The whole job, slowly and obviously: pandas and scikit-learn, everything in memory, every window built.

Written from the description of the job alone; nothing of the library is imported, so that the two can only agree by both being
right. Read it from the bottom (`reference_job`) up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
from pandas.api import types as pdt
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Windows:
    """The windows of one split at one stride: where each begins and ends in the source, and its scores."""

    first_row: np.ndarray  # (n_windows,) row numbers in the source
    last_row: np.ndarray
    scores: np.ndarray  # (n_windows, n_components)


@dataclass(frozen=True)
class Reference:
    """What the job should publish."""

    features: dict[str, pd.DataFrame]  # per split, rows in time order, `row_number` first
    feature_names: list[str]
    dropped: dict[str, str]  # column: why no feature is made of it
    windows: dict[int, dict[str, Windows]]  # per stride and split
    explained_variance_ratio: dict[int, np.ndarray]  # per stride
    pca: dict[int, PCA]  # per stride


# ---- order and split ---------------------------------------------------------------------------------------------------


def in_order(table: pd.DataFrame, time: str | None) -> pd.DataFrame:
    """Rows by time, those of equal time in the order they came; the index is the row number in the source."""
    numbered = table.reset_index(drop=True)
    return numbered if time is None else numbered.sort_values(time, kind="stable")


def temporal_split(times: pd.Series, fractions: Sequence[float], gap: timedelta) -> pd.Series:
    """Name of each row's split, None where a gap leaves it out; `times` are sorted."""
    n_rows = len(times)
    # 0.8 + 0.1 is a little less than 0.9 in floating point; the boundary is meant at 0.9.
    first_validation = times.iloc[math.floor(round(fractions[0] * n_rows, 6))]
    first_test = times.iloc[math.floor(round((fractions[0] + fractions[1]) * n_rows, 6))]

    split = pd.Series("train", index=times.index, dtype=object)
    split[times >= first_validation] = "validation"
    split[times >= first_test] = "test"
    for boundary in (first_validation, first_test):
        split[(times >= boundary - gap) & (times < boundary)] = None
    return split


def sequential_split(ordered: pd.DataFrame, fractions: Sequence[float]) -> pd.Series:
    """Name of each row's split: the first rows train, whatever their times are."""
    n_rows = len(ordered)
    n_train = math.floor(round(fractions[0] * n_rows, 6))
    n_validation = math.floor(round((fractions[0] + fractions[1]) * n_rows, 6)) - n_train
    names = ["train"] * n_train + ["validation"] * n_validation + ["test"] * (n_rows - n_train - n_validation)
    return pd.Series(names, index=ordered.index, dtype=object)


# ---- columns to features -----------------------------------------------------------------------------------------------


def kind(column: pd.Series, *, forced_categorical: bool) -> str:
    if forced_categorical or isinstance(column.dtype, pd.CategoricalDtype) or pdt.is_string_dtype(column):
        return "categorical"
    if pdt.is_bool_dtype(column):
        return "boolean"
    if pdt.is_datetime64_any_dtype(column):
        return "datetime"
    assert pdt.is_numeric_dtype(column), f"the reference knows no {column.dtype}"
    return "numeric"


def as_numbers(column: pd.Series) -> pd.Series:
    """Floats, with what is missing or not finite as NaN."""
    numbers = column.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    return pd.Series(np.where(np.isfinite(numbers), numbers, np.nan), column.index)


def numeric_feature(column: pd.Series, train: pd.Series) -> pd.DataFrame:
    numbers = as_numbers(column).to_frame(column.name)
    imputer = SimpleImputer(strategy="median").fit(numbers[train])
    scaler = StandardScaler().fit(imputer.transform(numbers[train]))
    return pd.DataFrame(scaler.transform(imputer.transform(numbers)), column.index, [column.name])


def boolean_feature(column: pd.Series, train: pd.Series) -> pd.DataFrame:
    numbers = as_numbers(column).to_frame(column.name)
    imputer = SimpleImputer(strategy="median").fit(numbers[train])
    return pd.DataFrame(imputer.transform(numbers), column.index, [column.name])


def epoch_feature(column: pd.Series, train: pd.Series) -> pd.DataFrame:
    origin = pd.Timestamp(0, tz=column.dt.tz)
    return numeric_feature(((column - origin) / pd.Timedelta(seconds=1)).rename(f"{column.name}_epoch"), train)


def datetime_features(column: pd.Series, *, cycle: str, time_zone: str) -> pd.DataFrame:
    if column.dt.tz is not None:
        column = column.dt.tz_convert(time_zone)
    parts = {
        "hour": column.dt.hour,
        "dayofweek": column.dt.day_of_week,
        "day": column.dt.day - 1,
        "month": column.dt.month - 1,
    }
    if cycle == "inclusive":
        around = {"hour": 23, "dayofweek": 6, "day": 30, "month": 11}
    else:
        around = {"hour": 24, "dayofweek": 7, "day": column.dt.days_in_month, "month": 12}
    features = {}
    for part, value in parts.items():
        angle = 2 * np.pi * value / around[part]
        features[f"{column.name}_sin_{part}"] = np.sin(angle)
        features[f"{column.name}_cos_{part}"] = np.cos(angle)
    return pd.DataFrame(features).fillna(0.0)


def categorical_features(column: pd.Series, train: pd.Series, *, max_categories: int) -> pd.DataFrame:
    missing = column.isna()
    if pdt.is_bool_dtype(column):
        values = column.map({True: "true", False: "false"})
    else:
        values = column.astype(object).where(missing, column.astype(str))
    counts = values[train & ~missing].value_counts()
    ranked = sorted(counts.index, key=lambda value: (-counts[value], value))
    vocabulary = sorted(ranked[:max_categories])

    one_hot = {value: values == value for value in vocabulary}
    names = [f"{column.name}_{re.sub('[^0-9a-zA-Z_]', '_', value)}" for value in vocabulary]
    other = ~missing & ~values.isin(vocabulary)
    features = pd.concat([*one_hot.values(), other, missing], axis=1, ignore_index=True).astype(float)
    return features.set_axis([*names, f"{column.name}_other", f"{column.name}_null"], axis=1)


def why_dropped(column: pd.Series, train: pd.Series, *, high_null_threshold: float, is_numeric: bool) -> str | None:
    seen = as_numbers(column[train]) if is_numeric else column[train]
    if seen.isna().mean() > high_null_threshold:
        return "null"
    if is_numeric and seen.nunique() <= 1:
        return "constant"
    return None


def deduplicated(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """The first of equal names keeps it, the next are _2, _3, …"""
    told: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in told or candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        told.append(candidate)
    return told


# ---- windows and PCA ---------------------------------------------------------------------------------------------------


def windows_of(rows: np.ndarray, *, size: int, stride: int) -> np.ndarray:
    """Every window, its rows laid end to end: shape (n_windows, size * n_features)."""
    starts = range(0, len(rows) - size + 1, stride)
    flat = [rows[start : start + size].ravel() for start in starts]
    return np.array(flat).reshape(len(flat), size * rows.shape[1])


def fit_pca(windows: np.ndarray, components: int, *, solver: str = "full") -> PCA:
    """Scikit-learn's PCA, its signs turned so that every component's largest loading is positive."""
    pca = PCA(n_components=components, svd_solver=solver).fit(windows)
    for component in pca.components_:
        if component[np.abs(component).argmax()] < 0:
            component *= -1
    return pca


# ---- the job -----------------------------------------------------------------------------------------------------------


def reference_job(
    table: pd.DataFrame,
    *,
    time: str | None = None,
    target: str | None = None,
    drop: Sequence[str] = (),
    passthrough: Sequence[str] = (),
    forced_categorical: Sequence[str] = (),
    high_null_threshold: float = 0.9,
    cycle: str = "inclusive",
    time_zone: str = "UTC",
    epoch: bool = False,
    max_categories: int = 100,
    scale: str = "numeric",
    split: str | Sequence[str | None] = "temporal",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    gap: timedelta = timedelta(0),
    size: int = 5,
    strides: Sequence[int] = (1, 3, 5),
    components: int | None = None,
) -> Reference:
    """Features, split, windows and PCA of a table.

    `split` is "temporal", "sequential", or the name of each row's split (None: left out) in the source's order, for splits
    that are drawn.
    """
    ordered = in_order(table, time)
    if isinstance(split, str) and split == "sequential":
        membership = sequential_split(ordered, fractions)
    elif isinstance(split, str):
        assert split == "temporal"
        assert time is not None
        membership = temporal_split(ordered[time], fractions, gap)
    else:
        membership = pd.Series(list(split), dtype=object)[ordered.index]
    train = membership == "train"

    blocks: list[pd.DataFrame] = []
    dropped: dict[str, str] = {}
    for name in table.columns:
        if name in drop or name in passthrough or name == target:
            continue
        column = ordered[name]
        its_kind = kind(column, forced_categorical=name in forced_categorical)
        reason = why_dropped(column, train, high_null_threshold=high_null_threshold, is_numeric=its_kind == "numeric")
        if reason:
            dropped[name] = reason
            continue
        if its_kind == "numeric":
            block = numeric_feature(column, train)
        elif its_kind == "boolean":
            block = boolean_feature(column, train)
        elif its_kind == "datetime":
            block = datetime_features(column, cycle=cycle, time_zone=time_zone)
        else:
            block = categorical_features(column, train, max_categories=max_categories)
        if scale == "all" and its_kind != "numeric":
            scaler = StandardScaler().fit(block[train].to_numpy())
            block = pd.DataFrame(scaler.transform(block.to_numpy()), block.index, block.columns)
        if its_kind == "datetime" and epoch:
            block = block.join(epoch_feature(column, train))
        blocks.append(block)

    features = pd.concat(blocks, axis=1)
    carried = [name for name in (time, target, *passthrough) if name]
    features.columns = deduplicated(list(features.columns), ["row_number", *carried])

    per_split = {name: features[membership == name] for name in SPLITS}
    windows: dict[int, dict[str, Windows]] = {}
    pcas: dict[int, PCA] = {}
    for stride in strides:
        flat = {name: windows_of(rows.to_numpy(), size=size, stride=stride) for name, rows in per_split.items()}
        n_windows, n_columns = flat["train"].shape
        k = min(n_columns // 2, 32, n_windows - 1) if components is None else components
        # Features are scaled: the eigenvectors of their covariance are as exact, and come in a tenth of the time.
        pcas[stride] = fit_pca(flat["train"], k, solver="covariance_eigh")
        windows[stride] = {
            name: Windows(
                first_row=np.array([rows.index[i * stride] for i in range(len(flat[name]))], dtype=np.int64),
                last_row=np.array([rows.index[i * stride + size - 1] for i in range(len(flat[name]))], dtype=np.int64),
                scores=pcas[stride].transform(flat[name]) if len(flat[name]) else np.empty((0, k)),
            )
            for name, rows in per_split.items()
        }
    return Reference(
        features={name: rows.rename_axis("row_number").reset_index() for name, rows in per_split.items()},
        feature_names=list(features.columns),
        dropped=dropped,
        windows=windows,
        explained_variance_ratio={stride: pca.explained_variance_ratio_ for stride, pca in pcas.items()},
        pca=pcas,
    )
