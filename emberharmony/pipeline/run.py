"""A planned job in its staging folder: what every task of it shares."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from platform import node
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberharmony.backend import get_backend, select, using_backend
from emberharmony.errors import DamagedError, DataError, TransientError
from emberharmony.features.columns import ColumnRoles, DroppedColumn, FeatureColumn
from emberharmony.features.drift import Baseline
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.registry import open_source
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.store.local import FileRecord, Store
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.planning.chunks import Chunk
from emberharmony.splits import SPLITS, TimeBoundaries
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs
from emberharmony.threads import limit_worker_threads
from emberharmony.typing import IntArray

PLAN_VERSION = 1
APPLIED = ("apply",)
"""The one split of a job that applies what another has fitted."""
FIT, FIT_PCA = "fit", "fit-pca"
"""Stages of the whole job rather than of a chunk; their receipts are those of chunk 0."""


@dataclass(frozen=True)
class RunRef:
    """All that a task is told of its run: small enough to travel in every task run's parameters."""

    staging: str
    backend: str | None = None  # None: whatever the worker that takes the task selects
    token: str = ""  # told apart from an earlier run in the same place, which a worker may still remember
    threads: int | None = None  # compute threads of a worker process; None: the process that runs the job has set them
    parity: float = 0.0  # share of the chunks that are computed on NumPy as well
    workers: int | None = None  # chunks for which a process has memory at a time

    def workers_of(self, most: int) -> int:
        """As many of a process's workers as have memory for a chunk."""
        return min(most, self.workers or most)


@dataclass(frozen=True)
class Receipt:
    """What one stage of one chunk has written; its file is the mark that the stage is done."""

    stage: str
    chunk: int
    rows: Mapping[str, int]  # by split; windows by "stride/split"
    files: tuple[FileRecord, ...]
    backend: str
    seconds: float
    left_out: int = 0  # rows in no split
    host: str = ""  # that computed it
    parity: float | None = None  # largest difference to NumPy, where it was computed there as well
    explained: Mapping[str, ExplainedSquares] = field(default_factory=dict)  # by stride, of rows that a state is applied to
    clipped: Mapping[str, int] = field(default_factory=dict)  # values beyond float32, by column; scores, by stride
    runs: Mapping[str, Runs] = field(default_factory=dict)  # by split: rows of equal hash keys; "time": of equal time

    def find(self, name: str) -> FileRecord | None:
        """Return the record of the file of that name, if the stage has written one."""
        return next((file for file in self.files if file.name == name), None)

    @classmethod
    def from_json(cls, data: dict[str, Any], /) -> Self:
        """Return the receipt that was written as JSON."""
        explained = {stride: ExplainedSquares(**squares) for stride, squares in data.get("explained", {}).items()}
        files = tuple(FileRecord(**file) for file in data["files"])
        runs = {name: Runs(**found) for name, found in data.get("runs", {}).items()}
        return cls(**{**data, "files": files, "explained": explained, "runs": runs})


class Run:
    """A planned job: its spec, its chunks and what has been committed of it."""

    def __init__(self, staging: Path) -> None:
        self.store = Store(staging, within=staging.parent.parent)
        self._plan = self.store.read_json("plan.json")
        self.spec = PipelineSpec.from_json(self._plan["spec"])

    @cached_property
    def source(self) -> Source:
        """The table the job reads.

        Raises
        ------
        DataError
            If it is not the table that was planned.
        """
        source = open_source(self.spec.source)
        if self.spec.fingerprint(source.describe().identity) != self.fingerprint:
            raise DataError(
                f"The source was changed after the job was planned ({self.store.root.name}); nothing was published. Run "
                f"the same command again: it plans anew."
            )
        return source

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the result."""
        return str(self._plan["fingerprint"])

    @property
    def n_rows(self) -> int:
        """Rows that take part: all of the table's but those without a time."""
        return int(self._plan["n_rows"])

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the plan found out that a summary shows."""
        facts: Mapping[str, Any] = self._plan["facts"]
        return facts

    @cached_property
    def text_budget(self) -> TextBudget:
        """What texts of a chunk may take."""
        return TextBudget(**self._plan["texts"])

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's schema."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self._plan["schema"])))

    @cached_property
    def roles(self) -> ColumnRoles:
        """The role of every column."""
        roles = dict(self._plan["roles"])
        roles["features"] = tuple(FeatureColumn(**column) for column in roles["features"])
        roles["dropped"] = tuple(DroppedColumn(**column) for column in roles["dropped"])
        roles["passthrough"] = tuple(roles["passthrough"])
        return ColumnRoles(**roles)

    @cached_property
    def boundaries(self) -> TimeBoundaries | None:
        """Times at which a temporal split changes."""
        boundaries = self._plan["boundaries"]
        return TimeBoundaries(**boundaries) if boundaries else None

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks, in the job's order."""
        table = self.store.read_arrays("chunks.safetensors")
        first_rows, n_rows = (table[name].tolist() for name in ("first_row", "n_rows"))
        times, ties = (_ranges(table.get(name), len(n_rows)) for name in ("times", "ties"))
        return tuple(Chunk(i, *of) for i, of in enumerate(zip(first_rows, n_rows, times, ties, strict=True)))

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return APPLIED if self.spec.kind == "apply" else SPLITS

    @property
    def sink(self) -> Path:
        """Folder of the result, in which the run is staged."""
        return self.store.root.parent.parent

    @cached_property
    def split_rows(self) -> IntArray:
        """Rows of every chunk in every split, counted by the profile; shape ``(n_chunks, n_splits)``."""
        rows: IntArray = self.store.read_arrays(self.file(FIT, 0, "split-rows.safetensors"))["rows"]
        return rows

    @cached_property
    def series_starts(self) -> IntArray:
        """Number, in its split's series, of every chunk's first row; one line more than chunks: the totals."""
        return np.concatenate([np.zeros((1, len(self.splits)), np.int64), np.cumsum(self.split_rows, axis=0)])

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The fitted preprocessing."""
        return Preprocessing.from_json(self.store.read_json(self.file(FIT, 0, "state/preprocessing.json")))

    @cached_property
    def pcas(self) -> dict[int, WindowPCA]:
        """The fitted PCA of every stride."""
        strides = self.spec.windows.strides
        file = self.file(FIT if self.spec.kind == "apply" else FIT_PCA, 0, "state/pca.safetensors")
        return {s: WindowPCA.from_arrays(self.store.read_arrays(file, prefix=f"{s}/")) for s in strides}

    @cached_property
    def baselines(self) -> dict[str, Baseline]:
        """The training rows' counts of every fitted column."""
        fitted = self.store.read_json(self.file(FIT, 0, "state/baseline.json"))
        return {name: Baseline.from_json(data) for name, data in fitted.items()}

    def commit(self, receipt: Receipt) -> None:
        """Mark a stage of a chunk as done, unless somebody was quicker: what others have begun to build on stays."""
        self.store.sync_folders(receipt.files)
        self.store.write_json(_receipt_name(receipt.stage, receipt.chunk), asdict(receipt), once=True)

    def committed(self, stage: str, chunk: int) -> Receipt | None:
        """Return the receipt of a stage of a chunk, if it is done."""
        name = _receipt_name(stage, chunk)
        if self.store.exists(name):
            return Receipt.from_json(self.store.read_json(name))
        self.store.check_there()
        return None

    def file(self, stage: str, chunk: int, name: str) -> FileRecord:
        """Return the record of a file that a stage of a chunk has written.

        Raises
        ------
        DamagedError
            If the stage is not done, or has written no such file.
        """
        receipt = self.committed(stage, chunk)
        record = receipt.find(name) if receipt else None
        if record is None:
            raise DamagedError(f"{name} is needed, and there is no receipt of {stage} of chunk {chunk} that names it.", name)
        return record

    def check(self, receipt: Receipt) -> None:
        """Raise unless a receipt's files are what it says.

        Raises
        ------
        DamagedError
            If one is missing or was changed; what it belongs to has to be done again.
        """
        for file in receipt.files:
            self.store.check(file)

    def receipts(self, stage: str) -> Iterator[Receipt]:
        """Receipts of all chunks, in order; the stage has to be complete."""
        for chunk in self.chunks:
            yield Receipt.from_json(self.store.read_json(_receipt_name(stage, chunk.index)))

    def has_receipts(self, stage: str) -> bool:
        """Whether any chunk's receipt of a stage is there."""
        return self.store.exists(f"receipts/{stage}")

    def missing(self, stage: str) -> list[Chunk]:
        """Chunks of which a stage is not done."""
        self.store.check_there()
        folder = self.store.path(f"receipts/{stage}")
        done = {path.stem for path in folder.iterdir() if path.suffix == ".json"} if folder.exists() else set()
        return [chunk for chunk in self.chunks if f"{chunk.index:05}" not in done]


@lru_cache(maxsize=4)
def _opened(staging: str, token: str) -> Run:
    return Run(Path(staging))


def open_run(ref: RunRef) -> Run:
    """Return the run that a reference means; opened once in every process."""
    return _opened(ref.staging, ref.token)


def forget_runs() -> None:
    """Forget opened runs, after a staging folder was made anew."""
    _opened.cache_clear()


@contextmanager
def at_the_door(ref: RunRef) -> Iterator[tuple[Run, str]]:
    """Open the run on the backend that its worker selects: once, where a task begins.

    Yields
    ------
    (Run, str)
        The run, and the backend and device that computes, for the receipt.

    Raises
    ------
    TransientError
        If the memory of that device is used up, which passes when other chunks on it are done.
    """
    if ref.threads is not None:
        limit_worker_threads(ref.threads)
    with using_backend(ref.backend or get_backend()):
        backend = select()
        place = f"{backend.name}:{backend.device}"
        try:
            yield open_run(ref), place
        except backend.xp.MEMORY_ERRORS as error:
            what = ". ".join(str(error).split(". ")[:2])  # torch goes on about its allocator
            raise TransientError(
                f"Memory is used up, where {place} computes on host {node()}: {what}. Fewer chunks at a time need less: lower "
                f"runtime.workers, or runtime.chunk_rows if it is one already."
            ) from error


def _ranges(table: IntArray | None, n: int) -> list[tuple[int, int] | None]:
    """A range for each of `n` chunks; those that have none are empty."""
    return [None] * n if table is None else [(start, stop) if start < stop else None for start, stop in table.tolist()]


def _receipt_name(stage: str, chunk: int) -> str:
    return f"receipts/{stage}/{chunk:05}.json"
