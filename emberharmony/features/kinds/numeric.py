"""Numbers: imputed with the training median, scaled to mean 0 and deviation 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony import ops
from emberharmony.arrow import TICKS_PER_SECOND, holds_seconds, plain_type
from emberharmony.backend import select
from emberharmony.errors import DataError
from emberharmony.features.drift import Baseline, ColumnCounts, null_drift, null_figures, psi_drift
from emberharmony.features.kinds.base import Centre, Counted, DroppedColumn, FittedColumn, Formula, Step
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats.categories import TopCategories
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles
from emberharmony.stats.rows import LARGEST_FLOAT32
from emberharmony.typing import FeatureBlock, FloatArray

N_BINS = 10
"""Bins of a drift baseline, of about as many training rows each."""
_FEW_VALUES = 4096  # distinct values that a dictionary in a file holds


@dataclass(frozen=True)
class Scaling:
    """Imputation and scaling: missing values become `fill`, then ``(x - mean) / scale``.

    Mean and scale are those of the imputed column, as in scikit-learn's `SimpleImputer` followed by `StandardScaler`.

    Examples
    --------
    >>> scaling = Scaling.fit(Moments.of(np.array([1.0, 3.0])), median=2.0, n_missing=2)
    >>> scaling.mean, round(scaling.scale, 6)
    (2.0, 0.707107)
    """

    fill: float
    mean: float
    scale: float

    @classmethod
    def fit(cls, moments: Moments, *, median: float, n_missing: int) -> Self:
        """Fit on the moments and median of the finite training values, and the number of missing ones."""
        filled = moments.merge(Moments(n_missing, median, 0.0, median, median))
        return cls(median, filled.mean, math.sqrt(filled.variance) or 1.0)

    @classmethod
    def unscaled(cls, fill: float) -> Self:
        """Return an imputation without scaling."""
        return cls(fill, 0.0, 1.0)

    @property
    def is_identity(self) -> bool:
        """Whether it only imputes."""
        return self.mean == 0.0 and self.scale == 1.0

    def text(self, value: str) -> str:
        """Return the scaling of a value in words of arithmetic.

        Examples
        --------
        >>> Scaling(0.0, 12.6, 40.1).text("delay"), Scaling(0.0, -2.0, 1.0).text("x"), Scaling.unscaled(0.0).text("flag")
        ('(delay - 12.6) / 40.1', '(x + 2) / 1', 'flag')
        """
        sign = "+" if self.mean < 0 else "-"
        return value if self.is_identity else f"({value} {sign} {abs(self.mean):.6g}) / {self.scale:.6g}"

    def expression(self, value: str) -> str:
        """Return the scaling of an expression in Python."""
        return value if self.is_identity else f"({value} - {self.mean!r}) / {self.scale!r}"


@dataclass(frozen=True)
class FittedNumber(FittedColumn):
    """A column of numbers and its one feature."""

    scaling: Scaling

    @classmethod
    def of(cls, kind: str, name: str, profile: ColumnProfile, scaling: Scaling) -> Self:
        """Return a fitted column with what its profile says of the values."""
        few = profile.quantiles.exact and len(profile.quantiles.keys) <= _FEW_VALUES
        return cls(name, kind, (name,), scaling, few_values=few, n_nonfinite=profile.n_nonfinite)

    @property
    def is_scaled(self) -> bool:
        """Whether values may be clipped."""
        return True

    @property
    def centre(self) -> Centre:
        """Where the training values lie."""
        return Centre(self.scaling.fill, self.scaling.scale)


class Numeric:
    """Integers, floats and decimals, durations and times of day in seconds; infinities count as missing."""

    name = "numeric"
    fitted = FittedNumber
    step: Step = "encode"
    is_sparse = False
    bounds: tuple[str, ...] = ("min", "max", "max_null_share", "max_psi")

    def accepts(self, type_: pa.DataType, /) -> bool:
        """Whether a type holds numbers."""
        type_ = plain_type(type_)
        return bool(pt.is_integer(type_) or pt.is_floating(type_) or pt.is_decimal(type_) or holds_seconds(type_))

    def width(self, specs: FeatureSpecs, *, n_distinct: int | None = None) -> int:
        """Return 1: the scaled number."""
        return 1

    def counted(self, specs: FeatureSpecs) -> Counted:
        """Return that numbers are counted, for their quantiles."""
        return "numbers"

    def profile(self, values: pa.ChunkedArray, specs: FeatureSpecs) -> ColumnProfile:
        """Count missing values, moments and quantiles."""
        return ColumnProfile.of_numbers(numbers(values), n_null=values.null_count)

    def fit(
        self, name: str, profile: ColumnProfile, specs: FeatureSpecs, categories: TopCategories
    ) -> FittedNumber | DroppedColumn:
        """Fit imputation and scaling, unless the column is constant.

        Raises
        ------
        DataError
            If the numbers are so large that they have no finite deviation.
        """
        if profile.moments.is_constant:
            return DroppedColumn(name, _why_constant(profile.moments.minimum))
        return FittedNumber.of(self.name, name, profile, fitted_scaling(name, profile))

    def transform(self, values: pa.ChunkedArray, fitted: FittedNumber) -> FeatureBlock:
        """Impute and scale."""
        return scale(numbers(values), fitted.scaling)

    def describe(self, fitted: FittedNumber) -> list[str]:
        """Describe the one feature."""
        return [f"{fitted.name} of the source, missing values filled in and scaled"]

    def formulas(self, fitted: FittedNumber, type_: pa.DataType) -> list[Formula]:
        """Return the imputation and scaling of the one feature."""
        return [number_formula(fitted.name, numbers_expression(type_), fitted.scaling)]

    def baseline(self, profile: ColumnProfile, fitted: FittedNumber, categories: TopCategories) -> Baseline:
        """Count the training rows between deciles."""
        edges, quantiles = self._edges(profile.quantiles), profile.quantiles
        bins = np.zeros(len(edges) + 1, np.int64)
        np.add.at(bins, np.searchsorted(edges, quantiles.values, side="right"), quantiles.counts)
        return Baseline(edges, ColumnCounts(profile.n_rows, profile.n_missing, profile.moments, bins))

    def count(self, values: pa.ChunkedArray, fitted: FittedNumber, baseline: Baseline) -> ColumnCounts:
        """Count finite numbers between the baseline's edges."""
        x, edges = numbers(values), baseline.edges
        x = x[np.isfinite(x)]
        bins = np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1).astype(np.int64)
        return ColumnCounts(len(values), len(values) - len(x), Moments.of(x), bins)

    def figures(self, counts: ColumnCounts) -> dict[str, float]:
        """Return the null share, and the least and the largest number if there is one."""
        finite = counts.moments
        return null_figures(counts) | ({"min": finite.minimum, "max": finite.maximum} if finite.count else {})

    def drift(self, baseline: Baseline, now: ColumnCounts) -> dict[str, float]:
        """Return the figures, the change of the null share, the shift of the mean in training deviations, and the index.

        Examples
        --------
        >>> def counted(values):
        ...     profile = Numeric().profile(pa.chunked_array([values]), FeatureSpecs())
        ...     return ColumnCounts(profile.n_rows, profile.n_missing, profile.moments, np.array([2, 2 - profile.n_missing]))
        >>> then, now = counted([1.0, 2.0, 3.0, 4.0]), counted([4.0, 5.0, 4.0, None])
        >>> found = Numeric().drift(Baseline((2.5,), then), now)
        >>> [round(found[name], 2) for name in ("null_share_change", "mean_shift", "psi", "psi_by_chance")]
        [0.25, 1.64, 0.29, 7.07]
        """
        then = baseline.counts
        found = self.figures(now) | null_drift(then, now)
        if now.moments.count and then.moments.count:
            found["mean_shift"] = (now.moments.mean - then.moments.mean) / (math.sqrt(then.moments.variance) or 1.0)
        return found | psi_drift(then, now)

    def aggregates(self, value: str, sql_type: str, *, n_quantiles: int, n_top: int) -> Mapping[str, str]:
        """Return aggregates of the finite values."""
        if sql_type in ("FLOAT64", "FLOAT"):
            nonfinite = f"IS_NAN({value}) OR IS_INF({value})"
            number = f"IF({nonfinite}, NULL, {value})"
            return number_aggregates(value, number, f"COUNTIF({nonfinite})", n_quantiles=n_quantiles)
        if sql_type == "TIME":
            seconds = f"TIME_DIFF({value}, TIME '00:00:00', MICROSECOND) / 1000000"
            return number_aggregates(value, seconds, n_quantiles=n_quantiles)
        return number_aggregates(value, f"CAST({value} AS FLOAT64)", n_quantiles=n_quantiles)

    def why_not_aggregated(self, type_: pa.DataType, specs: FeatureSpecs) -> str | None:
        """Return ``None``: aggregates suffice."""
        return None

    def _edges(self, quantiles: Quantiles) -> tuple[float, ...]:
        return tuple(sorted({quantiles.quantile(i / N_BINS) for i in range(1, N_BINS)}))


def fitted_scaling(name: str, profile: ColumnProfile) -> Scaling:
    """Fit the scaling of a column of numbers.

    Raises
    ------
    DataError
        If mean or deviation is not finite.
    """
    scaling = Scaling.fit(profile.moments, median=profile.quantiles.median(), n_missing=profile.n_missing)
    if not np.isfinite([scaling.mean, scaling.scale]).all():
        raise DataError(
            f"Column {name!r} holds numbers from {profile.moments.minimum:g} to {profile.moments.maximum:g} in training, too "
            f"far apart for a standard deviation. If they stand for missing values, make them null in the source, or drop the "
            f"column."
        )
    return scaling


def numbers(column: pa.Array | pa.ChunkedArray) -> FloatArray:
    """Return a numeric or boolean column as float64 of shape ``(n_rows,)``, with NaN for null.

    Durations and times of day are in seconds.

    Examples
    --------
    >>> numbers(pa.array([1_500, None], pa.duration("ms"))).tolist()
    [1.5, nan]
    """
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if holds_seconds(column.type):
        whole = column.cast(pa.int32() if pt.is_time32(column.type) else pa.int64())
        return numbers(whole) / TICKS_PER_SECOND[column.type.unit]
    if pt.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = column.cast(pa.float64(), safe=False)
    if isinstance(values, pa.ChunkedArray) and values.num_chunks == 1:
        values = values.chunk(0)  # without nulls, its memory is used as it is
    floats: FloatArray = values.to_numpy(zero_copy_only=False)  # nulls become NaN
    return floats


def numbers_expression(type_: pa.DataType) -> str:
    """Return `numbers` of a column ``x`` of an Arrow type as pandas computes it.

    Examples
    --------
    >>> numbers_expression(pa.int16()), numbers_expression(pa.duration("s"))
    ('x.astype(float)', 'x.dt.total_seconds()')
    """
    type_ = plain_type(type_)
    if pt.is_time(type_):
        return 'pd.to_timedelta(x.astype(str), errors="coerce").dt.total_seconds()'
    return "x.dt.total_seconds()" if pt.is_duration(type_) else "x.astype(float)"


def number_formula(text: str, expression: str, scaling: Scaling) -> Formula:
    """Return the formula of a number that is imputed and scaled."""
    filled = f"{expression}.replace([np.inf, -np.inf], np.nan).fillna({scaling.fill!r})"
    fitted = {"median": scaling.fill} | ({} if scaling.is_identity else {"mean": scaling.mean, "deviation": scaling.scale})
    missing = f"missing values, NaN and infinities become the training median {scaling.fill:.6g}"
    return Formula(scaling.text(text), scaling.expression(filled), missing, fitted)


def scaled_formulas(formulas: Sequence[Formula], scalings: Sequence[Scaling]) -> list[Formula]:
    """Return the formulas of features that are scaled as `scale_each` does; without scalings, as they are."""
    if not scalings:
        return [*formulas]
    return [
        Formula(
            scaling.text(f"[{of.text}]"),
            scaling.expression(of.expression),
            of.missing,
            {**of.parameters, "mean": scaling.mean, "deviation": scaling.scale},
        )
        for of, scaling in zip(formulas, scalings, strict=True)
    ]


def scale(x: FloatArray, scaling: Scaling) -> FeatureBlock:
    """Impute and scale on the current backend; shape ``(1, n_rows)``.

    The arithmetic is in float64 and cast last: 1e9 + 0.5 has no half in float32. Values outside the range of float32 are
    clipped to it, see `count_clipped`.

    Examples
    --------
    >>> scale(np.array([1.0, np.nan, np.inf]), Scaling(fill=2.0, mean=1.0, scale=0.5)).tolist()
    [[0.0, 2.0, 2.0]]
    """
    if not select().float64:
        return _scale_on_host(x, scaling)
    values = ops.asarray(x)
    is_finite = ops.isfinite(values)
    if not ops.all(is_finite):
        values = ops.where(is_finite, values, scaling.fill)
    with np.errstate(over="ignore"):  # infinities are clipped below
        centred = values - scaling.mean
        centred *= 1.0 / scaling.scale  # gives the difference back: fresh memory costs more than the arithmetic
        scaled = ops.astype(centred, ops.float32)
    return ops.clip(scaled, -LARGEST_FLOAT32, LARGEST_FLOAT32).numpy()[None, :]


def _scale_on_host(x: FloatArray, scaling: Scaling) -> FeatureBlock:
    # A device without float64 cannot hold 1e9 + 0.5: the one step that needs it runs on the host.
    filled = np.where(np.isfinite(x), x, scaling.fill)
    with np.errstate(over="ignore"):
        scaled = (filled - scaling.mean) * (1.0 / scaling.scale)
    return np.clip(scaled, -LARGEST_FLOAT32, LARGEST_FLOAT32).astype(np.float32)[None, :]


def scale_each(block: FeatureBlock, scalings: tuple[Scaling, ...]) -> FeatureBlock:
    """Scale every feature of a block by its own scaling; without scalings, return the block."""
    if not scalings:
        return block
    return np.concatenate([scale(x.astype(np.float64), scaling) for x, scaling in zip(block, scalings, strict=True)])


def number_aggregates(value: str, number: str, nonfinite: str = "0", *, n_quantiles: int) -> dict[str, str]:
    """Return BigQuery's aggregates of `number`, an expression of the column `value` that is null or finite."""
    return {
        "null": f"COUNTIF({value} IS NULL)",
        "nonfinite": nonfinite,
        "count": f"COUNT({number})",
        "mean": f"AVG({number})",
        "variance": f"VAR_POP({number})",
        "min": f"MIN({number})",
        "max": f"MAX({number})",
        "quantiles": f"APPROX_QUANTILES({number}, {n_quantiles})",
    }


def count_clipped(block: FeatureBlock, /) -> int:
    """Count the values that were clipped: those at the limits of float32.

    Examples
    --------
    >>> count_clipped(scale(np.array([1.0, -1e300, 1e300]), Scaling(fill=0.0, mean=0.0, scale=1e-3)))
    2
    """
    if not block.size or max(block.max(), -block.min()) < np.float32(LARGEST_FLOAT32):
        return 0
    return int((np.abs(block) >= np.float32(LARGEST_FLOAT32)).sum())


def _why_constant(value: float) -> str:
    ids = "; whole numbers beyond 2**53 that differ in their last digits are one float64" if abs(value) >= 2**53 else ""
    return f"constant in training ({value:g}{ids})"
