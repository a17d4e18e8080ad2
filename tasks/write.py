"""Write one part of a published table."""

from __future__ import annotations

import pyarrow as pa
from prefect import task

from emberharmony.io.parts import Encoding, write_part
from emberharmony.io.store.base import FileRecord, Store
from tasks.options import step


@task(**step("write", lambda given: given["name"].rpartition("/")[0].replace("/", "-").replace("=", "-")))
def write_rows(store: Store, name: str, table: pa.Table, encoding: Encoding) -> FileRecord:
    """Write one part of a published table."""
    return write_part(store, name, table, encoding)
