"""Small samples of a run's rows and windows, for the page that shows it: as large for a billion rows as for a thousand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from emberharmony.features.kinds.datetime import epoch
from emberharmony.io.store.arrays import by_prefix, prefixed
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.page.facts import Sample
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.planning.chunks import Chunk
from emberharmony.steps.segments import TableSegment
from emberharmony.typing import BoolArray, FeatureBlock, IntArray

SAMPLES: Final = "sample/"
"""Begin the names of samples."""
MOST_ROWS: Final = 6_000
"""Rows of all samples of a run together, about."""
MOST_WINDOWS: Final = 1_200
"""Windows of a stride of all samples together, about."""
MOST_CHUNKS: Final = 128
"""Chunks that keep a sample: reading one takes a request to the store."""


def keeps_sample(plan: StagedPlan, chunk: Chunk) -> bool:
    """Whether a chunk is one of the evenly spaced ones that keep a sample."""
    n = len(plan.chunks)
    used = min(n, MOST_CHUNKS)
    return chunk.index * used // n != (chunk.index - 1) * used // n


def chosen(n: int, share: float, *, seed: int) -> IntArray:
    """Return the places of a share of `n` rows, ascending: one drawn from each of equal parts, so that all times are there.

    Examples
    --------
    >>> places = chosen(1000, 0.01, seed=3)
    >>> len(places), (places // 100).tolist()
    (10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    draw = np.random.default_rng(seed)
    count = min(n, int(n * min(share, 1.0) + draw.random()))  # rounded by chance: many small chunks have their share, too
    places: IntArray = ((np.arange(count) + draw.random(count)) * n / max(count, 1)).astype(np.int64)
    return places


def share_of_rows(plan: StagedPlan) -> float:
    """Return the share of the rows of a chunk that are kept."""
    return MOST_ROWS * _spacing(plan) / max(plan.n_rows, 1)


def share_of_windows(plan: StagedPlan, stride: int) -> float:
    """Return the share of the windows of a chunk that are kept."""
    return MOST_WINDOWS * stride * _spacing(plan) / max(plan.n_rows, 1)


def keep_rows(
    store: Store, plan: StagedPlan, chunk: Chunk, segments: Mapping[str, TableSegment], inside: BoolArray | None
) -> list[FileRecord]:
    """Keep a sample of a chunk's rows; `inside` masks those of the slice, in a job that reads rows from before it."""
    if not keeps_sample(plan, chunk):
        return []
    found = []
    for split, segment in segments.items():
        places = chosen(segment.n_rows, share_of_rows(plan), seed=chunk.index)
        places = places if inside is None else places[inside[places]]
        times = segment.carried[plan.roles.time] if plan.roles.time else None
        found.append(_sample(plan, split, times, segment.block, places))
    sample = Sample.joined(found)
    return [] if sample is None else [store.keep_arrays(rows_name(chunk.index), sample.to_arrays())]


@dataclass
class WindowSamples:
    """A sample of the windows of one chunk, by stride, gathered split by split."""

    plan: StagedPlan
    chunk: Chunk
    _found: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, stride: int, split: str, columns: pa.Table, scores: FeatureBlock) -> None:
        """Choose some windows of a split; `columns` and `scores` are of the same windows."""
        if not keeps_sample(self.plan, self.chunk):
            return
        places = chosen(scores.shape[1], share_of_windows(self.plan, stride), seed=self.chunk.index)
        times = columns["end_time"] if self.plan.roles.time else None
        self._found.setdefault(str(stride), []).append(_sample(self.plan, split, times, scores[:2], places))

    def keep(self, store: Store) -> list[FileRecord]:
        """Keep what was chosen."""
        joined = {stride: Sample.joined(samples) for stride, samples in self._found.items()}
        arrays = {stride: sample.to_arrays() for stride, sample in joined.items() if sample is not None}
        return [store.keep_arrays(windows_name(self.chunk.index), prefixed(arrays))] if arrays else []


def sampled_rows(store: Store, kept: Sequence[FileRecord]) -> Sample | None:
    """Return the sample of all chunks, from the files that they have kept; ``None`` if there are none.

    Raises
    ------
    DamagedError
        If a file of it is missing or was changed.
    """
    return Sample.joined([*map(Sample.from_arrays, store.each(store.read_checked_arrays, kept))])


def sampled_windows(store: Store, kept: Sequence[FileRecord]) -> dict[int, Sample]:
    """Return the samples of the windows of all chunks, by stride, from the files that they have kept.

    Raises
    ------
    DamagedError
        If a file of them is missing or was changed.
    """
    found = dict[int, list[Sample]]()
    for of_chunk in store.each(store.read_checked_arrays, kept):
        for stride, arrays in by_prefix(of_chunk).items():
            found.setdefault(int(stride), []).append(Sample.from_arrays(arrays))
    return {stride: sample for stride in sorted(found) if (sample := Sample.joined(found[stride])) is not None}


def rows_name(chunk: int) -> str:
    """Name of the sample of a chunk's rows."""
    return f"{SAMPLES}rows-{chunk:05}.safetensors"


def windows_name(chunk: int) -> str:
    """Name of the sample of a chunk's windows."""
    return f"{SAMPLES}windows-{chunk:05}.safetensors"


def _spacing(plan: StagedPlan) -> float:
    n = len(plan.chunks)
    return n / min(n, MOST_CHUNKS)


def _sample(plan: StagedPlan, split: str, times: pa.ChunkedArray | None, values: FeatureBlock, places: IntArray) -> Sample:
    code = np.full(len(places), plan.splits.index(split), np.int64)
    moments = np.full(len(places), np.nan) if times is None else epoch(times.take(pa.array(places)))
    return Sample(code, moments, np.ascontiguousarray(values[:, places]))
