"""Results of the notebook's extractor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from emberharmony.features.columns import kind_of_column
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.nested import struct_names

if TYPE_CHECKING:
    import pandas as pd


class ColumnTypes(NamedTuple):
    """Names of a table's columns, by the kind of feature that is made of them."""

    numeric: list[str]
    datetime: list[str]
    categorical: list[str]
    struct: list[str]  # their fields are columns, too
    boolean: list[str]
    unsupported: list[str]  # arrays, bytes, …: dropped


def column_types(schema: pa.Schema) -> ColumnTypes:
    """Return the names of a flat table's columns by kind, and those of the structs that they come from."""
    types = ColumnTypes([], [], [], struct_names(schema), [], [])
    for field in schema:
        getattr(types, kind_of_column(field) or "unsupported").append(field.name)
    return types


@dataclass(frozen=True)
class PreparedData:
    """A table, ready for a model.

    The frames hold the features as float32, then the columns of `entity`, then the target, both as they came. Their index
    holds the values of the index column, or the row numbers of the table. If the table was a bigframes DataFrame, they are
    bigframes DataFrames of the same session, with floats of 64 bits.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    feature_names: tuple[str, ...]
    state: Preprocessing  # fitted on the training rows
    entity: tuple[str, ...] = ()
    """Columns that tell the series of the table apart."""

    def with_index_name(self, name: str | None) -> PreparedData:
        """Return the same data, with another name for the index of the frames."""
        train, validation, test = (frame.rename_axis(name) for frame in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)

    @property
    def dropped(self) -> dict[str, str]:
        """Columns without a feature, and the reason for each."""
        return {column.name: column.reason for column in self.state.dropped}
