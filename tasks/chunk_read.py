"""Read a chunk's rows in the job's order."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from prefect import task

from emberharmony.pipeline.chunk import read_chunk
from emberharmony.pipeline.run import Run
from emberharmony.planning.chunks import Chunk
from tasks.options import STEP


@task(name="chunk-read", **STEP)
def chunk_read(run: Run, chunk: Chunk, columns: Sequence[str]) -> pa.Table:
    """Read a chunk's rows in the job's order."""
    return read_chunk(run, chunk, columns)
