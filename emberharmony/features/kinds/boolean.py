"""Booleans: numbers 0 and 1, imputed with the training median and left unscaled."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import plain_type
from emberharmony.features.kinds.base import Counted
from emberharmony.features.kinds.numeric import FittedNumber, Numeric, Scaling, fitted_scaling, number_aggregates
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats.categories import TopCategories
from emberharmony.stats.quantiles import Quantiles


class Boolean(Numeric):
    """True and false; scaled only if the job scales all features, and never dropped as constant."""

    name = "boolean"
    bounds = ("max_null_share", "max_psi")

    def accepts(self, type_: pa.DataType, /) -> bool:
        """Whether a type holds booleans."""
        return bool(pt.is_boolean(plain_type(type_)))

    def counted(self, specs: FeatureSpecs) -> Counted:
        """Return that nothing is counted that takes memory: there are two values."""
        return "nothing"

    def fit(self, name: str, profile: ColumnProfile, specs: FeatureSpecs, categories: TopCategories) -> FittedNumber:
        """Fit the imputation, and the scaling if the job scales all features."""
        scaling = fitted_scaling(name, profile) if specs.scale_all else Scaling.unscaled(profile.quantiles.median())
        return FittedNumber.of(self.name, name, profile, scaling)

    def aggregates(self, value: str, sql_type: str, *, n_quantiles: int, n_top: int) -> Mapping[str, str]:
        """Return aggregates of zeros and ones."""
        return number_aggregates(value, f"CAST(CAST({value} AS INT64) AS FLOAT64)", n_quantiles=n_quantiles)

    def _edges(self, quantiles: Quantiles) -> tuple[float, ...]:
        return (0.5,)
