"""What every kind of column does: the contract that profile, fit, transform, drift, SQL and plan go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from emberharmony.features.drift import Baseline, ColumnCounts
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats.categories import TopCategories
from emberharmony.typing import FeatureBlock, FloatArray

if TYPE_CHECKING:
    import pandas as pd

"""The category counts of a column, chunk by chunk, as often as asked for: there may be too many to hold at once."""

Step = Literal["datetime-features", "encode"]
"""The two steps that make features; each is a task of its own in Prefect."""

Counted = Literal["numbers", "categories", "nothing"]
"""What a profile counts value by value, which decides the memory that it takes."""


@dataclass(frozen=True)
class DroppedColumn:
    """A column without features, and the reason."""

    name: str
    reason: str


class Centre(NamedTuple):
    """Where the training values of a column of numbers lie."""

    median: float
    scale: float
    """What differences from the mean are divided by."""


@dataclass(frozen=True)
class FittedColumn:
    """One column and its features; each kind adds what it has fitted, in fields that JSON can hold."""

    name: str
    kind: str
    features: tuple[str, ...]
    few_values: bool = field(default=False, kw_only=True)  # in every feature: a dictionary in the file pays
    n_nonfinite: int = field(default=0, kw_only=True)  # of the training values: NaN and infinities, taken as missing

    @property
    def is_scaled(self) -> bool:
        """Whether any feature is scaled, so that values may be clipped to the range of float32."""
        return False

    @property
    def centre(self) -> Centre | None:
        """Where the training values lie; ``None`` if they are no numbers."""
        return None

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that have a feature of their own."""
        return ()


@dataclass(frozen=True)
class Formula:
    """How one feature follows from the values of its column."""

    text: str
    """For people, with numbers to six digits, such as ``(delay - 12.6) / 40.1``."""
    expression: str
    """In Python, with all digits, of ``x``, the column as pandas reads it, and of ``np`` and ``pd``. It returns a series."""
    missing: str
    """What becomes of rows without a value."""
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    """What was fitted, and what the job has chosen, by name."""

    def evaluate(self, x: pd.Series, /) -> FloatArray:
        """Return the feature of a column, float64 of shape ``(n_rows,)``, as pandas computes it.

        Examples
        --------
        >>> import pandas as pd
        >>> Formula("2 x", "x.fillna(1.0) * 2.0", "missing values become 1").evaluate(pd.Series([4.0, None])).tolist()
        [8.0, 2.0]
        """
        import numpy as np
        import pandas as pd

        found: FloatArray = np.asarray(eval(self.expression, {"np": np, "pd": pd, "x": x}), np.float64)
        return found


F = TypeVar("F", bound=FittedColumn)


class ColumnKind(Protocol[F]):
    """One kind of column: what is learnt of its values, and the features made of them.

    Add a kind from outside with `emberharmony.features.kinds.registry.register_kind`, or by an entry point of the group
    ``emberharmony.kinds``; a job then gives it to a column in ``columns.kinds``.

    Attributes
    ----------
    name : str
        The name that jobs and fitted states use.
    fitted : type of FittedColumn
        A frozen dataclass: what `fit` returns and `transform` takes.
    step : {"datetime-features", "encode"}
        The step that makes the features.
    is_sparse : bool
        Whether most values of the features are zero, so that files compress them.
    bounds : tuple of str
        Keys of a job's ``expect.columns`` that the figures of a column have a number for.
    """

    name: str
    fitted: type[F]
    step: Step
    is_sparse: bool
    bounds: tuple[str, ...]

    def accepts(self, type_: pa.DataType, /) -> bool:
        """Whether features of this kind can be made of an Arrow type."""

    def width(self, specs: FeatureSpecs, *, n_distinct: int | None = None) -> int:
        """Return the number of features: at most so many, fewer where the column's distinct values are known."""

    def counted(self, specs: FeatureSpecs) -> Counted:
        """Return what the profile counts value by value; the plan reserves memory for it."""

    def profile(self, values: pa.ChunkedArray, specs: FeatureSpecs) -> ColumnProfile:
        """Profile the training rows of one chunk."""

    def fit(self, name: str, profile: ColumnProfile, specs: FeatureSpecs, categories: TopCategories) -> F | DroppedColumn:
        """Fit on the merged profile of all training rows, or say why the column makes no feature.

        `categories` are the most frequent training values, if the kind counts categories. Features are named without regard to
        other columns; the caller renames duplicates.
        """

    def transform(self, values: pa.ChunkedArray, fitted: F) -> FeatureBlock:
        """Return the features of one chunk, float32 of shape ``(n_features, n_rows)``."""

    def describe(self, fitted: F) -> Sequence[str]:
        """Return a sentence on each feature, for the schema of a published table."""

    def formulas(self, fitted: F, type_: pa.DataType) -> Sequence[Formula]:
        """Return how each feature follows from the values of a column of an Arrow type."""

    def baseline(self, profile: ColumnProfile, fitted: F, categories: TopCategories) -> Baseline:
        """Count the training rows by bin, from their merged profile."""

    def count(self, values: pa.ChunkedArray, fitted: F, baseline: Baseline) -> ColumnCounts:
        """Count the rows of one chunk by the bins of the baseline."""

    def figures(self, counts: ColumnCounts) -> dict[str, float]:
        """Return what counts say of their rows alone: ``rows``, ``null_share`` and, of numbers, ``min`` and ``max``."""

    def drift(self, baseline: Baseline, now: ColumnCounts) -> dict[str, float]:
        """Return the figures, and how far they have moved from the baseline; see `emberharmony.features.drift`."""

    def aggregates(self, value: str, sql_type: str, *, n_quantiles: int, n_top: int) -> Mapping[str, str]:
        """Return BigQuery's aggregates of a profile, by name.

        Parameters
        ----------
        value : str
            The column, quoted.
        sql_type : str
            Its type in BigQuery.
        n_quantiles, n_top : int
            Parts that quantiles cut the column into, and most frequent values to name.

        Returns
        -------
        mapping of str to str
            Always ``null``; of numbers ``nonfinite``, ``count``, ``mean``, ``variance``, ``min``, ``max`` and ``quantiles``;
            of categories ``top``.
        """

    def why_not_aggregated(self, type_: pa.DataType, specs: FeatureSpecs) -> str | None:
        """Return why BigQuery's aggregates do not suffice for a profile; ``None`` if they do."""


AnyKind = ColumnKind[Any]
