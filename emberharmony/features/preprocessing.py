"""The features of a row, fitted on the training rows: which columns, in which order, by which numbers."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.features.columns import ROW_NUMBER, SPLIT, ColumnRoles, DroppedColumn, FeatureColumn, Kind
from emberharmony.features.kinds import categorical, datetime, numeric
from emberharmony.features.kinds.categorical import CategorySpec
from emberharmony.features.kinds.datetime import CyclicalSpec
from emberharmony.features.kinds.numeric import Scaling
from emberharmony.features.profile import ColumnProfile
from emberharmony.stats.categories import CategoryCounts, TopCategories, top_categories
from emberharmony.typing import FeatureBlock

_FEW_VALUES = 4096
_FEW_REASONS = 5


@dataclass(frozen=True)
class NumberSpec:
    """How numbers are scaled."""

    scale: Literal["numeric", "all"] = "numeric"
    """What is scaled to mean 0 and deviation 1 of the training rows: numeric columns, or all features."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True)
class FittedColumn:
    """One column of the table and how its features are made."""

    name: str
    kind: Kind
    features: tuple[str, ...]
    scalings: tuple[Scaling, ...] = ()  # numeric and boolean: one; with scale "all": one for each feature
    vocabulary: tuple[str, ...] = ()
    few_values: bool = False  # so few distinct ones that files are better off listing them
    epoch: Scaling | None = None  # of a datetime column, where its moments are a feature: the last one
    n_nonfinite: int = 0  # of the training values: NaN and infinities, taken as missing


@dataclass(frozen=True)
class Preprocessing:
    """Everything fitted that turns rows into features."""

    columns: tuple[FittedColumn, ...]
    dropped: tuple[DroppedColumn, ...]
    cycles: CyclicalSpec
    schema: pa.Schema | None = None  # of the columns as they were fitted; states of before do not know it

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
        """Return the fitted numbers as JSON can hold them; floats survive to the last bit."""
        schema = None if self.schema is None else base64.b64encode(self.schema.serialize()).decode()
        return {**asdict(replace(self, schema=None)), "schema": schema}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], /) -> Self:
        """Return what `to_json` wrote."""
        columns = tuple(
            FittedColumn(
                column["name"],
                column["kind"],
                tuple(column["features"]),
                tuple(Scaling(**scaling) for scaling in column["scalings"]),
                tuple(column["vocabulary"]),
                column["few_values"],
                epoch=Scaling(**column["epoch"]) if column.get("epoch") else None,
                n_nonfinite=column.get("n_nonfinite", 0),  # states of before know neither
            )
            for column in data["columns"]
        )
        stored = data.get("schema")
        schema = None if stored is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
        return cls(columns, tuple(DroppedColumn(**d) for d in data["dropped"]), CyclicalSpec(**data["cycles"]), schema)


def fit_preprocessing(
    roles: ColumnRoles,
    profiles: Mapping[str, ColumnProfile],
    category_states: Callable[[str], Iterable[CategoryCounts]],
    *,
    cycles: CyclicalSpec,
    categories: CategorySpec,
    numbers: NumberSpec,
    high_null_threshold: float,
) -> Preprocessing:
    """Fit every column's features on the merged profile of the training rows.

    Parameters
    ----------
    roles : ColumnRoles
        The columns that features are made of.
    profiles : mapping of str to ColumnProfile
        Each one's merged profile, without its categories.
    category_states : callable
        The chunks' category counts of a column, as often as asked for.
    cycles, categories, numbers
        The specs of datetime, categorical and numeric features.
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
        reason = _reason_to_drop(column, profile, high_null_threshold)
        if reason:
            dropped.append(DroppedColumn(column.name, reason))
            continue
        scale_all = numbers.scale == "all"
        if column.kind == "datetime":
            fitted.append(_fit_times(column, profile, taken, cycles, scale_all))
        else:
            fitted.append(_fit_column(column, profile, category_states, taken, categories, scale_all))
    if not fitted:
        reasons = "; ".join(f"{column.name}: {column.reason}" for column in dropped[:_FEW_REASONS])
        more = f"; and {len(dropped) - _FEW_REASONS:,} more columns" if len(dropped) > _FEW_REASONS else ""
        raise DataError(
            f"No column of the training rows can be made a feature of ({reasons}{more}). Look at the source, or let more in: "
            f"see columns.drop, columns.passthrough and columns.high_null_threshold."
        )
    return Preprocessing(tuple(fitted), tuple(dropped), cycles)


def _reason_to_drop(column: FeatureColumn, profile: ColumnProfile, threshold: float) -> str | None:
    if profile.n_missing > threshold * profile.n_rows or profile.n_missing == profile.n_rows:
        share = profile.n_missing / profile.n_rows
        return f"{100 * share:.4g}% of its training values are missing, more than high_null_threshold = {threshold:g}"
    if column.kind == "numeric" and profile.moments.is_constant:
        value = profile.moments.minimum
        ids = "; whole numbers beyond 2**53 that differ in their last digits are one float64" if abs(value) >= 2**53 else ""
        return f"constant in training ({value:g}{ids})"
    return None


def _fit_column(
    column: FeatureColumn,
    profile: ColumnProfile,
    category_states: Callable[[str], Iterable[CategoryCounts]],
    taken: set[str],
    categories: CategorySpec,
    scale_all: bool,
) -> FittedColumn:
    name = column.name
    if column.kind == "numeric" or column.kind == "boolean":
        fill = profile.quantiles.median()
        scaled = column.kind == "numeric" or scale_all
        fit = Scaling.fit(profile.moments, median=fill, n_missing=profile.n_missing)
        if not np.isfinite([fit.mean, fit.scale]).all():
            raise DataError(
                f"Column {name!r} holds numbers from {profile.moments.minimum:g} to {profile.moments.maximum:g} in "
                f"training, too far apart for a standard deviation. If they stand for missing values, make them null in "
                f"the source, or drop the column."
            )
        scaling = fit if scaled else Scaling.unscaled(fill)
        few = profile.quantiles.exact and len(profile.quantiles.keys) <= _FEW_VALUES
        own_name = categorical.deduplicated([name], taken)
        return FittedColumn(name, column.kind, own_name, (scaling,), few_values=few, n_nonfinite=profile.n_nonfinite)
    top = top_categories(lambda: category_states(name), categories.max_categories)
    vocabulary = tuple(sorted(value for value, _ in top.values))
    features = categorical.deduplicated(list(categorical.feature_names(name, vocabulary)), taken)
    scalings = _one_hot_scalings(top, vocabulary, profile) if scale_all else ()
    return FittedColumn(name, column.kind, features, scalings, vocabulary)


def _fit_times(
    column: FeatureColumn, profile: ColumnProfile, taken: set[str], cycles: CyclicalSpec, scale_all: bool
) -> FittedColumn:
    names = list(datetime.feature_names(column.name))
    epoch = None
    if cycles.epoch:
        names.append(datetime.epoch_name(column.name))
        epoch = Scaling.fit(profile.moments, median=profile.quantiles.median(), n_missing=profile.n_missing)
    features = categorical.deduplicated(names, taken)
    scalings = tuple(Scaling.fit(m, median=0.0, n_missing=0) for m in profile.cycles) if scale_all else ()
    return FittedColumn(column.name, column.kind, features, scalings, few_values=epoch is None, epoch=epoch)


def _one_hot_scalings(top: TopCategories, vocabulary: tuple[str, ...], profile: ColumnProfile) -> tuple[Scaling, ...]:
    counts = dict(top.values)
    others = profile.n_rows - profile.n_missing - sum(counts.values())
    shares = np.array([*(counts[value] for value in vocabulary), others, profile.n_missing]) / profile.n_rows
    return tuple(Scaling(0.0, float(p), float(np.sqrt(p * (1 - p))) or 1.0) for p in shares)


def datetime_features(rows: pa.Table, fitted: Preprocessing) -> dict[str, FeatureBlock]:
    """Cyclical features of every datetime column, each of shape ``(8, n_rows)``; null times give zeros."""
    blocks = {}
    for column in fitted.columns:
        if column.kind == "datetime":
            blocks[column.name] = datetime.cyclical_block(rows[column.name], fitted.cycles)
    return blocks


def encode(rows: pa.Table, times: Mapping[str, FeatureBlock], fitted: Preprocessing) -> FeatureBlock:
    """All features of the rows, of shape ``(n_features, n_rows)``; `times` are those of the datetime columns."""
    out = np.empty((len(fitted.feature_names), rows.num_rows), np.float32)
    begin = 0
    for column in fitted.columns:
        end = begin + len(column.features)
        out[begin:end] = _block(column, rows, times)
        begin = end
    return out


def count_clipped(block: FeatureBlock, fitted: Preprocessing) -> dict[str, int]:
    """Count the values of a feature block that were clipped, by the column they are made of; columns without any are left."""
    counts, begin = {}, 0
    for column in fitted.columns:
        end = begin + len(column.features)
        n_clipped = numeric.count_clipped(block[begin:end]) if column.scalings or column.epoch else 0
        if n_clipped:
            counts[column.name] = n_clipped
        begin = end
    return counts


def _block(column: FittedColumn, rows: pa.Table, times: Mapping[str, FeatureBlock]) -> FeatureBlock:
    if column.kind == "numeric" or column.kind == "boolean":
        return numeric.scale(numeric.numbers(rows[column.name]), column.scalings[0])
    if column.kind == "datetime":
        block = times[column.name]
    else:
        block = categorical.one_hot(categorical.codes(rows[column.name], column.vocabulary), len(column.features))
    if column.scalings:
        scaled = [numeric.scale(x.astype(np.float64), s) for x, s in zip(block, column.scalings, strict=True)]
        block = np.concatenate(scaled)
    if column.epoch:
        return np.concatenate([block, numeric.scale(datetime.epoch(rows[column.name]), column.epoch)])
    return block
