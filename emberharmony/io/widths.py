"""How wide values are in memory, where a Parquet footer only tells what they take in a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_SAMPLE_ROWS = 1024


def decoded_widths(path: Path, metadata: pq.FileMetaData, group: int, columns: Sequence[str]) -> dict[str, float]:
    """Bytes per row of the first rows of a row group, column by column: never more than one is decoded."""
    widths = {}
    with path.open("rb") as handle:
        parquet = pq.ParquetFile(handle, metadata=metadata, pre_buffer=False)
        for name in columns:
            rows = next(parquet.iter_batches(_SAMPLE_ROWS, [group], [name], use_threads=False))
            widths[name] = rows.nbytes / rows.num_rows
    return widths


def is_text(type_: pa.DataType) -> bool:
    """Whether values are strings, of any length."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def fixed_width(type_: pa.DataType) -> float:
    """Bytes of a value, or, of strings and nested values, of offsets and a short text."""
    try:
        return float(type_.bit_width) / 8
    except ValueError:
        return 16.0
