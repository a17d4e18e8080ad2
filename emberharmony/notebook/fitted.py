"""Frames checked against a fitted state."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.errors import DataError
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.table_types import type_differences
from emberharmony.messages import listed, shown


def fitted_state(state: Preprocessing | None) -> Preprocessing:
    """Return the state.

    Raises
    ------
    NotFittedError
        If there is none yet.
    TypeError
        If it is something else.
    """
    if state is None:
        from sklearn.exceptions import NotFittedError

        raise NotFittedError("Nothing is fitted yet. Call prepare_data first, or pass the state that it returned.")
    if not isinstance(state, Preprocessing):
        raise TypeError(f"state is what prepare_data returned as PreparedData.state, got {shown(state)}.")
    return state


def rows_for(rows: pa.Table, state: Preprocessing) -> pa.Table:
    """Return the columns that a state was fitted on, in their fitted types.

    pandas turns whole numbers into floats if some are missing; they become whole numbers again.

    Raises
    ------
    DataError
        If columns are missing or have other types; the message names all of them.
    """
    missing = [column.name for column in state.columns if column.name not in rows.column_names]
    if missing:
        raise DataError(f"The frame lacks {listed(missing)}, which the features are made of.")
    rows = rows.select([column.name for column in state.columns])
    if state.schema is None:
        return rows
    rows = _with_whole_numbers(rows, state.schema)
    wrong = type_differences(state.schema, rows.schema)
    if wrong:
        raise DataError(
            f"The types differ from those that the state was fitted on: {listed(wrong, by='; ')}. Convert these columns to "
            f"their fitted types, or fit a new state."
        )
    return rows


def _with_whole_numbers(rows: pa.Table, fitted: pa.Schema) -> pa.Table:
    for i, field in enumerate(rows.schema):
        if pt.is_integer(fitted.field(field.name).type) and pt.is_floating(field.type):
            column = rows.column(i)
            filled = pc.if_else(pc.is_nan(column), None, column)
            try:
                rows = rows.set_column(i, field.name, filled.cast(pa.int64()))
            except pa.ArrowInvalid:  # some are not whole, so the type differs
                continue
    return rows
