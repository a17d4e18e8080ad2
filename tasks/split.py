"""Decide each row's split."""

from __future__ import annotations

import pyarrow as pa
from prefect import task

from emberharmony.pipeline.chunk import split
from emberharmony.pipeline.run import Run
from emberharmony.planning.chunks import Chunk
from emberharmony.splits import SplitCodes
from tasks.options import STEP


@task(name="split", **STEP)
def split_rows(run: Run, chunk: Chunk, rows: pa.Table) -> SplitCodes:
    """Decide each row's split."""
    return split(run, chunk, rows)
