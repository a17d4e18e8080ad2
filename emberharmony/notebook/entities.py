"""The entities of batches: which of their columns tell series apart, and where a series begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony.errors import DataError
from emberharmony.features.columns import can_be_entity
from emberharmony.messages import listed, shown
from emberharmony.notebook.frames import batches_of
from emberharmony.stats.entity_keys import entity_keys, value_changes
from emberharmony.typing import IntArray

NO_ENTITIES = pa.table({})


def parted(batch: Any, number: int, names: Sequence[str] | None, entity: Sequence[str]) -> tuple[Any, pa.Table]:
    """Return a frame without the columns of its entities, and those columns.

    Parameters
    ----------
    batch : frame
        A frame of pandas or polars, or an Arrow table; anything, if there are no entities.
    number : int
        Number of the batch, for messages.
    names : sequence of str, optional
        Names of its columns, if it has some.
    entity : sequence of str
        Columns that tell series apart.

    Raises
    ------
    DataError
        If the columns have no names, one of them is missing, or its values cannot be entities.
    """
    if not entity:
        return batch, NO_ENTITIES
    if names is None:
        raise DataError(
            f"Batch {number} is a {type(batch).__name__}, whose columns have no names, so {listed(entity)} (`entity`) is not "
            f"found. Give frames of pandas or polars, or Arrow tables."
        )
    missing = [name for name in entity if name not in names]
    if missing:
        raise DataError(f"Batch {number} does not have {listed(missing)} (`entity`). It has: {listed(names)}.")
    places = [names.index(name) for name in entity]
    rest = [i for i in range(len(names)) if i not in places]
    if hasattr(batch, "iloc"):
        features, chosen = batch.iloc[:, rest], batch.iloc[:, places].reset_index(drop=True)
    else:
        features, chosen = batch.select([names[i] for i in rest]), batch.select(list(entity))
    rows = next(batches_of(chosen, 2**62), None)
    if rows is None or not rows.num_rows:
        return features, NO_ENTITIES
    for name in entity:
        if not can_be_entity(rows.schema.field(name).type) and not pt.is_null(rows.schema.field(name).type):
            raise DataError(
                f"Batch {number} has the entity column {shown(name)} of type {rows.schema.field(name).type}. Texts, whole "
                f"numbers, dates and booleans can name an entity; convert the column."
            )
    return features, pa.table({name: _plain(rows[name]) for name in entity})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pt.is_dictionary(column.type) else column


class SeriesLog:
    """The series of batches, in order: adjacent rows of equal entities, or all rows.

    Parameters
    ----------
    is_one : bool
        Whether batches go on where the one before them ends; otherwise each begins a series.
    last : pyarrow.Table, optional
        The entity, a single row, of a series that the first batch may continue; without columns, it does.

    Examples
    --------
    >>> log = SeriesLog(is_one=True)
    >>> log.begins(pa.table({"id": ["a", "a", "b"]}), 3, 0).tolist(), log.begins(pa.table({"id": ["b", "c"]}), 2, 1).tolist()
    ([0, 2], [1])
    >>> log.entities.to_pydict()
    {'id': ['a', 'b', 'c']}
    """

    def __init__(self, *, is_one: bool, last: pa.Table | None = None) -> None:
        self._is_one = is_one
        self._found: list[pa.Table] = []  # an entity for each series
        self._seen: set[int] = set()  # keys of entities
        self.last = last
        """Entity of the last series."""

    @property
    def entities(self) -> pa.Table:
        """The entity of every series, in order."""
        return pa.concat_tables(self._found, promote_options="permissive") if self._found else NO_ENTITIES

    def begins(self, rows: pa.Table, n_rows: int, number: int) -> IntArray:
        """Return the places of the rows of a batch that begin a series.

        Parameters
        ----------
        rows : pyarrow.Table
            Entities of the rows, or no columns.
        n_rows, number : int
            Rows and number of the batch.

        Raises
        ------
        DataError
            If an entity comes back after another one, or its type differs from that of the batches before.
        """
        if not n_rows:
            return np.empty(0, np.int64)
        if not self._is_one:
            self.last, self._seen = None, set()
        # Tables without columns may differ in their number of rows.
        continues = self.last is not None and (not rows.num_columns or self.last.to_pylist() == rows.slice(0, 1).to_pylist())
        changes = np.zeros(n_rows, bool)
        changes[0] = not continues
        for column in rows.columns:
            changes[1:] |= value_changes(column)
        (places,) = np.nonzero(changes)
        if rows.num_columns:
            self._add(rows, places, number, continues=continues)
        self.last = rows.slice(n_rows - 1, 1)
        return places

    def _add(self, rows: pa.Table, places: IntArray, number: int, *, continues: bool) -> None:
        # An open series is the first one of the batches that continue it.
        begun = rows.take(np.concatenate([[0], places]) if continues and not self._found else places)
        try:
            pa.concat_tables([*(table.slice(0, 1) for table in self._found[:1]), begun], promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(f"Batch {number} has entities of another type than the batches before it: {error}") from error
        for place, key in enumerate(entity_keys(begun.columns).tolist() if begun.num_rows else []):
            if key in self._seen:
                again = ", ".join(f"{name} {value!r}" for name, value in begun.slice(place, 1).to_pylist()[0].items())
                raise DataError(
                    f"Batch {number}: the entity {again} comes back after another one. Sort the rows by "
                    f"{', '.join(rows.column_names)} and time, so that the rows of each series are adjacent."
                )
            self._seen.add(key)
        self._found.append(begun)
