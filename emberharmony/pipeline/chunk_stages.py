"""The stages of a chunk: read what a stage needs, run its steps, write the results, and return the receipt."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import call

import numpy as np
import pyarrow as pa

from emberharmony.features.columns import ROW_NUMBER, FeatureColumn
from emberharmony.features.kinds.numeric import count_clipped
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.preprocessing import count_clipped as clipped_by_column
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.parts import (
    Encoding,
    block_of,
    feature_part,
    read_halo,
    read_part,
    table_of,
    window_part,
    write_halo,
    write_part,
)
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.store.arrays import prefixed
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.arrange import arrange_chunk as arrange
from emberharmony.pipeline.arrange import partition_rows, regroup
from emberharmony.pipeline.fitted import drift_name
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.pushdown import profile_by_query
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import ReadChunk, Rows, Run
from emberharmony.pipeline.samples import WindowSamples, keep_rows
from emberharmony.planning.chunks import Chunk
from emberharmony.series import Segment
from emberharmony.splits import SPLITS, SplitCodes
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.stats.window_gram import WindowGram
from emberharmony.steps.context import SLICE, SliceWindows, context_of, joined_rows, without_context
from emberharmony.steps.featurize import datetime_features, drift_counts, encode, state_pays, time_runs, window_states
from emberharmony.steps.profile import profile_rows
from emberharmony.steps.project import project
from emberharmony.steps.segments import TableSegment, no_rows, segments_by_split, window_columns
from emberharmony.steps.split import OneSplit, RowSplit, row_split
from emberharmony.threads import in_parallel
from emberharmony.typing import FeatureBlock, IntArray
from emberharmony.windows import WindowSpec

TRAIN = SPLITS.index("train")


def read_chunk(source: Rows, chunk: Chunk, columns: Sequence[str], order: str | None, texts: TextBudget) -> pa.Table:
    """Read the chunk's rows in the job's order."""
    return source.read(chunk, columns, time=order, texts=texts)


def split_codes(split: RowSplit, chunk: Chunk, rows: pa.Table) -> SplitCodes:
    """Decide the split of each of the chunk's rows."""
    return split.codes(rows, chunk.ranks)


@dataclass(frozen=True)
class Steps:
    """The steps of a chunk: as they are, or each as a task run of its own."""

    read_chunk: ReadChunk = read_chunk
    datetime_features: Callable[[pa.Table, Preprocessing], dict[str, FeatureBlock]] = datetime_features
    encode: Callable[[pa.Table, Mapping[str, FeatureBlock], Preprocessing], FeatureBlock] = encode
    split: Callable[[RowSplit, Chunk, pa.Table], SplitCodes] = split_codes
    profile_rows: Callable[[pa.Table, Sequence[FeatureColumn], FeatureSpecs], dict[str, ColumnProfile]] = profile_rows
    window_states: Callable[[Segment, WindowSpec], list[WindowGram]] = window_states
    project: Callable[[Mapping[int, WindowPCA], Segment, Mapping[int, IntArray]], dict[int, FeatureBlock]] = project
    write_part: Callable[[Store, str, pa.Table, Encoding], FileRecord] = write_part


PLAIN = Steps()


def partition_input(run: Run, piece: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Read a piece of the table, and write its rows, those of each chunk of the job together."""
    time = run.plan.order.time if piece.times else None
    rows = steps.read_chunk(run.source, piece, run.plan.to_read, time, run.plan.texts)
    return partition_rows(run.arranged, rows, piece.index, backend)


def regroup_chunks(run: Run, group: Chunk, backend: str, _steps: Steps = PLAIN) -> Receipt:
    """Write the rows of a group of chunks, those of each chunk together."""
    return regroup(run.arranged, group, backend)


def arrange_chunk(run: Run, chunk: Chunk, backend: str, _steps: Steps = PLAIN) -> Receipt:
    """Bring the chunk's rows together, in the job's order."""
    return arrange(run.arranged, chunk, backend)


def profile_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Count the chunk's rows in every split, and profile the training rows' columns."""
    began = time.perf_counter()
    plan, features = run.plan, run.plan.roles.features
    profiled = [] if plan.spec.source.profiles_by_query else [column.name for column in features]
    codes, key_runs, series, rows = _split_of(run, chunk, profiled, steps)
    in_train = codes == TRAIN
    profiles = {column.name: ColumnProfile.empty() for column in features}
    if plan.spec.source.profiles_by_query:
        if chunk.index == 0:  # one statement profiles the whole table
            assert plan.boundaries is not None  # as planned
            profiles = profile_by_query(run.source, plan.spec, features, plan.boundaries)
    elif in_train.any():
        rows = _read(run, chunk, profiled, steps) if rows is None else rows
        rows = rows if in_train.all() else rows.select(profiled).filter(pa.array(in_train))
        profiles = steps.profile_rows(rows, features, plan.spec.features)
    # Apart: there may be many categories, and merging the rest does not read them.
    states = {str(i): profile.without_categories.to_arrays() for i, profile in enumerate(profiles.values())}
    counts = {str(i): profile.categories.to_arrays() for i, profile in enumerate(profiles.values())}
    records = [
        run.store.keep_arrays(profile_name(chunk.index), prefixed(states)),
        run.store.keep_arrays(categories_name(chunk.index), prefixed(counts)),
    ]
    return replace(_receipt(plan, "profile", chunk, codes, records, backend, began), runs=key_runs, series=series)


def featurize_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Turn the chunk's rows into features, write a part for each split, and the Gram states of its training windows."""
    began = time.perf_counter()
    plan, job, windows, fitted = run.plan, run.plan.spec.job, run.plan.spec.windows, run.fitted.preprocessing
    if not job.publishes_rows and not run.fitted.split_rows[chunk.index, TRAIN]:
        return _receipt(plan, "featurize", chunk, np.empty(0, np.int8), [], backend, began)
    rows = _read(run, chunk, plan.to_read, steps)
    run.sink.check_values(rows, run.published_columns)
    codes = steps.split(split_of(plan), chunk, rows)
    begin = plan.slice_start
    inside = begin.holds(rows) if begin else None
    if not job.publishes_rows:  # only the training rows are of use
        rows, codes = rows.filter(pa.array(codes == TRAIN)), codes[codes == TRAIN]
    runs, series = dict[str, Runs](), dict[str, SeriesSpan]()
    if plan.roles.time and windows.halo and not plan.order.entity:
        runs = {"time": time_runs(rows, plan.roles.time, codes)}
    if not job.fits:
        series = _series(plan, rows, codes)
    if inside is not None:
        series |= _series(plan, rows, inside - np.int8(1), (SLICE,))
    block = steps.encode(rows, steps.datetime_features(rows, fitted), fitted)
    carried = rows.select([ROW_NUMBER, *plan.roles.carried])
    if job.publishes_rows:
        carried = run.sink.as_written(carried)
    # Only windows ask where a series began. A state's windows are projected later, when featurize has counted the series.
    counted = job.fits and windows.strides
    starts = _series_starts(run, chunk.index) if counted else dict.fromkeys(plan.splits, 0)
    segments = segments_by_split(carried, block, codes, starts, plan.order)
    files, encoding = list[FileRecord](), feature_encoding(fitted)
    if not job.fits:
        counts = drift_counts(rows if inside is None else without_context(rows, inside), fitted, run.fitted.baselines)
        arrays = prefixed({str(i): state.to_arrays() for i, state in enumerate(counts)})
        files.append(run.store.keep_arrays(drift_name(chunk.index), arrays))
    clipped = Counter[str]()
    for segment in segments.values():
        of_slice = segment.block if inside is None else segment.block[:, inside]
        clipped.update(clipped_by_column(of_slice, fitted))
    del rows, block
    train = segments.get("train")
    pays = train is not None and bool(windows.strides) and state_pays(train.block.nbytes, windows, len(fitted.feature_names))
    if job.publishes_rows or not pays:
        for name, segment in segments.items():
            table = table_of(segment.carried, fitted.feature_names, segment.block)
            if inside is not None:
                files.append(write_halo(run.store, context_name(chunk.index), {name: context_of(table, inside)}))
                table = without_context(table, inside)
            table = run.sink.as_part(table, split=name, run_id=plan.fingerprint) if job.publishes_rows else table
            files.append(steps.write_part(run.store, feature_part(name, chunk.index), table, encoding))
    if job.publishes_rows and windows.strides:
        files.append(write_halo(run.store, halo_name(chunk.index), _heads(plan, segments, fitted.feature_names)))
    if train is not None and pays:
        states = steps.window_states(train, windows)
        arrays = prefixed({str(state.stride): state.to_arrays() for state in states})
        files.append(run.store.keep_arrays(grams_name(chunk.index), arrays))
    if run.sink.report:
        files.extend(keep_rows(run.store, plan, chunk, segments, inside))
    receipt = _receipt(plan, "featurize", chunk, codes, files, backend, began)
    context = 0 if inside is None else int((~inside).sum())
    return replace(receipt, clipped=dict(clipped), runs=runs, series=series, context=context)


def project_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Write the scores of all windows that begin in the chunk."""
    began = time.perf_counter()
    featurized = run.receipts.of("featurize", chunk.index)
    plan, windows, pcas, short_contexts = run.plan, run.plan.spec.windows, run.fitted.pcas, 0
    files, n_windows = [], {f"{stride}/{name}": 0 for stride in windows.strides for name in plan.splits}
    explained, clipped, sample = dict[str, ExplainedSquares](), Counter[str](), WindowSamples(plan, chunk)
    for name in plan.splits:
        # A split without a window leaves a part without rows, so that readers find the columns.
        is_short = chunk.index == run.fitted.first_chunks[name] and (plan.slice_start is not None or _is_short(run, name))
        if not featurized.rows[name] and not is_short:
            continue
        segment = _read_segment(run, featurized, chunk, name)
        in_slice = _slice_windows(run, chunk, segment)
        short_contexts += in_slice.n_short(chunk.n_rows) if in_slice else 0
        places = dict[int, IntArray]()
        for stride in pcas:
            starts = in_slice.starts(stride) if in_slice else segment.window_starts(plan.reach, stride)
            # The halo reaches as far as labels do: where windows do not need theirs, some begin in it, the next chunk's.
            starts = starts[starts < featurized.rows[name]]
            if len(starts) or is_short:
                places[stride] = starts
        of_strides = steps.project(pcas, segment, places) if places else {}
        for stride, starts in places.items():
            scores = of_strides.pop(stride)
            columns = window_columns(
                segment.carried,
                starts,
                plan.roles,
                halo=windows.size - 1,
                label_after=plan.label_after,
                borders=segment.borders if plan.has_later_labels else None,
            )
            table = table_of(columns, component_names(pcas[stride]), scores)
            table = run.sink.as_part(table, split=name, run_id=plan.fingerprint)
            files.append(steps.write_part(run.store, window_part(stride, name, chunk.index), table, Encoding()))
            n_windows[f"{stride}/{name}"] = len(starts)
            sample.add(stride, name, columns, scores)
            clipped[str(stride)] += count_clipped(scores)
            if not plan.spec.job.fits:
                explained[str(stride)] = pcas[stride].explained_squares(scores, segment.block, starts)
    files.extend(sample.keep(run.store) if run.sink.report else [])
    seconds = time.perf_counter() - began
    found = {stride: n for stride, n in clipped.items() if n}
    receipt = Receipt("project", chunk.index, n_windows, tuple(files), backend, seconds, explained=explained, clipped=found)
    return replace(receipt, short_contexts=short_contexts)


def profile_name(chunk: int) -> str:
    """Name of a chunk's profile, without its categories."""
    return f"profile/{chunk:05}.safetensors"


def categories_name(chunk: int) -> str:
    """Name of a chunk's counts of categories."""
    return f"categories/{chunk:05}.safetensors"


def grams_name(chunk: int) -> str:
    """Name of a chunk's Gram states."""
    return f"grams/{chunk:05}.safetensors"


def halo_name(chunk: int) -> str:
    """Name of the first rows of a chunk's splits."""
    return f"halo/{chunk:05}.arrow"


def context_name(chunk: int) -> str:
    """Name of a chunk's rows from before the slice."""
    return f"context/{chunk:05}.arrow"


def component_names(pca: WindowPCA) -> list[str]:
    """Names of the score columns, counted from 1 as components are in print."""
    return [f"pc_{i + 1}" for i in range(pca.n_components)]


def feature_encoding(fitted: Preprocessing) -> Encoding:
    """Feature columns that files can shrink."""
    few = tuple(name for column in fitted.columns if column.few_values for name in column.features)
    sparse = tuple(name for column in fitted.columns if kind_named(column.kind).is_sparse for name in column.features)
    return Encoding(dictionary=few, sparse=sparse)


def split_of(plan: StagedPlan) -> RowSplit:
    """Return what decides the split of a job's rows."""
    spec = plan.spec
    if not spec.job.fits:
        return OneSplit()
    keyed = replace(spec.split, method="hash", keys=spec.split_keys) if spec.split_keys else spec.split
    return row_split(spec.split_method, keyed, n_rows=plan.n_rows, time=spec.columns.time, boundaries=plan.boundaries)


def _split_of(
    run: Run, chunk: Chunk, profiled: Sequence[str], steps: Steps
) -> tuple[SplitCodes, dict[str, Runs], dict[str, SeriesSpan], pa.Table | None]:
    """Each row's split, the runs of equal keys, the series of each split, and the rows if they were read to decide these.

    The profiled columns are read with them, so that no chunk is read twice.
    """
    split, order, windows = split_of(run.plan), run.plan.order, run.plan.spec.windows
    of_series = order.columns if order.makes_series and windows.strides else ()
    known = split.codes_of(chunk.ranks, run.times_of(chunk))
    if known is not None and not of_series:
        return known, {}, {}, None
    profiled = profiled if known is None or (known == TRAIN).any() else ()
    rows = _read(run, chunk, list(dict.fromkeys([*split.columns, *of_series, *profiled])), steps)
    codes = steps.split(split, chunk, rows)
    may_mix = windows.halo and not {*split.columns} <= {*order.entity}
    return codes, split.key_runs(rows, codes) if may_mix else {}, _series(run.plan, rows, codes), rows


def _series(plan: StagedPlan, rows: pa.Table, codes: SplitCodes, splits: Sequence[str] | None = None) -> dict[str, SeriesSpan]:
    """The series of a chunk's rows of each split, in a job of many series."""
    order, windows = plan.order, plan.spec.windows
    if not order.makes_series or not windows.strides:
        return {}
    marks = rows.select(list(dict.fromkeys([ROW_NUMBER, *order.columns])))
    parts = {name: marks.filter(pa.array(codes == i)) for i, name in enumerate(splits or plan.splits)}
    return {name: order.span(part, size=plan.reach) for name, part in parts.items()}


def _is_short(run: Run, split: str) -> bool:
    """Whether a split has rows, or is the only one, and no window."""
    fits, size, series = run.plan.spec.job.fits, run.plan.reach, run.fitted.series
    if not series:
        return not fits and run.fitted.rows[split] < size
    return (not fits or bool(run.fitted.rows[split])) and series[split].longest < size


def _read(run: Run, chunk: Chunk, columns: Sequence[str], steps: Steps) -> pa.Table:
    return run.read(chunk, columns, steps.read_chunk)


def _receipt(
    plan: StagedPlan, stage: str, chunk: Chunk, codes: SplitCodes, files: Sequence[FileRecord], backend: str, began: float
) -> Receipt:
    counts = np.bincount(codes[codes >= 0], minlength=len(plan.splits)).tolist()
    rows = dict(zip(plan.splits, counts, strict=True))
    seconds = time.perf_counter() - began
    return Receipt(stage, chunk.index, rows, tuple(files), backend, seconds, int((codes < 0).sum()))


def _series_starts(run: Run, chunk: int) -> dict[str, int]:
    return dict(zip(run.plan.splits, run.fitted.series_starts[chunk].tolist(), strict=True))


def _heads(plan: StagedPlan, segments: Mapping[str, TableSegment], features: Sequence[str]) -> dict[str, pa.Table]:
    """The first rows of every split: what windows that begin in earlier chunks still need."""
    heads = {name: segment.head(plan.spec.windows.halo) for name, segment in segments.items()}
    heads = heads or {"empty": no_rows(plan.schema, plan.roles.carried, len(features))}
    return {name: table_of(head.carried, features, head.block) for name, head in heads.items()}


def _slice_windows(run: Run, chunk: Chunk, segment: TableSegment) -> SliceWindows | None:
    """The windows of a chunk, in a slice that reads rows from before it."""
    plan, begin = run.plan, run.plan.slice_start
    if begin is None:
        return None
    before = int(run.fitted.slice_starts[chunk.index])
    return SliceWindows(segment, begin.holds(segment.carried), before, plan.spec.windows.size, plan.reach)


def _read_segment(run: Run, featurized: Receipt, chunk: Chunk, split: str) -> TableSegment:
    """A chunk's rows of one split, followed by the halo that its last windows need."""
    reads = (lambda: [_read_own(run, featurized, chunk, split)], lambda: _read_halo(run, chunk, split))
    parts = [*chain.from_iterable(in_parallel(call, reads, run.store.readers))]
    # Without features: they are copied once, when all rows are known.
    first, *heads = (_without_features(run, part, start) for start, part in parts)
    names = run.fitted.preprocessing.feature_names
    features = pa.concat_tables([part.select(names) for _, part in parts], promote_options="default")
    return replace(first.followed_by(heads), block=block_of(features, names))


def _read_own(run: Run, featurized: Receipt, chunk: Chunk, split: str) -> tuple[int, pa.Table]:
    """A chunk's rows of one split, and the number of the first of them in its series."""
    table = read_part(run.store, featurized.record(feature_part(split, chunk.index)))
    context = featurized.find(context_name(chunk.index))
    if context is not None:
        table = joined_rows(table, read_halo(run.store, context, split))
    return _series_starts(run, chunk.index)[split], table


def _read_halo(run: Run, chunk: Chunk, split: str) -> list[tuple[int, pa.Table]]:
    """The rows after a chunk that its last windows need, and the number of the first of them in its series, chunk by chunk."""
    missing, following, heads = run.plan.spec.windows.halo, chunk.index + 1, list[tuple[int, pa.Table]]()
    column = run.plan.splits.index(split)
    while missing and following < len(run.plan.chunks):
        if run.fitted.split_rows[following, column]:
            start = int(run.fitted.series_starts[following, column])
            if not start:
                break  # another series begins there
            record = run.receipts.of("featurize", following).record(halo_name(following))
            heads.append((start, read_halo(run.store, record, split).slice(0, missing)))
            missing -= heads[-1][1].num_rows
        following += 1
    return heads


def _without_features(run: Run, table: pa.Table, start: int) -> TableSegment:
    carried = table.select([ROW_NUMBER, *run.plan.roles.carried])
    return TableSegment(start, block_of(table, []), carried, borders=run.plan.order.borders(carried))
