"""What every source returns for a chunk without rows."""

from __future__ import annotations

import pyarrow as pa

from emberharmony.io.sources.base import RowOrder, no_rows

SCHEMA = pa.schema([("a", pa.string()), ("b", pa.timestamp("us", "UTC")), ("c", pa.int8())])


def test_no_rows_have_all_columns():
    rows = no_rows(SCHEMA, ["c", "b"])
    assert rows.num_rows == 0
    assert rows.schema == pa.schema([("row_number", pa.int64()), ("c", pa.int8()), ("b", pa.timestamp("us", "UTC"))])
    assert pa.concat_tables([rows, rows]).num_rows == 0


def test_an_order_is_of_one_column_unless_it_says_more():
    order = RowOrder("t")
    assert (order.resolution, order.partitions, order.then) == (1, None, None)
