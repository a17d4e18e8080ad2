"""Read a chunk's rows."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from prefect import task

from emberharmony.io.sources.base import Source
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.pipeline.chunk_stages import read_chunk
from emberharmony.planning.chunks import Chunk
from tasks.options import step


@task(**step("chunk-read"))
def chunk_read(source: Source, chunk: Chunk, columns: Sequence[str], order: str | None, texts: TextBudget) -> pa.Table:
    """Read a chunk's rows in the job's order."""
    return read_chunk(source, chunk, columns, order, texts)
