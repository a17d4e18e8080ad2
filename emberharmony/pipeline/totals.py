"""Totals of a run: its receipts, each read once and folded chunk by chunk, for the manifest and for the page."""

from __future__ import annotations

import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from emberharmony.io.store.base import FileRecord
from emberharmony.pipeline.fitted import FIT, FIT_PCA
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.samples import SAMPLES
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs, merged_runs


@dataclass
class WorkDone:
    """What a stage took: one number for each receipt, in their order."""

    chunks: array[int] = field(default_factory=lambda: array("q"))
    rows: array[int] = field(default_factory=lambda: array("q"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    memory: array[int] = field(default_factory=lambda: array("q"))
    """Bytes that the process held at the end."""
    workers: list[str] = field(default_factory=list)
    """Backends and hosts."""

    def add(self, receipt: Receipt, n_rows: int) -> None:
        """Add a receipt of the stage."""
        self.chunks.append(receipt.chunk)
        self.rows.append(n_rows)
        self.seconds.append(receipt.seconds)
        self.memory.append(receipt.memory_bytes)
        self.workers.append(sys.intern(f"{receipt.backend} on {receipt.host}"))  # there are few of them

    def by_worker(self) -> dict[str, list[int]]:
        """Return the chunks of each worker."""
        found = dict[str, list[int]]()
        for worker, chunk in zip(self.workers, self.chunks, strict=True):
            found.setdefault(worker, []).append(chunk)
        return found


@dataclass
class Totals:
    """Sums over the receipts of a run. Memory grows with its files and with a few numbers for each receipt."""

    publishes: Sequence[str]
    """Folders of the result."""
    chunk_stages: Sequence[str]
    """Names of the stages that every chunk has gone through."""
    work: dict[str, WorkDone] = field(default_factory=lambda: defaultdict(WorkDone))
    """What each stage took."""
    files: list[FileRecord] = field(default_factory=list)
    backends: Counter[str] = field(default_factory=Counter)
    parity: list[float] = field(default_factory=list)
    left_out: int = 0
    context: Counter[str] = field(default_factory=Counter)
    """Rows from before the slice, and series that have too few of them."""
    runs: dict[str, Runs] = field(default_factory=dict)
    windows: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Windows by stride and split."""
    explained: dict[str, ExplainedSquares] = field(default_factory=lambda: defaultdict(ExplainedSquares))
    clipped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Clipped values by stage: of columns in featurize, of strides in project."""
    samples: dict[str, list[FileRecord]] = field(default_factory=lambda: defaultdict(list))
    """Samples that the chunks of a stage have kept."""

    def add_chunk(self, receipt: Receipt, n_rows: int) -> None:
        """Add the receipt of a stage of a chunk of so many rows."""
        self.add(receipt, n_rows)
        self.samples[receipt.stage].extend(file for file in receipt.files if file.name.startswith(SAMPLES))
        self.backends[receipt.backend] += 1
        self.clipped[receipt.stage].update(receipt.clipped)
        self.context.update(rows=receipt.context, short=receipt.short_contexts)
        self.runs = merged_runs(self.runs, receipt.runs)
        if receipt.parity is not None:
            self.parity.append(receipt.parity)
        for stride, squares in receipt.explained.items():
            self.explained[stride] = self.explained[stride].merge(squares)

    def add(self, receipt: Receipt, n_rows: int = 0) -> None:
        """Add what every receipt has: its published files, and what the stage took."""
        self.work[receipt.stage].add(receipt, n_rows)
        self.files.extend(file for file in receipt.files if file.name.split("/")[0] in self.publishes)

    def add_rows(self, profiled: Receipt) -> None:
        """Add the rows that a profiled chunk has in no split."""
        self.left_out += profiled.left_out

    def add_windows(self, projected: Receipt) -> None:
        """Add the windows of a projected chunk."""
        for key, n_windows in projected.rows.items():
            stride, split = key.split("/")
            self.windows[stride][split] += n_windows


def totals_of(run: Run, chunk_stages: Sequence[str]) -> Totals:
    """Return the totals of a run whose stages are done; every receipt is read once.

    Parameters
    ----------
    run : Run
        The run.
    chunk_stages : sequence of str
        Names of the stages that every chunk has gone through.

    Raises
    ------
    DamagedError
        If a receipt is missing or was changed.
    """
    totals = Totals(run.plan.spec.job.publishes, chunk_stages)
    more = {"profile": totals.add_rows, "project": totals.add_windows}
    for stage in chunk_stages:
        for item, receipt in zip(run.receipts.items(stage), run.receipts.all_of(stage), strict=True):
            totals.add_chunk(receipt, item.n_rows)
            if stage in more:
                more[stage](receipt)
    for stage in (FIT, FIT_PCA):
        fitted = run.receipts.find(stage, 0)
        if fitted is not None:
            totals.add(fitted)
    return totals
