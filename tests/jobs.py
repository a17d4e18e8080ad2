"""Small tables, whole jobs over them, and their results, read back without the library."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.execute import RunResult, run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine

SPLITS = ("train", "validation", "test")
YEAR_2024 = 1_704_067_200  # 2024-01-01T00:00 in seconds


def small_table(n_rows: int, *, seed: int = 0, order: str = "shuffled", step_s: int = 1800, nulls: bool = True) -> pa.Table:
    """A table of every kind of column.

    `order` is that of the times: "sorted", "shuffled", "blocks" (ordered pieces, wrongly put together) or "ties" (few distinct
    times, shuffled).
    """
    rng = np.random.default_rng(seed)
    seconds = YEAR_2024 + np.arange(n_rows) * step_s
    if order == "ties":
        seconds = YEAR_2024 + np.arange(n_rows) // 3 * step_s
    if order in ("shuffled", "ties"):
        rng.shuffle(seconds)
    if order == "blocks":
        pieces = np.array_split(seconds, 5)
        seconds = np.concatenate([pieces[i] for i in (2, 0, 4, 1, 3)])
    missing = rng.random(n_rows) < 0.1 if nulls else np.zeros(n_rows, bool)
    walk = np.cumsum(rng.normal(size=n_rows)) + 1e6
    walk[missing] = np.nan
    other = np.datetime64("1969-12-20") + rng.integers(0, 30 * 24, n_rows).astype("timedelta64[h]")
    return pa.table(
        {
            "t": pa.array(seconds * 1_000_000, pa.timestamp("us", tz="UTC")),
            "walk": pa.array(walk, from_pandas=True),
            "count": pa.array(rng.poisson(3.0, n_rows), pa.int32(), mask=rng.random(n_rows) < 0.05 if nulls else None),
            "flag": pa.array(rng.random(n_rows) < 0.3, mask=rng.random(n_rows) < 0.1 if nulls else None),
            "color": pa.array(rng.choice(["red", "dark red", "dark-red", "blue", ""], n_rows, p=[0.4, 0.2, 0.2, 0.15, 0.05])),
            "other": pa.array(other.astype("datetime64[ms]"), mask=rng.random(n_rows) < 0.1 if nulls else None),
            "y": pa.array(rng.normal(size=n_rows)),
            "name": pa.array([f"row {i}" for i in range(n_rows)]),
        }
    )


def with_blocks(table: pa.Table, n_rows: int, *, by_time: bool = True) -> pa.Table:
    """Add a text column `block` that is equal in every `n_rows` consecutive rows, ordered by time or as in the table."""
    rank = np.arange(table.num_rows)
    if by_time:
        rank[np.argsort(table["t"].cast(pa.int64()).to_numpy(), kind="stable")] = np.arange(table.num_rows)
    return table.append_column("block", pa.array([f"block {i}" for i in rank // n_rows]))


def write_table(table: pa.Table, path: Path, *, group_rows: int | None = None, files: int = 1) -> Path:
    """Write a table as one Parquet file, or a folder of several."""
    group_rows = group_rows or max(table.num_rows, 1)
    if files == 1:
        pq.write_table(table, path, row_group_size=group_rows)
        return path
    path.mkdir()
    ends = np.linspace(0, table.num_rows, files + 1).astype(int)
    for i, (begin, end) in enumerate(pairwise(ends)):
        pq.write_table(table.slice(begin, end - begin), path / f"{i:03}.parquet", row_group_size=group_rows)
    return path


def write_job(folder: Path, table: pa.Table, *, group_rows: int | None = None) -> Path:
    """Write a small table, and the file of a job that reads it."""
    job = {
        "source": {"path": str(write_table(table, folder / "table.parquet", group_rows=group_rows))},
        "sink": {"path": str(folder / "out")},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return folder / "job.yaml"


def parquet_source(path: Path | str, **spec: Any) -> ParquetSource:
    """The table at a path, or of a pattern, as a job reads it."""
    return ParquetSource(ParquetSourceSpec(str(path), **spec))


@dataclass(frozen=True)
class Published:
    """A published result as a reader finds it."""

    outcome: RunResult
    manifest: dict[str, Any]
    features: dict[str, pa.Table]  # by split, parts one after the other
    windows: dict[int, dict[str, pa.Table]]  # by stride and split

    @property
    def feature_names(self) -> list[str]:
        return self.manifest["features"]

    def block(self, split: str) -> np.ndarray:
        """Feature values of shape (n_rows, n_features)."""
        table = self.features[split]
        return np.stack([table[name].to_numpy() for name in self.feature_names], axis=1)


def run_small(source: Path, sink: Path, /, *, engine: LocalEngine | None = None, **job: Any) -> Published:
    """Run a job from scratch and read its result."""
    if sink.exists():
        shutil.rmtree(sink)
    return read_published(sink, run_at(str(source), str(sink), engine=engine, **job))


def run_at(source: str, sink: str, /, *, engine: LocalEngine | None = None, **job: Any) -> RunResult:
    """Run a job whose source and sink are on this disk or in a bucket."""
    runtime = {"workers": 1, "backend": "numpy", "engine": "local"} | job.pop("runtime", {})
    whole = parse_job({"source": {"path": source}, "sink": {"path": sink}, "runtime": runtime, "columns": {"time": "t"}} | job)
    return run_job(whole, engine or LocalEngine(whole.workers))


def read_published(sink: Path, outcome: RunResult) -> Published:
    """Read every part below `sink`, sorted by name."""
    manifest = json.loads((sink / "manifest.json").read_text())
    features = {split: _parts(sink / f"features/split={split}") for split in SPLITS}
    strides = [int(stride) for stride in manifest["strides"]]
    windows = {s: {split: _parts(sink / f"windows/stride={s}/split={split}") for split in SPLITS} for s in strides}
    return Published(outcome, manifest, features, windows)


def _parts(folder: Path) -> pa.Table:
    paths = sorted(folder.glob("*.parquet"))
    parts = [pq.ParquetFile(path, pre_buffer=False).read(use_threads=False) for path in paths]  # many and tiny
    return pa.concat_tables(parts) if parts else pa.table({"row_number": pa.array([], pa.int64())})


def assert_published_alike(actual: Published, expected: Published, *, atol: float = 1e-6, rtol: float = 1e-6) -> None:
    """Assert equal names, rows, splits and windows, and values within the tolerance."""
    assert actual.feature_names == expected.feature_names
    assert actual.manifest["rows"] == expected.manifest["rows"]
    assert actual.manifest["dropped"] == expected.manifest["dropped"]
    assert actual.manifest["left_out"] == expected.manifest["left_out"]
    for split in SPLITS:
        _assert_tables_alike(actual.features[split], expected.features[split], atol, rtol, f"features of {split}")
        for stride, windows in expected.windows.items():
            where = f"windows of {split} at stride {stride}"
            _assert_tables_alike(actual.windows[stride][split], windows[split], atol, rtol, where)
    for stride, counts in expected.manifest["strides"].items():
        assert actual.manifest["strides"][stride]["windows"] == counts["windows"]
        ratios = (m.manifest["strides"][stride]["explained_variance_ratio"] for m in (actual, expected))
        np.testing.assert_allclose(*ratios, atol=atol)


def _assert_tables_alike(actual: pa.Table, expected: pa.Table, atol: float, rtol: float, where: str) -> None:
    assert actual.num_rows == expected.num_rows, where
    if not expected.num_rows:
        return
    assert actual.schema == expected.schema, where
    floats = [name for name in expected.column_names if pa.types.is_float32(expected[name].type)]
    for name in expected.column_names:
        if name not in floats:
            assert actual[name].combine_chunks().equals(expected[name].combine_chunks()), f"{name}, {where}"
    if not floats:
        return
    a, b = (np.stack([table[name].to_numpy() for name in floats]) for table in (actual, expected))
    if not np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True):  # all at once: one by one takes ten times as long
        for name, values, wanted in zip(floats, a, b, strict=True):
            np.testing.assert_allclose(values, wanted, rtol=rtol, atol=atol, err_msg=f"{name}, {where}")
        raise AssertionError(where)
