"""Categories: one-hot features over the most frequent training values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from emberharmony import ops
from emberharmony.arrow import invalid_text, is_bytes, is_category, is_text, plain, plain_type
from emberharmony.errors import ValueRefusedError
from emberharmony.features.drift import Baseline, ColumnCounts, null_drift, null_figures, psi_drift, share
from emberharmony.features.kinds.base import Counted, FittedColumn, Formula, Step
from emberharmony.features.kinds.numeric import Scaling, numbers, scale_each, scaled_formulas
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats.categories import TopCategories
from emberharmony.stats.moments import Moments
from emberharmony.typing import FeatureBlock


@dataclass(frozen=True)
class FittedCategories(FittedColumn):
    """A column of categories and its one-hot features."""

    vocabulary: tuple[str, ...]
    scalings: tuple[Scaling, ...] = ()  # one for each feature, if the job scales all features

    @property
    def is_scaled(self) -> bool:
        """Whether values may be clipped."""
        return bool(self.scalings)

    @property
    def categories(self) -> tuple[str, ...]:
        """The vocabulary."""
        return self.vocabulary


class Categorical:
    """Texts, dictionaries, and numbers, booleans or texts in binary columns that a job names in ``columns.categorical``."""

    name = "categorical"
    fitted = FittedCategories
    step: Step = "encode"
    is_sparse = True
    bounds: tuple[str, ...] = ("max_null_share", "max_new_share", "max_psi")

    def accepts(self, type_: pa.DataType, /) -> bool:
        """Whether values can be categories."""
        type_ = plain_type(type_)
        return bool(pt.is_dictionary(type_)) or is_category(type_) or is_bytes(type_)

    def width(self, specs: FeatureSpecs, *, n_distinct: int | None = None) -> int:
        """Return a feature for each value of the vocabulary, one for others and one for nulls."""
        most = specs.categories.max_categories
        return (most if n_distinct is None else min(most, n_distinct)) + 2

    def counted(self, specs: FeatureSpecs) -> Counted:
        """Return that categories are counted."""
        return "categories"

    def profile(self, values: pa.ChunkedArray, specs: FeatureSpecs) -> ColumnProfile:
        """Count every distinct value."""
        return ColumnProfile.of_categories(strings(values))

    def fit(self, name: str, profile: ColumnProfile, specs: FeatureSpecs, categories: TopCategories) -> FittedCategories:
        """Fix the vocabulary: the most frequent training values, sorted."""
        vocabulary = tuple(sorted(value for value, _ in categories.values))
        scalings = _scalings(dict(categories.values), vocabulary, profile) if specs.scale_all else ()
        return FittedCategories(name, self.name, feature_names(name, vocabulary), vocabulary, scalings)

    def transform(self, values: pa.ChunkedArray, fitted: FittedCategories) -> FeatureBlock:
        """Encode one-hot."""
        return scale_each(one_hot(codes(values, fitted.vocabulary), len(fitted.features)), fitted.scalings)

    def describe(self, fitted: FittedCategories) -> list[str]:
        """Describe the feature of each value, of others and of nulls."""
        values = [f"1 where {fitted.name} is {value!r}" for value in fitted.vocabulary]
        return [*values, f"1 where {fitted.name} is any other value", f"1 where {fitted.name} is missing"]

    def formulas(self, fitted: FittedCategories, type_: pa.DataType) -> list[Formula]:
        """Return the comparison of each value, of others and of nulls."""
        name, same = fitted.name, [_is_value(value, type_) for value in fitted.vocabulary]
        missing = f"rows without a value have 1 in {fitted.features[-1]}, and 0 in the others"
        known = f" & ~{_is_any(fitted.vocabulary, type_)}" if same else ""
        n_values = f"the {len(same):,} values with a feature of their own"
        formulas = [
            *(
                Formula(f"1 where {name} is {value!r}, else 0", f"{expression}.astype(float)", missing, {"value": value})
                for value, expression in zip(fitted.vocabulary, same, strict=True)
            ),
            Formula(f"1 where {name} is none of {n_values}, else 0", f"(x.notna(){known}).astype(float)", missing),
            Formula(f"1 where {name} is missing, else 0", "x.isna().astype(float)", missing),
        ]
        return scaled_formulas(formulas, fitted.scalings)

    def baseline(self, profile: ColumnProfile, fitted: FittedCategories, categories: TopCategories) -> Baseline:
        """Count the training rows by value of the vocabulary and, last, those of all other values."""
        counts = dict(categories.values)
        bins = np.array([*(counts[value] for value in fitted.vocabulary), 0], np.int64)
        # The rest, not a sum: a profile that was computed in BigQuery names only the most frequent values.
        bins[-1] = max(profile.n_rows - profile.n_missing - int(bins[:-1].sum()), 0)
        return Baseline((), ColumnCounts(profile.n_rows, profile.n_missing, Moments.empty(), bins))

    def count(self, values: pa.ChunkedArray, fitted: FittedCategories, baseline: Baseline) -> ColumnCounts:
        """Count rows by value of the vocabulary, and those of other values."""
        n_bins = len(fitted.vocabulary) + 1
        counts = np.bincount(codes(values, fitted.vocabulary), minlength=n_bins + 1).astype(np.int64)
        return ColumnCounts(len(values), int(counts[n_bins]), Moments.empty(), counts[:n_bins])

    def figures(self, counts: ColumnCounts) -> dict[str, float]:
        """Return the null share, and the share outside the vocabulary."""
        return null_figures(counts) | {"other_share": share(int(counts.bins[-1]), counts.n_rows)}

    def drift(self, baseline: Baseline, now: ColumnCounts) -> dict[str, float]:
        """Return the figures, how far both shares have moved, and the stability index."""
        then = baseline.counts
        change = share(int(now.bins[-1]), now.n_rows) - share(int(then.bins[-1]), then.n_rows)
        return self.figures(now) | null_drift(then, now) | {"other_share_change": change} | psi_drift(then, now)

    def aggregates(self, value: str, sql_type: str, *, n_quantiles: int, n_top: int) -> Mapping[str, str]:
        """Return the most frequent values."""
        text = value if sql_type == "STRING" else f"CAST({value} AS STRING)"
        return {
            "null": f"COUNTIF({value} IS NULL)",
            # Null counts as a value there, and would push the last category out.
            "top": f"APPROX_TOP_COUNT({text}, {n_top + 1})",
        }

    def why_not_aggregated(self, type_: pa.DataType, specs: FeatureSpecs) -> str | None:
        """Refuse fractions: BigQuery and this library write them as different texts."""
        if pt.is_floating(type_) or pt.is_decimal(type_):
            return "BigQuery writes fractions as other texts than this library, so their categories would differ"
        return None


def _is_any(vocabulary: tuple[str, ...], type_: pa.DataType) -> str:
    """Return the comparison of a column ``x`` of an Arrow type with all values of its vocabulary."""
    type_ = plain_type(type_)
    if is_text(type_.value_type if pt.is_dictionary(type_) else type_):
        return f"x.isin({[*vocabulary]!r})"
    return f"({' | '.join(_is_value(value, type_) for value in vocabulary)})"


def _is_value(value: str, type_: pa.DataType) -> str:
    """Return the comparison of a column ``x`` of an Arrow type with a value of its vocabulary, see `strings`."""
    type_ = plain_type(type_)
    type_ = type_.value_type if pt.is_dictionary(type_) else type_
    if is_text(type_):
        return f"(x == {value!r})"
    if is_bytes(type_):
        return f"(x == {value.encode()!r})"
    if pt.is_boolean(type_):
        return f"(x == {value == 'true'})"
    number = value if value.lstrip("-").isdigit() else repr(float(value))
    if not np.isfinite(float(value)):
        number = f"float({number!r})"
    return f"(x.astype(float) == {number})" if pt.is_decimal(type_) else f"(x == {number})"


def feature_names(column: str, vocabulary: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a column's one-hot features, before duplicates are renamed.

    Examples
    --------
    >>> feature_names("color", ("dark red", "blue"))
    ('color_dark_red', 'color_blue', 'color_other', 'color_null')
    """
    return tuple(f"{column}_{re.sub('[^0-9a-zA-Z_]', '_', value)}" for value in (*vocabulary, "other", "null"))


def deduplicated(names: Iterable[str], taken: set[str]) -> tuple[str, ...]:
    """Return names that differ from each other and from those taken: ``_2``, ``_3``, … is added to duplicates.

    The names returned are added to `taken`.

    Examples
    --------
    >>> deduplicated(["a_b", "a_b", "c"], {"c"})
    ('a_b', 'a_b_2', 'c_2')
    """
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(candidate)
    return tuple(unique)


def strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return a column as the strings that categories and hash keys are made of; NaN is null.

    Equal numbers have the same text, whatever their type: 1.0 is ``1``, -0.0 is ``0`` and a decimal 1.50 is ``1.5``. A
    duration is its number of seconds, and bytes are the UTF-8 text that they hold.

    Raises
    ------
    ValueRefusedError
        If bytes are not UTF-8.

    Examples
    --------
    >>> strings(pa.array([-0.0, 12345678901.0, 0.5, float("nan")])).to_pylist()
    ['0', '12345678901', '0.5', None]
    """
    if isinstance(column, pa.Array):
        return strings(pa.chunked_array([column])).combine_chunks()
    column = plain(column)
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_bytes(column.type):
        return _texts_of_bytes(column)
    if pt.is_duration(column.type):
        return _float_texts(pa.chunked_array([pa.array(numbers(column), from_pandas=True)]))
    if pt.is_floating(column.type):
        return _float_texts(column)
    if pt.is_decimal(column.type):
        return _decimal_texts(column)
    if pt.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(
            pa.timestamp(column.type.unit, "UTC")
        )  # Arrow cannot print a zone that this machine does not know
    return column.cast(pa.large_string())


def _texts_of_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = column.cast(pa.large_binary()).cast(pa.large_string(), safe=False)
    wrong = invalid_text(texts)
    if wrong is not None:
        raise ValueRefusedError(
            f"holds {wrong[:40]!r}, which is not UTF-8 text, so its values cannot be categories. Convert the column to UTF-8 "
            f"in the source, or leave it out with columns.drop."
        )
    return texts


def _float_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = column.cast(pa.float32()) if pt.is_float16(column.type) else column
    column = pc.if_else(pc.is_nan(column), None, column)
    is_whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**63))
    whole = pc.if_else(is_whole, column, 0.0).cast(pa.int64())
    return pc.if_else(is_whole, whole.cast(pa.large_string()), column.cast(pa.large_string()))


def _decimal_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without the trailing zeros that the scale of the type adds."""
    wide = column if pt.is_decimal256(column.type) else column.cast(pa.decimal128(column.type.precision, column.type.scale))
    encoded = wide.dictionary_encode().combine_chunks()
    texts = pa.array([_decimal_text(value) for value in encoded.dictionary.to_pylist()], pa.large_string())
    encoded = pa.DictionaryArray.from_arrays(encoded.indices, texts)
    return pa.chunked_array([encoded.dictionary_decode()])


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def codes(column: pa.Array | pa.ChunkedArray, vocabulary: tuple[str, ...]) -> NDArray[np.int32]:
    """Return the position of every value's feature: its place in the vocabulary, then others, then null."""
    text = strings(column)
    found = pc.index_in(text, value_set=pa.array(vocabulary, pa.large_string()))
    position: NDArray[np.int32] = pc.fill_null(found, len(vocabulary)).to_numpy().astype(np.int32, copy=True)
    if text.null_count:
        position[pc.is_null(text).to_numpy(zero_copy_only=False)] = len(vocabulary) + 1
    return position


def one_hot(position: NDArray[np.int32], n_features: int) -> FeatureBlock:
    """Return the one-hot features, computed on the current backend; shape ``(n_features, n_rows)``.

    Examples
    --------
    >>> one_hot(np.array([1, 0], np.int32), 3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    """
    every = ops.arange(n_features, dtype=ops.int32)
    here = ops.asarray(position)[None, :] == every[:, None]
    return ops.astype(here, ops.float32).numpy()


def _scalings(counts: Mapping[str, int], vocabulary: tuple[str, ...], profile: ColumnProfile) -> tuple[Scaling, ...]:
    """Mean and deviation of one-hot features follow from the share of rows of each value."""
    others = profile.n_rows - profile.n_missing - sum(counts.values())
    shares = np.array([*(counts[value] for value in vocabulary), others, profile.n_missing]) / profile.n_rows
    return tuple(Scaling(0.0, float(p), float(np.sqrt(p * (1 - p))) or 1.0) for p in shares)
