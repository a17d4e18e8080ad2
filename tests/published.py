"""A published result, written by hand: feature parts of any layout, and their manifest; and what a loader reads of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from emberharmony import WindowLoader
from emberharmony.io.manifest import Manifest, WindowCounts
from emberharmony.io.store.base import FileRecord
from emberharmony.loader import WindowBatch

FEATURES = ["a", "b.c", "d"]
COLUMNS = {"time": "t", "target": "y"}


def publish(
    folder: Path,
    splits: Mapping[str, pa.Table],
    *,
    features: Sequence[str],
    columns: Mapping[str, Any] | None = None,
    windows: Mapping[str, Any] | None = None,
    part_rows: int = 1_000,
    group_rows: int = 1_000,
    kind: str = "extract",
    fingerprint: str = "made-by-hand",
) -> Path:
    """Write rows in job order as a result; `columns` and `windows` are those sections of the job."""
    windows = {"size": 3, "strides": [1, 2], **(windows or {})}
    columns = {"time": None, "target": None, **(columns or {})}
    records = list[FileRecord]()
    for split, table in splits.items():
        for i, (begin, end) in enumerate(pairwise([*range(0, table.num_rows, part_rows), table.num_rows])):
            name = f"features/split={split}/part-{i:05}.parquet"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            floats = [field.name for field in table.schema if field.type != pa.float32()]
            pq.write_table(table.slice(begin, end - begin), folder / name, row_group_size=group_rows, write_statistics=floats)
            content = (folder / name).read_bytes()
            records.append(FileRecord(name, len(content), hashlib.sha256(content).hexdigest()))
    counts = WindowCounts(windows=dict.fromkeys(splits, 0), components=0, explained_variance_ratio=())
    schemas = [{field.name: str(field.type) for field in table.schema} for table in splits.values()]
    manifest = Manifest(
        fingerprint=fingerprint,
        created="2026-11-28T00:00:00+00:00",
        versions={},
        spec={"columns": columns, "windows": windows, "kind": kind},
        source_rows=sum(table.num_rows for table in splits.values()),
        null_times=0,
        left_out=0,
        rows={split: table.num_rows for split, table in splits.items()},
        features=tuple(features),
        features_by_kind={},
        dropped={},
        schema=schemas[0],
        strides={str(stride): counts for stride in windows["strides"]},
        backends={},
        files=tuple(records),
    )
    (folder / "manifest.json").write_text(json.dumps(manifest.to_json()))
    return folder


def rows(n_rows: int, *, label: pa.Array | None = None) -> pa.Table:
    """Rows of which every value tells where it belongs."""
    number = np.arange(n_rows)
    features = {name: (number + i / 4).astype(np.float32) for i, name in enumerate(FEATURES)}
    return pa.table(
        {
            "row_number": number * 7 % 1_000_003,
            "t": pa.array(number, pa.timestamp("ms")),
            "y": label if label is not None else number * 0.5,
            **features,
        }
    )


def read_all(batches: Iterable[WindowBatch]) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Features, labels and keys of all batches."""
    features, labels, keys = zip(*batches, strict=True)
    return np.concatenate(features), np.concatenate(labels), pa.concat_tables(keys).to_pandas()


def first_rows(batches: Iterable[WindowBatch]) -> list[int]:
    return [number for _, _, keys in batches for number in keys["first_row"].to_pylist()]


def loader(result: Path, **settings: Any) -> WindowLoader:
    return WindowLoader(result, **{"split": "train", "stride": 1, "batch_size": 8, "buffer_rows": 20} | settings)
