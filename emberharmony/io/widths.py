"""How wide values are in memory: by their type, or, of strings, by a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHORT_TEXT_BYTES = 16.0
"""What a string takes at the least: offsets and a few letters."""

_SAMPLE_ROWS = 1024
_GROWTH = 1.5
"""What decoding a column of strings takes of its size: a buffer that doubles leaves behind the half that it has outgrown."""


def decoded_widths(path: Path, metadata: pq.FileMetaData, group: int, columns: Sequence[str]) -> dict[str, float]:
    """Bytes per row that decoding strings takes, by the first rows of a row group: never more than one column is decoded."""
    widths = {}
    with path.open("rb") as handle:
        parquet = pq.ParquetFile(handle, metadata=metadata, pre_buffer=False)
        for name in columns:
            rows = next(parquet.iter_batches(_SAMPLE_ROWS, [group], [name], use_threads=False))
            widths[name] = _GROWTH * rows.nbytes / rows.num_rows
    return widths


def fixed_width(type_: pa.DataType) -> float | None:
    """Bytes of a value; ``None`` of strings and nested values."""
    if pa.types.is_dictionary(type_):
        values = fixed_width(type_.value_type)
        return None if values is None else values + float(type_.index_type.bit_width) / 8
    try:
        return float(type_.bit_width) / 8
    except ValueError:
        return None
