"""The three stages of a chunk: profile, featurize, project."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.errors import DamagedError
from emberharmony.features import preprocessing as pre
from emberharmony.features.columns import ROW_NUMBER
from emberharmony.features.drift import ColumnCounts
from emberharmony.features.kinds.categorical import strings
from emberharmony.features.kinds.numeric import count_clipped
from emberharmony.features.preprocessing import Preprocessing
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
from emberharmony.io.store.local import FileRecord, Store, prefixed
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.pushdown import profile_by_query, split_without_reading
from emberharmony.pipeline.run import Receipt, Run
from emberharmony.pipeline.tables import check_values
from emberharmony.planning.chunks import Chunk
from emberharmony.splits import SPLITS, SplitCodes, split_at_random, split_by_hash, split_by_rank, split_by_time
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.hashing import hash_rows, runs_of
from emberharmony.stats.runs import Runs
from emberharmony.stats.window_gram import WindowGram
from emberharmony.typing import Arrays, FeatureBlock
from emberharmony.windows import window_starts


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows of one split's series: the columns they carry, and their features."""

    start: int  # number in the series of the first row
    carried: pa.Table
    block: FeatureBlock

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.carried.num_rows)


def read_chunk(run: Run, chunk: Chunk, columns: Sequence[str]) -> pa.Table:
    """Read the chunk's rows in the job's order."""
    return run.source.read(chunk, columns, time=run.spec.columns.time, texts=run.text_budget)


def datetime_features(rows: pa.Table, fitted: Preprocessing) -> dict[str, FeatureBlock]:
    """Make the cyclical features of every datetime column."""
    return pre.datetime_features(rows, fitted)


def encode(rows: pa.Table, times: Mapping[str, FeatureBlock], fitted: Preprocessing) -> FeatureBlock:
    """Impute, scale and one-hot encode, and put all features in order."""
    return pre.encode(rows, times, fitted)


def split(run: Run, chunk: Chunk, rows: pa.Table) -> SplitCodes:
    """Decide the split of each of the chunk's rows."""
    if run.spec.kind == "apply":
        return np.zeros(rows.num_rows, np.int8)  # there is only one
    spec = run.spec.split
    if run.spec.split_method == "sequential":
        return _split_by_rank(run, chunk)
    if run.boundaries is not None:
        numbers, _, _ = ticks(rows[run.spec.columns.time])
        return split_by_time(numbers, run.boundaries)
    if run.spec.split_method == "hash":
        return split_by_hash(hash_rows([strings(rows[key]) for key in spec.keys], seed=spec.seed), spec)
    return split_at_random(rows[ROW_NUMBER].to_numpy(), spec)


def window_states(run: Run, train: Segment) -> list[WindowGram]:
    """Gram states of the training windows within the chunk, one for each stride."""
    windows = run.spec.windows
    return WindowGram.of_strides(train.block, start=train.start, size=windows.size, strides=windows.strides)


def project(pca: WindowPCA, rows: Segment, starts: range) -> FeatureBlock:
    """Scores of the windows that begin at `starts`, numbers in the series."""
    return pca.project(rows.block, first=starts.start - rows.start, count=len(starts))


@dataclass(frozen=True)
class Steps:
    """The steps of a chunk: as they are, or wrapped by whoever wants to watch them."""

    read_chunk: Callable[[Run, Chunk, Sequence[str]], pa.Table] = read_chunk
    datetime_features: Callable[[pa.Table, Preprocessing], dict[str, FeatureBlock]] = datetime_features
    encode: Callable[[pa.Table, Mapping[str, FeatureBlock], Preprocessing], FeatureBlock] = encode
    split: Callable[[Run, Chunk, pa.Table], SplitCodes] = split
    window_states: Callable[[Run, Segment], list[WindowGram]] = window_states
    project: Callable[[WindowPCA, Segment, range], FeatureBlock] = project
    write_part: Callable[[Store, str, pa.Table, Encoding], FileRecord] = write_part


PLAIN = Steps()
_STATE_WORTH = 2
"""Windows' matrices may take so many times the bytes of their rows. They cost space, but are made by all workers and merged at
the speed of reading; rows that are left to the fit are read again and multiplied by one process."""


def profile_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Count the chunk's rows in every split, and profile the training rows' columns."""
    began = time.perf_counter()
    boundaries = run.boundaries if run.spec.source.profiles_by_query else None
    runs = dict[str, Runs]()
    if boundaries is not None:
        time_column = run.spec.columns.time
        assert time_column is not None
        codes = split_without_reading(chunk, boundaries, lambda: steps.read_chunk(run, chunk, [time_column])[time_column])
    elif run.spec.split_method == "sequential":
        codes = _split_by_rank(run, chunk)  # no row is read for it
    else:
        rows = steps.read_chunk(run, chunk, _split_columns(run))
        codes = steps.split(run, chunk, rows)
        runs = _key_runs(run, rows, codes)
    in_train = codes == SPLITS.index("train")
    profiles = {column.name: ColumnProfile.empty() for column in run.roles.features}
    if boundaries is not None:
        if chunk.index == 0:  # one statement profiles the whole table
            profiles = profile_by_query(run.source, run.spec, run.roles.features, boundaries)
    elif in_train.any():
        rows = steps.read_chunk(run, chunk, [column.name for column in run.roles.features])
        rows = rows if in_train.all() else rows.filter(pa.array(in_train))
        cycles = run.spec.datetime if run.spec.numbers.scale == "all" else None
        for column in run.roles.features:
            values, epoch = rows[column.name], run.spec.datetime.epoch
            profiles[column.name] = ColumnProfile.of(column, values, cycles=cycles, epoch=epoch)
    # Apart: of categories there may be many, and who merges the rest does not read them.
    states = {str(i): profile.without_categories.to_arrays() for i, profile in enumerate(profiles.values())}
    counts = {str(i): profile.categories.to_arrays() for i, profile in enumerate(profiles.values())}
    records = [
        run.store.keep_arrays(profile_name(chunk.index), prefixed(states)),
        run.store.keep_arrays(categories_name(chunk.index), prefixed(counts)),
    ]
    return replace(_receipt(run, "profile", chunk, codes, records, backend, began), runs=runs)


def featurize_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Turn the chunk's rows into features, write a part for each split, and count its windows' products."""
    began = time.perf_counter()
    fitted, kind = run.preprocessing, run.spec.kind
    in_train = SPLITS.index("train")
    if kind == "fit" and not run.split_rows[chunk.index, in_train]:
        return _receipt(run, "featurize", chunk, np.empty(0, np.int8), [], backend, began)
    rows = steps.read_chunk(run, chunk, list(dict.fromkeys([*run.roles.to_read, *run.spec.split.keys])))
    check_values(run, rows)
    codes = steps.split(run, chunk, rows)
    if kind == "fit":  # nothing is published of the other splits
        rows, codes = rows.filter(pa.array(codes == in_train)), codes[codes == in_train]
    runs = _time_runs(run, rows, codes)
    block = steps.encode(rows, steps.datetime_features(rows, fitted), fitted)
    segments = _segments(run, chunk, rows.select([ROW_NUMBER, *run.roles.carried]), block, codes)
    files, encoding = list[FileRecord](), feature_encoding(fitted)
    if kind == "apply":
        files.append(run.store.keep_arrays(drift_name(chunk.index), _drift_counts(run, rows)))
    clipped = Counter[str]()
    for segment in segments.values():
        clipped.update(pre.count_clipped(segment.block, fitted))
    del rows, block
    has_windows = bool(run.spec.windows.strides)
    pays = has_windows and "train" in segments and state_pays(run, segments["train"].block.nbytes)
    if kind != "fit" or not pays:
        for name, segment in segments.items():
            table = table_of(segment.carried, fitted.feature_names, segment.block)
            files.append(steps.write_part(run.store, feature_part(name, chunk.index), table, encoding))
    if kind != "fit" and has_windows:
        files.append(write_halo(run.store, halo_name(chunk.index), _edges(run, segments)))
    if pays:
        states = steps.window_states(run, segments["train"])
        arrays = prefixed({str(state.stride): state.to_arrays() for state in states})
        files.append(run.store.keep_arrays(grams_name(chunk.index), arrays))
    return replace(_receipt(run, "featurize", chunk, codes, files, backend, began), clipped=dict(clipped), runs=runs)


def project_chunk(run: Run, chunk: Chunk, backend: str, steps: Steps = PLAIN) -> Receipt:
    """Write the scores of all windows that begin in the chunk."""
    began = time.perf_counter()
    featurized = run.committed("featurize", chunk.index)
    if featurized is None:
        raise DamagedError(f"{chunk} is to be projected, and is not featurized.")
    files, spec = [], run.spec.windows
    n_windows = {f"{stride}/{name}": 0 for stride in spec.strides for name in run.splits}
    explained, clipped = dict[str, ExplainedSquares](), Counter[str]()
    for i, name in enumerate(run.splits):
        n_rows = int(run.series_starts[-1, i])
        # A series that is shorter than a window leaves a part without rows, so that readers find the columns.
        is_short = run.spec.kind == "apply" and n_rows < spec.size and not chunk.index
        if not featurized.rows[name] and not is_short:
            continue
        segment = _with_halo(run, chunk, name, _read_segment(run, featurized, name))
        start, stop = (int(run.series_starts[chunk.index + at, i]) for at in (0, 1))
        for stride, pca in run.pcas.items():
            starts = window_starts(spec.size, stride, start=start, stop=stop, n_rows=n_rows)
            if not starts and not is_short:
                continue
            scores = steps.project(pca, segment, starts)
            table = table_of(_window_columns(run, segment, starts), component_names(pca), scores)
            files.append(steps.write_part(run.store, window_part(stride, name, chunk.index), table, Encoding()))
            n_windows[f"{stride}/{name}"] = len(starts)
            clipped[str(stride)] += count_clipped(scores)
            if run.spec.kind == "apply":
                explained[str(stride)] = pca.explained_squares(scores, segment.block, first=starts.start - segment.start)
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
    """Name of a chunk's window states."""
    return f"grams/{chunk:05}.safetensors"


def drift_name(chunk: int) -> str:
    """Name of a chunk's counts of the columns that a state is applied to."""
    return f"drift/{chunk:05}.safetensors"


def halo_name(chunk: int) -> str:
    """Name of the first rows of a chunk's splits."""
    return f"halo/{chunk:05}.arrow"


def component_names(pca: WindowPCA) -> list[str]:
    """Names of the score columns.

    They count from 1, as components do in print.
    """
    return [f"pc_{i + 1}" for i in range(pca.n_components)]


def feature_encoding(fitted: Preprocessing) -> Encoding:
    """Which feature columns files can shrink."""
    few = tuple(name for column in fitted.columns if column.few_values for name in column.features)
    one_hot = tuple(name for column in fitted.columns if column.kind == "categorical" for name in column.features)
    return Encoding(dictionary=few, sparse=one_hot)


def state_pays(run: Run, n_bytes: int) -> bool:
    """Whether matrices are worth making of so many bytes of training rows; fewer are merged as they are, by the fit alone."""
    windows = run.spec.windows
    n_features = len(run.preprocessing.feature_names)
    return _STATE_WORTH * n_bytes > (windows.size * (n_features + 1)) ** 2 * len(windows.strides) * 8


def _receipt(
    run: Run, stage: str, chunk: Chunk, codes: SplitCodes, files: Sequence[FileRecord], backend: str, began: float
) -> Receipt:
    counts = np.bincount(codes[codes >= 0], minlength=len(run.splits)).tolist()
    rows = dict(zip(run.splits, counts, strict=True))
    seconds = time.perf_counter() - began
    return Receipt(stage, chunk.index, rows, tuple(files), backend, seconds, int((codes < 0).sum()))


def _drift_counts(run: Run, rows: pa.Table) -> Arrays:
    """Rows of every fitted column by the bins of the training rows."""
    columns, baselines = run.preprocessing.columns, run.baselines
    counts = [ColumnCounts.of(column, rows[column.name], baselines[column.name].edges) for column in columns]
    return prefixed({str(i): state.to_arrays() for i, state in enumerate(counts)})


def _key_runs(run: Run, rows: pa.Table, codes: SplitCodes) -> dict[str, Runs]:
    """Runs of rows of equal keys in each split: whether windows over a hash split hold neighbouring rows."""
    if run.spec.split_method != "hash" or not run.spec.windows.halo:
        return {}
    keys = [strings(rows[key]) for key in run.spec.split.keys]
    return {name: runs_of([key.filter(pa.array(codes == i)) for key in keys]) for i, name in enumerate(SPLITS)}


def _time_runs(run: Run, rows: pa.Table, codes: SplitCodes) -> dict[str, Runs]:
    """Runs of rows of equal time, where windows may mix the series that they come from."""
    time = run.roles.time
    if time is None or not run.spec.windows.halo:
        return {}
    return {"time": Runs.of(ticks(rows[time])[0][codes >= 0])}


def _split_by_rank(run: Run, chunk: Chunk) -> SplitCodes:
    ranks = np.arange(chunk.first_row, chunk.first_row + chunk.n_rows)
    return split_by_rank(ranks, run.spec.split, run.n_rows)


def _split_columns(run: Run) -> list[str]:
    """Columns that decide a row's split."""
    if run.boundaries is not None and run.spec.columns.time:
        return [run.spec.columns.time]
    return list(run.spec.split.keys)  # none: the row number decides


def _segments(run: Run, chunk: Chunk, carried: pa.Table, block: FeatureBlock, codes: SplitCodes) -> dict[str, Segment]:
    """The chunk's rows by split; rows of a chunk within one split are not copied."""
    segments = {}
    for i, name in enumerate(run.splits):
        members = codes == i
        start = int(run.series_starts[chunk.index, i])
        if members.all():
            return {name: Segment(start, carried, block)}
        if members.any():
            segments[name] = Segment(start, carried.filter(pa.array(members)), np.compress(members, block, axis=1))
    return segments


def _edges(run: Run, segments: Mapping[str, Segment]) -> dict[str, pa.Table]:
    """The first rows of every split: what windows that begin in earlier chunks still need."""
    halo, names = run.spec.windows.halo, run.preprocessing.feature_names
    if not segments:
        return {"empty": table_of(_no_rows(run), names, np.empty((len(names), 0), np.float32))}
    return {k: table_of(s.carried.slice(0, halo), names, s.block[:, :halo].copy()) for k, s in segments.items()}


def _no_rows(run: Run) -> pa.Table:
    fields = [pa.field(ROW_NUMBER, pa.int64()), *(run.schema.field(name) for name in run.roles.carried)]
    return pa.schema(fields).empty_table()


def _read_segment(run: Run, featurized: Receipt, name: str) -> Segment:
    record = run.file("featurize", featurized.chunk, feature_part(name, featurized.chunk))
    return _segment_of(run, read_part(run.store, record), int(run.series_starts[featurized.chunk, run.splits.index(name)]))


def _segment_of(run: Run, table: pa.Table, start: int) -> Segment:
    carried = table.select([ROW_NUMBER, *run.roles.carried])
    return Segment(start, carried, block_of(table, run.preprocessing.feature_names))


def _with_halo(run: Run, chunk: Chunk, name: str, segment: Segment) -> Segment:
    """The segment with the rows after it that its last windows need: the first rows of the chunks that follow."""
    missing, following, heads = run.spec.windows.halo, chunk.index + 1, []
    column = run.splits.index(name)
    while missing and following < len(run.chunks):
        if run.split_rows[following, column]:
            edges = run.file("featurize", following, halo_name(following))
            head = read_halo(run.store, edges, name).slice(0, missing)
            heads.append(_segment_of(run, head, 0))
            missing -= head.num_rows
        following += 1
    if not heads:
        return segment
    carried = pa.concat_tables([segment.carried, *(head.carried for head in heads)])
    return Segment(segment.start, carried, np.concatenate([segment.block, *(head.block for head in heads)], axis=1))


def _window_columns(run: Run, segment: Segment, starts: range) -> pa.Table:
    """First and last row number and time of every window, and the target of its last row."""
    first = pa.array(np.arange(starts.start, starts.stop, starts.step) - segment.start)
    last = pa.array(first.to_numpy() + run.spec.windows.halo)
    columns = {"first_row": segment.carried[ROW_NUMBER].take(first), "last_row": segment.carried[ROW_NUMBER].take(last)}
    roles = run.roles
    if roles.time:
        columns |= {"start_time": segment.carried[roles.time].take(first), "end_time": segment.carried[roles.time].take(last)}
    if roles.target:
        columns[roles.target] = segment.carried[roles.target].take(last)
    return pa.table(columns)
