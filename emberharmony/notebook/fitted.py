"""Rows of a frame as a fitted state takes them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.errors import DataError
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.table_types import type_differences
from emberharmony.messages import listed, shown


def fitted_state(state: Preprocessing | None) -> Preprocessing:
    """Return a state that is there, or say how to get one."""
    if state is None:
        from sklearn.exceptions import NotFittedError

        raise NotFittedError("Nothing is fitted yet; call prepare_data first, or give the state that it returned.")
    if not isinstance(state, Preprocessing):
        raise TypeError(f"state is what prepare_data returned as PreparedData.state, got {shown(state)}.")
    return state


def rows_for(rows: pa.Table, state: Preprocessing) -> pa.Table:
    """Return the columns that a state was fitted on, with values of the types that it was fitted on.

    Whole numbers that pandas made floats of, because some are missing, are whole numbers again.

    Raises
    ------
    DataError
        If columns are missing, or hold values of other types; the message names all of them.
    """
    missing = [column.name for column in state.columns if column.name not in rows.column_names]
    if missing:
        raise DataError(f"The frame lacks {listed(missing)}, which features are made of.")
    rows = rows.select([column.name for column in state.columns])
    if state.schema is None:
        return rows
    rows = _whole_again(rows, state.schema)
    wrong = type_differences(state.schema, rows.schema)
    if wrong:
        raise DataError(
            f"The frame is not like the one that the state was fitted on: {listed(wrong, by='; ')}. Bring these columns back "
            f"to their types, or fit a new state on frames like this one."
        )
    return rows


def _whole_again(rows: pa.Table, fitted: pa.Schema) -> pa.Table:
    for i, field in enumerate(rows.schema):
        if pt.is_integer(fitted.field(field.name).type) and pt.is_floating(field.type):
            column = rows.column(i)
            filled = pc.if_else(pc.is_nan(column), None, column)
            try:
                rows = rows.set_column(i, field.name, filled.cast(pa.int64()))
            except pa.ArrowInvalid:  # some are not whole: another type
                continue
    return rows
