"""The stages that merge the states of many chunks, level by level, and what they leave for the stages that fit.

The items of a level are groups of neighbouring items of the level below; `planning.merge_tree` says which. A state that was
merged stays where it is until the run ends, so that a run which is resumed finds every receipt's files.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from emberharmony.features.profile import ColumnProfile, ProfileSum
from emberharmony.io.store.arrays import by_prefix, prefixed
from emberharmony.io.store.base import FileRecord
from emberharmony.pipeline.chunk_stages import PLAIN, Steps
from emberharmony.pipeline.gram_segments import SegmentStates, as_arrays, merged_states, segments_in_files, segments_of_chunks
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.vocabulary import categorical_columns
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.merge_tree import GRAM_STAGES, PROFILE_STAGES, MergeTree
from emberharmony.stats.categories import MAX_MERGED_BYTES, CategoryCounts
from emberharmony.threads import in_parallel


@dataclass(frozen=True)
class ProfileFiles:
    """Files that hold profiles of neighbouring chunks, in order."""

    profiles: Sequence[FileRecord]
    categories: Sequence[FileRecord]

    @classmethod
    def of(cls, run: Run, files: Iterable[FileRecord]) -> ProfileFiles:
        """Return the files of stages that leave profiles. Categories, which may be read again and again, are checked here.

        Raises
        ------
        DamagedError
            If one of those is missing or was changed.
        """
        found: dict[str, list[FileRecord]] = {"profile": [], "categories": []}
        for file in files:
            found[file.name.split("/")[0]].append(file)
        for _ in run.store.each(run.store.check, found["categories"]):
            pass
        return cls(found["profile"], found["categories"])


def merge_profiles(run: Run, group: Chunk, backend: str, *, level: int) -> Receipt:
    """Merge the profiles of a group. Categories whose files are too large to be merged in memory stay in these files."""
    began = time.perf_counter()
    files = ProfileFiles.of(run, _files(_below(run, run.plan.profile_tree, level, group.index)))
    profiles = {str(i): profile.to_arrays() for i, profile in enumerate(merged_profiles(run, files))}
    name = f"merged-{level}-{group.index:05}.safetensors"
    records = [run.store.keep_arrays(f"profile/{name}", prefixed(profiles)), *_merged_categories(run, files.categories, name)]
    return Receipt(PROFILE_STAGES[level], group.index, {}, tuple(records), backend, time.perf_counter() - began)


def merge_grams(run: Run, group: Chunk, backend: str, steps: Steps = PLAIN, *, level: int) -> Receipt:
    """Merge the Gram states of a group: a file for each stride, or none if the group has no training row."""
    began = time.perf_counter()
    receipts = _below(run, run.plan.gram_tree, level, group.index)
    segments = segments_of_chunks(run, receipts, steps) if level == 1 else _segments_of_groups(run, receipts, level - 1)
    records, windows = list[FileRecord](), run.plan.spec.windows
    for state in merged_states(run.store, segments, windows, n_features=len(run.fitted.preprocessing.feature_names)):
        records.append(run.store.keep_arrays(_grams_name(level, group.index, state.stride), as_arrays([state])))
        del state  # before the next one is merged
    return Receipt(GRAM_STAGES[level], group.index, {}, tuple(records), backend, time.perf_counter() - began)


def top_profiles(run: Run, of_chunks: Iterable[FileRecord]) -> ProfileFiles:
    """Return the files with the profiles that no stage has merged any further, given those of all chunks."""
    tree = run.plan.profile_tree
    return ProfileFiles.of(run, _files(run.receipts.all_of(tree.top)) if tree.n_levels else of_chunks)


def top_grams(run: Run) -> Iterator[SegmentStates]:
    """Yield the Gram states that no stage has merged any further, in order."""
    level, receipts = run.plan.gram_tree.n_levels, run.receipts.all_of(run.plan.gram_tree.top)
    return _segments_of_groups(run, receipts, level) if level else segments_of_chunks(run, receipts)


def merged_profiles(run: Run, files: ProfileFiles) -> list[ColumnProfile]:
    """Return the profile of every column, in order, over all files; without categories, of which there may be too many."""
    sums = [ProfileSum() for _ in run.plan.roles.features]
    for arrays in run.store.each(run.store.read_checked_arrays, files.profiles):
        states = by_prefix(arrays)
        for i, total in enumerate(sums):
            total.add(ColumnProfile.from_arrays(states[str(i)]))
    return [total.profile() for total in sums]


def _merged_categories(run: Run, files: Sequence[FileRecord], name: str) -> Sequence[FileRecord]:
    """The file of that name with the counts of the columns of categories, or `files` if they are too large to be merged."""
    columns = categorical_columns(run.plan.roles, run.plan.spec.features)
    if not columns:
        return []
    if sum(file.n_bytes for file in files) > MAX_MERGED_BYTES:
        return files
    found = [by_prefix(arrays) for arrays in run.store.each(run.store.read_arrays, files)]
    places = [str(i) for i, column in enumerate(run.plan.roles.features) if column.name in columns]
    counts = {i: CategoryCounts.merge_all(CategoryCounts.from_arrays(states[i]) for states in found) for i in places}
    return [run.store.keep_arrays(f"categories/{name}", prefixed({i: merged.to_arrays() for i, merged in counts.items()}))]


def _segments_of_groups(run: Run, receipts: Iterable[Receipt], level: int) -> Iterator[SegmentStates]:
    with_rows = (receipt for receipt in receipts if receipt.files)
    strides = run.plan.spec.windows.strides
    return segments_in_files(run, ({s: of.record(_grams_name(level, of.chunk, s)) for s in strides} for of in with_rows))


def _files(receipts: Iterable[Receipt]) -> Iterator[FileRecord]:
    return chain.from_iterable(receipt.files for receipt in receipts)


def _below(run: Run, tree: MergeTree, level: int, group: int) -> Iterator[Receipt]:
    """The receipts of what a group merges; as many are read ahead as the store reads best at a time."""
    below, items = tree.stages[level - 1], tree.groups(level).chunks(group)
    yield from in_parallel(lambda item: run.receipts.of(below, item), items, run.store.readers)


def _grams_name(level: int, group: int, stride: int) -> str:
    return f"grams/merged-{level}-{group:05}-{stride}.safetensors"
