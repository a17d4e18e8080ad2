"""Decide each row's split."""

from __future__ import annotations

import pyarrow as pa
from prefect import task

from emberharmony.pipeline.chunk_stages import split_codes
from emberharmony.planning.chunks import Chunk
from emberharmony.splits import SplitCodes
from emberharmony.steps.split import RowSplit
from tasks.options import step


@task(**step("split"))
def split_rows(split: RowSplit, chunk: Chunk, rows: pa.Table) -> SplitCodes:
    """Decide each row's split."""
    return split_codes(split, chunk, rows)
