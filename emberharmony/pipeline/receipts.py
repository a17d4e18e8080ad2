"""Receipts: the marks in a run's store that say which stages of which chunks are done, and what they wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

from emberharmony.errors import DamagedError
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.planning.chunks import Chunk
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.threads import in_parallel

_FOLDER = "receipts"
_RECEIPT = re.compile(r"[0-9]{5,}\.json")


@dataclass(frozen=True)
class Receipt:
    """What one stage of one chunk has written; the stage is done when this is in the store."""

    stage: str
    chunk: int
    rows: Mapping[str, int]  # by split; windows by "stride/split"
    files: tuple[FileRecord, ...]
    backend: str
    seconds: float
    left_out: int = 0  # rows in no split
    host: str = ""  # that computed it
    memory_bytes: int = 0  # that the process which computed it held at its end
    parity: float | None = None  # largest difference to NumPy, if it was computed there as well
    explained: Mapping[str, ExplainedSquares] = field(default_factory=dict)  # by stride, of rows that a state is applied to
    clipped: Mapping[str, int] = field(default_factory=dict)  # values beyond float32, by column; scores, by stride
    runs: Mapping[str, Runs] = field(default_factory=dict)  # by split: rows of equal hash keys; "time": of equal time
    series: Mapping[str, SeriesSpan] = field(default_factory=dict)  # by split, in a job of many series
    context: int = 0  # rows from before the slice, which are among `rows`
    short_contexts: int = 0  # series with fewer such rows than a window needs

    def find(self, name: str) -> FileRecord | None:
        """Return the record of the file of that name, if the stage has written one."""
        return next((file for file in self.files if file.name == name), None)

    def record(self, name: str) -> FileRecord:
        """Return the record of the file of that name.

        Raises
        ------
        DamagedError
            If the stage has written no such file.
        """
        found = self.find(name)
        if found is None:
            raise DamagedError(f"{name} is needed, and the receipt of {self.stage} of chunk {self.chunk} names no such file.")
        return found

    def to_json(self) -> bytes:
        """Return the receipt as JSON, without indentation: there is one for each stage of each chunk."""
        return json.dumps(vars(self), default=vars, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: dict[str, Any], /) -> Self:
        """Return the receipt that was written as JSON."""
        explained = {stride: ExplainedSquares(**squares) for stride, squares in data.get("explained", {}).items()}
        files = tuple(FileRecord(**file) for file in data["files"])
        runs = {name: Runs(**found) for name, found in data.get("runs", {}).items()}
        series = {name: SeriesSpan.from_json(found) for name, found in data.get("series", {}).items()}
        return cls(**{**data, "files": files, "explained": explained, "runs": runs, "series": series})


@dataclass(frozen=True)
class Receipts:
    """The receipts of a run. The first receipt of a stage of a chunk wins: others may build on its files already."""

    store: Store
    chunks: Sequence[Chunk]
    inputs: Mapping[str, Sequence[Chunk]] = field(default_factory=dict)
    """What stages work on that do not work on the chunks, by the stage's name."""

    def items(self, stage: str) -> Sequence[Chunk]:
        """Return what a stage works on, each with a receipt of its own."""
        return self.inputs.get(stage, self.chunks)

    def commit(self, receipt: Receipt) -> None:
        """Mark a stage of a chunk as done, unless it is."""
        self.store.make_durable(receipt.files)
        self.store.put_if_absent(_name(receipt.stage, receipt.chunk), receipt.to_json())

    def is_done(self, stage: str, chunk: int) -> bool:
        """Whether a stage of a chunk is done, by what the store holds now."""
        return self._stored(stage, chunk) is not None

    def find(self, stage: str, chunk: int) -> Receipt | None:
        """Return the receipt of a stage of a chunk, if it is done."""
        content = self.store.recent(_name(stage, chunk)) or self._stored(stage, chunk)
        return None if content is None else Receipt.from_json(json.loads(content))

    def _stored(self, stage: str, chunk: int) -> bytes | None:
        content = self.store.find(_name(stage, chunk))
        if content is None:
            self.store.check_there()
        return content

    def all_of(self, stage: str) -> Iterator[Receipt]:
        """Yield the receipts of a stage, in order; the stage has to be complete."""
        names = (_name(stage, chunk.index) for chunk in self.items(stage))
        contents = in_parallel(lambda name: self.store.recent(name) or self.store.get(name), names, self.store.readers)
        yield from (Receipt.from_json(json.loads(content)) for content in contents)

    def of(self, stage: str, chunk: int) -> Receipt:
        """Return the receipt of a stage of a chunk, which has to be done.

        Raises
        ------
        DamagedError
            If it is not.
        """
        receipt = self.find(stage, chunk)
        if receipt is None:
            raise DamagedError(f"{self.store.address} has no receipt of {stage} of chunk {chunk}, whose files are needed.")
        return receipt

    def missing(self, stage: str) -> list[Chunk]:
        """Return the chunks of which a stage is not done."""
        self.store.check_there()
        done = {*self.store.list(f"{_FOLDER}/{stage}")}
        return [chunk for chunk in self.items(stage) if _name(stage, chunk.index) not in done]

    def done_at(self, stage: str) -> Mapping[int, float]:
        """When each item of a stage was done, by its number, as the store's listing says; no receipt is opened."""
        times = {name.rpartition("/")[2]: at for name, at in self.store.modified(f"{_FOLDER}/{stage}").items()}
        return {int(name.removesuffix(".json")): at for name, at in times.items() if _RECEIPT.fullmatch(name)}

    def drop_damaged(self, *, n_threads: int = 1) -> int:
        """Remove the receipts whose files are missing or changed; returns how many.

        A machine that lost its power can leave files of the right size and name that hold zeros.
        """
        names = receipt_names(self.store)
        with ThreadPoolExecutor(max(n_threads, self.store.readers)) as pool:
            holds = list(pool.map(self._holds, names))
        for name, is_whole in zip(names, holds, strict=True):
            if not is_whole:
                self.store.delete(name)
        return holds.count(False)

    def invalidate(self, name: str) -> None:
        """Remove the receipt that names the file that is kept under this name, if there is one."""
        for receipt in receipt_names(self.store):
            if any(file.kept_as == name for file in Receipt.from_json(self.store.read_json(receipt)).files):
                self.store.delete(receipt)

    def _holds(self, name: str) -> bool:
        try:
            return all(self.store.holds(file) for file in Receipt.from_json(self.store.read_json(name)).files)
        except (ValueError, TypeError, KeyError):  # not JSON, or not a receipt
            return False


def receipt_names(store: Store) -> Sequence[str]:
    """Names of all receipts in a run's store."""
    return [name for name in store.list(_FOLDER) if name.endswith(".json")]


def _name(stage: str, chunk: int) -> str:
    return f"{_FOLDER}/{stage}/{chunk:05}.json"
