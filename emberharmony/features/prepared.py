"""What the notebook's extractor returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from emberharmony.features.preprocessing import Preprocessing

if TYPE_CHECKING:
    import pandas as pd


class ColumnTypes(NamedTuple):
    """Names of a table's columns by what is made of them."""

    numeric: list[str]
    datetime: list[str]
    categorical: list[str]
    struct: list[str]
    boolean: list[str]
    unsupported: list[str]  # arrays, bytes, …: dropped


class SplitFrames(NamedTuple):
    """A frame's rows, divided."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


@dataclass(frozen=True)
class PreparedData:
    """A table, ready for a model.

    The frames hold the features, as float32, and then the target as it came. Their index is the index column's values, or the
    row's number in the table. Of a bigframes DataFrame they are bigframes DataFrames of its session, with floats of 64 bits.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    feature_names: tuple[str, ...]
    state: Preprocessing  # fitted on the training rows

    @property
    def dropped(self) -> dict[str, str]:
        """Columns that no feature is made of, and why."""
        return {column.name: column.reason for column in self.state.dropped}
