"""The window states of a run's training rows, segment by segment: stored by their chunks, or of rows that are joined first."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Protocol

from emberharmony.io.parts import block_of, feature_part, read_part
from emberharmony.io.store.arrays import by_prefix, prefixed
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.pipeline.chunk_stages import PLAIN, Steps, grams_name
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.planning.stage_bytes import STATES_AT_ONCE_BYTES
from emberharmony.series import Segment, joined
from emberharmony.stats.window_gram import GramSum, WindowGram, merge_segments
from emberharmony.steps.featurize import state_pays
from emberharmony.typing import Arrays
from emberharmony.windows import WindowSpec


class SegmentStates(Protocol):
    """The states of one segment's windows, one for each stride."""

    def states(self, store: Store, strides: Sequence[int]) -> list[WindowGram]:
        """Return the states of some strides."""
        ...

    def stored(self, store: Store) -> SegmentStates:
        """Return the same states, in files."""
        ...


@dataclass(frozen=True)
class StoredStates:
    """States in files."""

    files: Mapping[int, FileRecord]
    """The file of each stride; one file may hold the states of several."""

    def states(self, store: Store, strides: Sequence[int]) -> list[WindowGram]:
        """Read the states of some strides."""
        return [WindowGram.from_arrays(store.read_arrays(self.files[stride], prefix=f"{stride}/")) for stride in strides]

    def stored(self, store: Store) -> SegmentStates:
        """Return these states."""
        return self


@dataclass(frozen=True)
class LoadedStates:
    """States in memory: small ones, or those of the rows of a few chunks."""

    of: Sequence[WindowGram]
    name: str = ""
    """Of the file that they go to, if they do."""

    def states(self, store: Store, strides: Sequence[int]) -> list[WindowGram]:
        """Return the states of some strides."""
        return [state for state in self.of if state.stride in strides]

    def stored(self, store: Store) -> SegmentStates:
        """Write them to a file."""
        return StoredStates(
            dict.fromkeys((state.stride for state in self.of), store.keep_arrays(self.name, as_arrays(self.of)))
        )


def segments_of_chunks(run: Run, receipts: Iterable[Receipt], steps: Steps = PLAIN) -> Iterator[SegmentStates]:
    """Yield the states of consecutive segments of the training rows of featurized chunks, in order.

    Chunks that were too short to be worth matrices are joined again until they are.
    """
    windows, n_features = run.plan.spec.windows, len(run.fitted.preprocessing.feature_names)
    waiting: list[Segment] = []
    first = 0

    def of_joined() -> SegmentStates:
        rows = joined(waiting)
        waiting.clear()  # first: they take as much memory as the joined rows
        return LoadedStates(steps.window_states(rows, windows), f"grams/joined-{first:05}.safetensors")

    with_rows, ahead = tee(receipt for receipt in receipts if receipt.rows["train"])
    kept = (file for receipt in ahead if (file := receipt.find(grams_name(receipt.chunk))))
    stored = segments_in_files(run, (dict.fromkeys(windows.strides, file) for file in kept))
    for receipt in with_rows:
        if receipt.find(grams_name(receipt.chunk)):
            if waiting:
                yield of_joined()
            yield next(stored)
            continue
        first = first if waiting else receipt.chunk
        waiting.append(_train_segment(run, receipt))
        if state_pays(sum(segment.block.nbytes for segment in waiting), windows, n_features):
            yield of_joined()
    if waiting:
        yield of_joined()


def segments_in_files(run: Run, files: Iterable[Mapping[int, FileRecord]]) -> Iterator[SegmentStates]:
    """Yield the states of segments, given the file of each stride; all files are checked.

    Small states are read ahead, as many as the store reads best at a time.

    Raises
    ------
    DamagedError
        If a file is missing or was changed.
    """
    store, windows = run.store, run.plan.spec.windows
    segments, ahead = tee(files)
    records = (record for segment in ahead for record in dict.fromkeys(segment.values()))
    if windows.state_bytes(len(run.fitted.preprocessing.feature_names)) > STATES_AT_ONCE_BYTES:
        checks = store.each(store.check, records)
        for segment in segments:
            for _ in {*segment.values()}:
                next(checks)
            yield StoredStates(segment)
        return
    contents = store.each(store.read_checked_arrays, records)
    for segment in segments:
        arrays = ChainMap(*(by_prefix(next(contents)) for _ in {*segment.values()}))
        yield LoadedStates([WindowGram.from_arrays(arrays[str(stride)]) for stride in windows.strides])


def merged_states(
    store: Store, segments: Iterable[SegmentStates], windows: WindowSpec, *, n_features: int
) -> Iterator[WindowGram]:
    """Yield the merged state of each stride, in the order of the strides; none if there are no segments.

    Of large states, only those of one stride are in memory, beside those of rows that were joined.
    """
    if windows.state_bytes(n_features) <= STATES_AT_ONCE_BYTES:
        yield from merge_segments(segment.states(store, windows.strides) for segment in segments)
        return
    stored = [segment.stored(store) for segment in segments]
    for stride in windows.strides:
        # Nothing here refers to a state while the next one is made.
        yield from _sum(segment.states(store, [stride]) for segment in stored)


def _sum(states: Iterable[Sequence[WindowGram]]) -> list[WindowGram]:
    total = GramSum(owns=True)  # they were read for this
    for (state,) in states:
        total.add(state)
        del state  # before the next one is read
    return [] if total.state is None else [total.state]


def as_arrays(states: Iterable[WindowGram]) -> Arrays:
    """Return the states of several strides as the arrays of one file."""
    return prefixed({str(state.stride): state.to_arrays() for state in states})


def _train_segment(run: Run, receipt: Receipt) -> Segment:
    record = run.receipts.of("featurize", receipt.chunk).record(feature_part("train", receipt.chunk))
    names = run.fitted.preprocessing.feature_names
    start = int(run.fitted.series_starts[receipt.chunk, 0])
    order = run.plan.order
    rows = read_part(run.store, record, [*(order.columns if order.makes_series else ()), *names])
    return Segment(start, block_of(rows, names), borders=order.borders(rows))
