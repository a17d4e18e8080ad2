"""Sorts rows into one order, whatever order the streams delivered them in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberharmony.features.kinds.registry import kind_of


def sort_rows(table: pa.Table, /, *, by: str, ties: Sequence[str] | None = None) -> pa.Table:
    """Return the rows sorted by column `by`, and equal values of it by the columns `ties` in their order.

    By default, `ties` are all other columns in the order of their names. The result does not depend on chunks, on streams or
    on other columns. Rows that are equal in all of these columns may come in any order. Nulls come last. Costs one sort by
    `by`, and one of the tied rows.

    Examples
    --------
    >>> table = pa.table({"t": [2, 1, 1], "x": ["a", "c", "b"]})
    >>> sort_rows(table, by="t").to_pydict()
    {'t': [1, 1, 2], 'x': ['b', 'c', 'a']}
    """
    if table.num_rows < 2:
        return table
    if ties is None:
        ties = sorted(name for name in table.column_names if name != by)
    keys = table[by].combine_chunks()
    order = np.array(pc.array_sort_indices(keys))
    tied = _tied(keys.take(pa.array(order)))
    if tied.any():
        places = np.flatnonzero(tied)
        order[places] = order[places][_order_of_ties(table.select([by, *ties]).take(pa.array(order[places])))]
    return table.take(pa.array(order))


def sortable(schema: pa.Schema) -> list[str]:
    """Return the columns that can order rows of the same time."""
    return [field.name for field in schema if kind_of(field.type) is not None]


def _order_of_ties(ties: pa.Table) -> np.typing.NDArray[np.uint64]:
    keys = _sort_keys(ties)
    found = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    order: np.typing.NDArray[np.uint64] = np.asarray(found)
    return order


def _tied(keys: pa.Array) -> np.typing.NDArray[np.bool_]:
    """Mask of the sorted keys that have an equal neighbour."""
    same = pc.equal(keys[1:], keys[:-1])
    both_null = pc.and_(pc.is_null(keys[1:]), pc.is_null(keys[:-1]))
    equal = np.asarray(pc.or_(pc.fill_null(same, False), both_null).to_numpy(zero_copy_only=False), bool)
    tied = np.zeros(len(keys), bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    return tied


def _sort_keys(table: pa.Table) -> pa.Table:
    """Return the columns that Arrow can sort by: fields of structs, values of dictionaries, no lists."""
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    keys = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_nested(column.type) or pa.types.is_null(column.type)):
            keys.append(column)
    return pa.table(keys, names=[str(number) for number in range(len(keys))])
