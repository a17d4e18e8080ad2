"""The section `expect` of a job: bounds on the number of rows, and on what the rows of each column hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from emberharmony.settings import Section

OnFailure = Literal["fail", "warn"]


@dataclass(frozen=True)
class ExpectedRows(Section):
    """How many rows the job is expected to have, those of all splits together."""

    min: int | None = None
    """Least number of rows."""
    max: int | None = None
    """Largest number of rows."""
    of_median: tuple[float, float] | None = None
    """Least and largest number as parts of the median of the last 14 slices, such as `[0.5, 2.0]`; needs three of them."""
    on_failure: OnFailure = "fail"
    """Whether a number out of bounds fails the job before it publishes, or only warns."""

    def __post_init__(self) -> None:
        """Refuse bounds that no number is between."""
        _check_order(self.min, self.max, "min", "max")
        if self.of_median is not None:
            _check_order(*self.of_median, "the first number of `of_median`", "the second")

    @property
    def has_bounds(self) -> bool:
        """Whether anything is expected."""
        return any(bound is not None for bound in (self.min, self.max, self.of_median))


@dataclass(frozen=True)
class ExpectedValues(Section):
    """What is expected of the values of every column that can have the number."""

    max_null_share: float | None = None
    """Largest share of missing values: nulls, NaN and infinities."""
    max_new_share: float | None = None
    """Largest share of categories that are not in the fitted vocabulary, above the share that was not in it in training."""
    max_psi: float | None = None
    """Largest population stability index against the training rows; 0.1 is commonly called a small shift, 0.25 a major one."""
    on_failure: OnFailure | None = None
    """Whether a number out of bounds fails the job before it publishes (`fail`, the default), or only warns (`warn`)."""

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1] and a negative index."""
        for name in ("max_null_share", "max_new_share"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, got {share:g}.")
        if self.max_psi is not None and self.max_psi < 0:
            raise ValueError(f"max_psi is at least 0, got {self.max_psi:g}.")

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by key."""
        found = {key.name: getattr(self, key.name) for key in fields(self) if key.name != "on_failure"}
        return {key: bound for key, bound in found.items() if bound is not None}


@dataclass(frozen=True)
class ExpectedColumn(ExpectedValues):
    """What is expected of the values of one column; what is not set here is as in `expect.all`."""

    min: float | None = None
    """Least value of a column of numbers."""
    max: float | None = None
    """Largest value of a column of numbers."""

    def __post_init__(self) -> None:
        """Refuse bounds that no number is between."""
        super().__post_init__()
        _check_order(self.min, self.max, "min", "max")


@dataclass(frozen=True)
class ExpectSpec(Section):
    """What has to be true of the rows of a job before it publishes them. Changing it does not make the result again.

    A share or an index fails only if it is also beyond what chance gives to as many rows without drift.
    """

    rows: ExpectedRows = field(default_factory=ExpectedRows)
    """The number of rows."""
    all: ExpectedValues = field(default_factory=ExpectedValues)
    """Bounds on every column that has the number."""
    columns: Mapping[str, ExpectedColumn] = field(default_factory=dict)
    """Bounds on single columns; their keys replace those of `all`."""

    @property
    def has_bounds(self) -> bool:
        """Whether anything is expected."""
        return self.rows.has_bounds or any(expected.bounds for expected in (self.all, *self.columns.values()))

    def of(self, column: str) -> ExpectedColumn:
        """Return what is expected of one column: its own keys, and those of `all` that it does not set.

        Examples
        --------
        >>> expect = ExpectSpec(all=ExpectedValues(max_psi=0.25), columns={"x": ExpectedColumn(max_psi=0.1, min=0)})
        >>> expect.of("x").bounds, expect.of("y").bounds
        ({'max_psi': 0.1, 'min': 0}, {'max_psi': 0.25})
        """
        own = self.columns.get(column, ExpectedColumn())
        shared: dict[str, Any] = {key.name: getattr(self.all, key.name) for key in fields(self.all)}
        return replace(own, **{key: value for key, value in shared.items() if getattr(own, key) is None})


def _check_order(low: float | None, high: float | None, first: str, second: str) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"{first} is {low:g} and {second} is {high:g}: nothing is between them.")
