"""Frames checked against a fitted state."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from emberharmony.errors import DataError
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.table_types import type_differences
from emberharmony.messages import listed, shown
from emberharmony.nested import flat_table


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


def flat_rows(rows: pa.Table) -> pa.Table:
    """Return the rows of a frame with structs and fixed-size lists as columns, as a source reads them.

    Raises
    ------
    DataError
        If two columns get the same name.
    """
    try:
        return flat_table(rows)
    except ValueError as error:
        raise DataError(f"{error}.") from error


def needed_columns(state: Preprocessing, names: Sequence[str]) -> list[str]:
    """Return those columns of a frame that a state's columns are, or are nested in."""
    fitted = [column.name for column in state.columns]
    inner = [name for name in fitted if name not in names]
    return [name for name in names if name in fitted or any(column.startswith(f"{name}_") for column in inner)]


def rows_for(rows: pa.Table, state: Preprocessing) -> pa.Table:
    """Return the columns that a state was fitted on, nested ones flat.

    Raises
    ------
    DataError
        If columns are missing or have other types; the message names all of them.
    """
    rows = flat_rows(rows)
    missing = [column.name for column in state.columns if column.name not in rows.column_names]
    if missing:
        raise DataError(f"The frame lacks {listed(missing)}, which the features are made of.")
    rows = rows.select([column.name for column in state.columns])
    if state.schema is None:
        return rows
    wrong = type_differences(state.schema, rows.schema)
    if wrong:
        raise DataError(
            f"The types differ from those that the state was fitted on: {listed(wrong, by='; ')}. Convert these columns to "
            f"their fitted types, or fit a new state."
        )
    return rows
