"""Fitted preprocessing: which features are made of a row, in which order, and how."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberharmony.errors import DataError, about_column
from emberharmony.features.columns import ROW_NUMBER, SPLIT, ColumnRoles
from emberharmony.features.kinds import numeric
from emberharmony.features.kinds.base import DroppedColumn, FittedColumn
from emberharmony.features.kinds.categorical import deduplicated
from emberharmony.features.kinds.registry import fitted_from_json, kind_named
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats.categories import TopCategories
from emberharmony.typing import FeatureBlock

_FEW_REASONS = 5


@dataclass(frozen=True)
class Preprocessing:
    """All that is fitted to turn rows into features."""

    columns: tuple[FittedColumn, ...]
    dropped: tuple[DroppedColumn, ...]
    schema: pa.Schema | None = None  # of the columns as they were fitted; older states do not hold it

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of all features, in order."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def features_by_kind(self) -> dict[str, int]:
        """Number of features made of each kind of column."""
        counts: dict[str, int] = {}
        for column in self.columns:
            counts[column.kind] = counts.get(column.kind, 0) + len(column.features)
        return counts

    def to_json(self) -> dict[str, Any]:
        """Return the fitted state as JSON data; floats survive to the last bit."""
        schema = None if self.schema is None else base64.b64encode(self.schema.serialize()).decode()
        return {**asdict(replace(self, schema=None)), "schema": schema}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], /) -> Self:
        """Return what `to_json` wrote, in this version or the one before it.

        Raises
        ------
        ValueError
            If a column's kind is not known, or a value is missing or of another type.
        """
        columns = tuple(fitted_from_json(_of_version_2(column, data)) for column in data["columns"])
        stored = data.get("schema")
        schema = None if stored is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
        return cls(columns, tuple(DroppedColumn(**d) for d in data["dropped"]), schema)


def fit_preprocessing(
    roles: ColumnRoles,
    profiles: Mapping[str, ColumnProfile],
    categories: Mapping[str, TopCategories],
    specs: FeatureSpecs,
    *,
    high_null_threshold: float,
) -> Preprocessing:
    """Fit every column's features on the merged profile of the training rows.

    Parameters
    ----------
    roles : ColumnRoles
        The columns that features are made of.
    profiles : mapping of str to ColumnProfile
        The merged profile of each column, without its category counts.
    categories : mapping of str to TopCategories
        The most frequent training values of each column whose kind counts them.
    specs : FeatureSpecs
        How features are made.
    high_null_threshold : float
        Columns with a larger share of missing values are dropped.

    Raises
    ------
    DataError
        If no column is left.
    """
    fitted, dropped = list[FittedColumn](), list(roles.dropped)
    taken = {*roles.carried, ROW_NUMBER, SPLIT}
    for column in roles.features:
        profile = profiles[column.name]
        reason = _why_missing(profile, high_null_threshold)
        if reason:
            dropped.append(DroppedColumn(column.name, reason))
            continue
        found = kind_named(column.kind).fit(column.name, profile, specs, categories.get(column.name, TopCategories()))
        if isinstance(found, DroppedColumn):
            dropped.append(found)
        else:
            fitted.append(replace(found, features=deduplicated(found.features, taken)))
    if not fitted:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in dropped[:_FEW_REASONS])
        more = f"; and {len(dropped) - _FEW_REASONS:,} more columns" if len(dropped) > _FEW_REASONS else ""
        raise DataError(
            f"No column makes a feature on the training rows ({reasons}{more}). Check the source, or relax columns.drop, "
            f"columns.passthrough or columns.high_null_threshold."
        )
    return Preprocessing(tuple(fitted), tuple(dropped))


def _of_version_2(column: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a column as version 3 writes it: version 2 kept the cycles once, and a list of one scaling."""
    if "cycles" not in state:
        return column
    return {**column, "cycles": state["cycles"], "scaling": next(iter(column["scalings"]), None)}


def datetime_features(rows: pa.Table, fitted: Preprocessing) -> dict[str, FeatureBlock]:
    """Return the features of every column of times, each of shape ``(n_features, n_rows)``."""
    blocks = {}
    for column in fitted.columns:
        kind = kind_named(column.kind)
        if kind.step == "datetime-features":
            with about_column(column.name):
                blocks[column.name] = kind.transform(rows[column.name], column)
    return blocks


def encode(rows: pa.Table, times: Mapping[str, FeatureBlock], fitted: Preprocessing) -> FeatureBlock:
    """Return all features of the rows, of shape ``(n_features, n_rows)``; `times` is what `datetime_features` returned."""
    out = np.empty((len(fitted.feature_names), rows.num_rows), np.float32)
    for column, place in zip(fitted.columns, _places(fitted), strict=True):
        name = column.name
        with about_column(name):
            out[place] = times[name] if name in times else kind_named(column.kind).transform(rows[name], column)
    return out


def count_clipped(block: FeatureBlock, fitted: Preprocessing) -> dict[str, int]:
    """Count the clipped values of a feature block by source column; columns without any are left out."""
    counts = {}
    for column, place in zip(fitted.columns, _places(fitted), strict=True):
        n_clipped = numeric.count_clipped(block[place]) if column.is_scaled else 0
        if n_clipped:
            counts[column.name] = n_clipped
    return counts


def _why_missing(profile: ColumnProfile, threshold: float) -> str | None:
    if profile.n_missing > threshold * profile.n_rows or profile.n_missing == profile.n_rows:
        share = profile.n_missing / profile.n_rows
        return f"{100 * share:.4g}% of its training values are missing, more than high_null_threshold = {threshold:g}"
    return None


def _places(fitted: Preprocessing) -> Iterator[slice]:
    """Yield the rows of the feature block that each column's features take."""
    begin = 0
    for column in fitted.columns:
        end = begin + len(column.features)
        yield slice(begin, end)
        begin = end
