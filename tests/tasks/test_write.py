"""The task that writes a part keeps it under the hash of its content."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony.io.parts import Encoding
from emberharmony.io.store.local import LocalStore
from tasks.write import write_rows

TABLE = pa.table({"row_number": pa.array([3, 1], pa.int64()), "x": pa.array([0.5, 1.5], pa.float32())})


def test_a_part_is_kept(tmp_path):
    store = LocalStore(tmp_path)
    record = write_rows.fn(store, "features/split=train/part-00000.parquet", TABLE, Encoding())
    content = store.path(record).read_bytes()
    assert (record.n_bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert pq.read_table(store.path(record), partitioning=None).equals(TABLE)
    assert write_rows.fn(store, "features/split=train/part-00000.parquet", TABLE, Encoding()) == record
