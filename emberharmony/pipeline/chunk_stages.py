"""The stages of a chunk: read what a stage needs, run its steps, write the results, and return the receipt."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from emberharmony.errors import DamagedError
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.features.kinds.numeric import count_clipped
from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.preprocessing import count_clipped as clipped_by_column
from emberharmony.features.profile import ColumnProfile
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
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.store.base import FileRecord, Store, prefixed
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.pushdown import profile_by_query, split_without_reading
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.planning.chunks import Chunk
from emberharmony.series import Segment
from emberharmony.splits import SPLITS, SplitCodes
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.runs import Runs
from emberharmony.stats.window_gram import WindowGram
from emberharmony.steps.featurize import datetime_features, drift_counts, encode, state_pays, time_runs, window_states
from emberharmony.steps.profile import profile_rows
from emberharmony.steps.project import project
from emberharmony.steps.segments import TableSegment, no_rows, segments_by_split, window_columns
from emberharmony.steps.split import OneSplit, RowSplit, TemporalSplit, row_split
from emberharmony.typing import FeatureBlock, IntArray
from emberharmony.windows import WindowSpec

TRAIN = SPLITS.index("train")


def read_chunk(source: Source, chunk: Chunk, columns: Sequence[str], order: str | None, texts: TextBudget) -> pa.Table:
    """Read the chunk's rows in the job's order."""
    return source.read(chunk, columns, time=order, texts=texts)


def split_codes(split: RowSplit, chunk: Chunk, rows: pa.Table) -> SplitCodes:
    """Decide the split of each of the chunk's rows."""
    return split.codes(rows, chunk.ranks)


@dataclass(frozen=True)
class Steps:
    """The steps of a chunk: as they are, or each as a task run of its own."""

    read_chunk: Callable[[Source, Chunk, Sequence[str], str | None, TextBudget], pa.Table] = read_chunk
    datetime_features: Callable[[pa.Table, Preprocessing], dict[str, FeatureBlock]] = datetime_features
    encode: Callable[[pa.Table, Mapping[str, FeatureBlock], Preprocessing], FeatureBlock] = encode
    split: Callable[[RowSplit, Chunk, pa.Table], SplitCodes] = split_codes
    window_states: Callable[[Segment, WindowSpec], list[WindowGram]] = window_states
    project: Callable[[WindowPCA, Segment, IntArray], FeatureBlock] = project
    write_part: Callable[[Store, str, pa.Table, Encoding], FileRecord] = write_part


PLAIN = Steps()


def profile_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Count the chunk's rows in every split, and profile the training rows' columns."""
    began = time.perf_counter()
    plan, features = run.plan, run.plan.roles.features
    codes, key_runs = _split_of(run, chunk, steps)
    in_train = codes == TRAIN
    profiles = {column.name: ColumnProfile.empty() for column in features}
    if plan.spec.source.profiles_by_query:
        if chunk.index == 0:  # one statement profiles the whole table
            assert plan.boundaries is not None  # as planned
            profiles = profile_by_query(run.source, plan.spec, features, plan.boundaries)
    elif in_train.any():
        rows = _read(run, chunk, [column.name for column in features], steps)
        rows = rows if in_train.all() else rows.filter(pa.array(in_train))
        profiles = profile_rows(rows, features, plan.spec.features)
    # Apart: there may be many categories, and merging the rest does not read them.
    states = {str(i): profile.without_categories.to_arrays() for i, profile in enumerate(profiles.values())}
    counts = {str(i): profile.categories.to_arrays() for i, profile in enumerate(profiles.values())}
    records = [
        run.store.keep_arrays(profile_name(chunk.index), prefixed(states)),
        run.store.keep_arrays(categories_name(chunk.index), prefixed(counts)),
    ]
    return replace(_receipt(plan, "profile", chunk, codes, records, backend, began), runs=key_runs)


def featurize_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Turn the chunk's rows into features, write a part for each split, and the Gram states of its training windows."""
    began = time.perf_counter()
    plan, job, windows, fitted = run.plan, run.plan.spec.job, run.plan.spec.windows, run.fitted.preprocessing
    if not job.publishes_rows and not run.fitted.split_rows[chunk.index, TRAIN]:
        return _receipt(plan, "featurize", chunk, np.empty(0, np.int8), [], backend, began)
    rows = _read(run, chunk, list(dict.fromkeys([*plan.roles.to_read, *plan.spec.split.keys])), steps)
    run.sink.check_values(rows, run.published_columns)
    codes = steps.split(split_of(plan), chunk, rows)
    if not job.publishes_rows:  # only the training rows are of use
        rows, codes = rows.filter(pa.array(codes == TRAIN)), codes[codes == TRAIN]
    runs = {"time": time_runs(rows, plan.roles.time, codes)} if plan.roles.time and windows.halo else {}
    block = steps.encode(rows, steps.datetime_features(rows, fitted), fitted)
    carried = rows.select([ROW_NUMBER, *plan.roles.carried])
    segments = segments_by_split(carried, block, codes, _series_starts(run, chunk.index))
    files, encoding = list[FileRecord](), feature_encoding(fitted)
    if not job.fits:
        counts = drift_counts(rows, fitted, run.fitted.baselines)
        arrays = prefixed({str(i): state.to_arrays() for i, state in enumerate(counts)})
        files.append(run.store.keep_arrays(drift_name(chunk.index), arrays))
    clipped = Counter[str]()
    for segment in segments.values():
        clipped.update(clipped_by_column(segment.block, fitted))
    del rows, block
    train = segments.get("train")
    pays = train is not None and bool(windows.strides) and state_pays(train.block.nbytes, windows, len(fitted.feature_names))
    if job.publishes_rows or not pays:
        for name, segment in segments.items():
            table = table_of(segment.carried, fitted.feature_names, segment.block)
            files.append(steps.write_part(run.store, feature_part(name, chunk.index), table, encoding))
    if job.publishes_rows and windows.strides:
        files.append(write_halo(run.store, halo_name(chunk.index), _heads(plan, segments, fitted.feature_names)))
    if train is not None and pays:
        states = steps.window_states(train, windows)
        arrays = prefixed({str(state.stride): state.to_arrays() for state in states})
        files.append(run.store.keep_arrays(grams_name(chunk.index), arrays))
    return replace(_receipt(plan, "featurize", chunk, codes, files, backend, began), clipped=dict(clipped), runs=runs)


def project_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Write the scores of all windows that begin in the chunk."""
    began = time.perf_counter()
    featurized = run.receipts.find("featurize", chunk.index)
    if featurized is None:
        raise DamagedError(f"{chunk} is to be projected, and is not featurized.")
    plan, windows = run.plan, run.plan.spec.windows
    files, n_windows = [], {f"{stride}/{name}": 0 for stride in windows.strides for name in plan.splits}
    explained, clipped = dict[str, ExplainedSquares](), Counter[str]()
    for i, name in enumerate(plan.splits):
        n_rows = int(run.fitted.series_starts[-1, i])
        # A series that is shorter than a window leaves a part without rows, so that readers find the columns.
        is_short = not plan.spec.job.fits and n_rows < windows.size and not chunk.index
        if not featurized.rows[name] and not is_short:
            continue
        segment = _read_segment(run, featurized, name).followed_by(_read_halo(run, chunk, name))
        for stride, pca in run.fitted.pcas.items():
            starts = segment.window_starts(windows.size, stride)
            if not len(starts) and not is_short:
                continue
            scores = steps.project(pca, segment, starts)
            columns = window_columns(segment, starts, halo=windows.halo, time=plan.roles.time, target=plan.roles.target)
            table = table_of(columns, component_names(pca), scores)
            files.append(steps.write_part(run.store, window_part(stride, name, chunk.index), table, Encoding()))
            n_windows[f"{stride}/{name}"] = len(starts)
            clipped[str(stride)] += count_clipped(scores)
            if not plan.spec.job.fits:
                explained[str(stride)] = pca.explained_squares(scores, segment.block, starts)
    seconds = time.perf_counter() - began
    found = {stride: n for stride, n in clipped.items() if n}
    return Receipt("project", chunk.index, n_windows, tuple(files), backend, seconds, explained=explained, clipped=found)


def profile_name(chunk: int) -> str:
    """Name of a chunk's profile, without its categories."""
    return f"profile/{chunk:05}.safetensors"


def categories_name(chunk: int) -> str:
    """Name of a chunk's counts of categories."""
    return f"categories/{chunk:05}.safetensors"


def grams_name(chunk: int) -> str:
    """Name of a chunk's Gram states."""
    return f"grams/{chunk:05}.safetensors"


def drift_name(chunk: int) -> str:
    """Name of a chunk's counts of the columns that a state is applied to."""
    return f"drift/{chunk:05}.safetensors"


def halo_name(chunk: int) -> str:
    """Name of the first rows of a chunk's splits."""
    return f"halo/{chunk:05}.arrow"


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
    return row_split(spec.split_method, spec.split, n_rows=plan.n_rows, time=spec.columns.time, boundaries=plan.boundaries)


def _split_of(run: Run, chunk: Chunk, steps: Steps) -> tuple[SplitCodes, dict[str, Runs]]:
    """Each row's split, from as few columns as possible, and the runs of equal keys."""
    split = split_of(run.plan)
    if run.plan.spec.source.profiles_by_query:
        assert isinstance(split, TemporalSplit)  # as planned
        return split_without_reading(chunk, split.boundaries, lambda: _read(run, chunk, split.columns, steps)[split.time]), {}
    if not split.needs_rows:
        return split.codes(pa.table({}), chunk.ranks), {}
    rows = _read(run, chunk, split.columns, steps)
    codes = steps.split(split, chunk, rows)
    return codes, split.key_runs(rows, codes) if run.plan.spec.windows.halo else {}


def _read(run: Run, chunk: Chunk, columns: Sequence[str], steps: Steps) -> pa.Table:
    return steps.read_chunk(run.source, chunk, columns, run.plan.spec.columns.time, run.plan.texts)


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


def _read_segment(run: Run, featurized: Receipt, split: str) -> TableSegment:
    record = run.receipts.file("featurize", featurized.chunk, feature_part(split, featurized.chunk))
    return _segment_of(run, read_part(run.store, record), _series_starts(run, featurized.chunk)[split])


def _read_halo(run: Run, chunk: Chunk, split: str) -> list[TableSegment]:
    """The rows after a chunk that its last windows need: the first rows of the chunks that follow."""
    missing, following, heads = run.plan.spec.windows.halo, chunk.index + 1, list[TableSegment]()
    column = run.plan.splits.index(split)
    while missing and following < len(run.plan.chunks):
        if run.fitted.split_rows[following, column]:
            record = run.receipts.file("featurize", following, halo_name(following))
            head = read_halo(run.store, record, split).slice(0, missing)
            heads.append(_segment_of(run, head, _series_starts(run, following)[split]))
            missing -= heads[-1].n_rows
        following += 1
    return heads


def _segment_of(run: Run, table: pa.Table, start: int) -> TableSegment:
    carried = table.select([ROW_NUMBER, *run.plan.roles.carried])
    return TableSegment(start, block_of(table, run.fitted.preprocessing.feature_names), carried)
