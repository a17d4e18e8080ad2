"""Features of a table in one call: the notebook's door to the pipeline's own stages."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from emberharmony.backend import select, using_backend
from emberharmony.errors import DataError, PlanError
from emberharmony.features import datetime
from emberharmony.features.columns import ROW_NUMBER, ColumnSpec, kind_of
from emberharmony.features.datetime import CyclicalSpec
from emberharmony.features.prepared import ColumnTypes, PreparedData, SplitFrames
from emberharmony.features.preprocessing import Preprocessing, datetime_features, encode
from emberharmony.features.wall_times import wall_times
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.bigquery.frames import (
    is_time,
    map_bigframe,
    session_of,
    split_by_times,
    to_bigframe,
    with_cyclical_features,
)
from emberharmony.io.bigquery.source_spec import BigQuerySourceSpec
from emberharmony.io.frames import batches_of, is_bigframe, write_batches
from emberharmony.io.parquet import ParquetSourceSpec
from emberharmony.io.parts import feature_part, read_part, table_of
from emberharmony.messages import listed
from emberharmony.pipeline.chunk import PLAIN
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.run import Run, open_run
from emberharmony.pipeline.spec import PipelineSpec, SourceSpec, open_source, pinned
from emberharmony.pipeline.stages import fit_preprocessing_of, run_chunk
from emberharmony.pipeline.staging import stage_plan
from emberharmony.splits import SPLITS, SplitSpec, TimeBoundaries, split_by_rank, split_by_time
from emberharmony.typing import FeatureBlock
from emberharmony.windows import WindowSpec

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

T = TypeVar("T")

_NO_WINDOWS = WindowSpec(size=1, strides=(1,))
_BIGQUERY_NAME = re.compile(r"[\w-]+(\.[\w$-]+){1,2}")


class TerabyteFeatureExtractor:
    """Features of Parquet files, BigQuery tables and frames, by the stages that the pipeline runs.

    Rows are read and encoded in chunks; what is fitted is fitted on the training rows alone. Only the result is held in memory
    as a whole: for a result that is larger than that, write the job as a file and run it with ``emberharmony run``. The result
    of a bigframes DataFrame goes back to BigQuery, and is held there. Its session is used, and left open.

    Parameters
    ----------
    project_id : str, optional
        Google Cloud project of the queries; by default the one of the credentials.
    location : str
        Where BigQuery keeps the data.
    chunk_size : int
        Rows to read and encode at once.
    max_memory_gb : float
        Bound of the process in GiB; what cannot keep to it is refused before it is read.
    verbose : bool
        Log progress at level INFO.
    preferred_backend : str, optional
        ``numpy``, ``torch`` or ``mlx``, with a device if wanted; by default the current one.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=100, freq="h"), "x": range(100), "y": range(100)})
    >>> prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(table, target_column="y", index_col="t")
    >>> prepared.feature_names[:2], prepared.feature_names[-1], len(prepared.train), len(prepared.test)
    (('t_sin_hour', 't_cos_hour'), 'x', 80, 10)
    """

    def __init__(
        self,
        project_id: str | None = None,
        location: str = "US",
        chunk_size: int = 100_000,
        max_memory_gb: float = 16.0,
        verbose: bool = True,
        preferred_backend: str | None = None,
    ) -> None:
        if chunk_size < 1:
            raise ValueError(f"chunk_size is at least 1, got {chunk_size}.")
        if not max_memory_gb > 0:
            raise ValueError(f"max_memory_gb is more than 0, got {max_memory_gb}.")
        select(preferred_backend)  # now, not in the middle of the work: a backend that was asked for has to be there
        self.project_id = project_id
        self.location = location
        self.chunk_size = chunk_size
        self.max_memory_gb = max_memory_gb
        self.verbose = verbose
        self.preferred_backend = preferred_backend

    def prepare_data(
        self,
        table_or_path: Any,
        target_column: str | None = None,
        force_categorical_columns: Sequence[str] = (),
        drop_columns: Sequence[str] = (),
        high_null_threshold: float = 0.9,
        limit: int | None = None,
        index_col: str | None = None,
    ) -> PreparedData:
        """Split the table, fit its features on the training rows, and return all rows' features.

        Parameters
        ----------
        table_or_path : str, path or frame
            Parquet (a file, a folder, a glob pattern), a BigQuery table (``dataset.table`` or ``project.dataset.table``), or
            a pandas, polars or bigframes DataFrame.
        target_column : str, optional
            Carried along as it is, and no feature.
        force_categorical_columns, drop_columns : sequence of str
            Numbers that are categories, and columns to leave out.
        high_null_threshold : float
            Columns with a larger share of missing values in training are left out.
        limit : int, optional
            Take only the first rows: of the time order if there is one, else of the table's.
        index_col : str, optional
            The frames' index. Times order the rows, and the earliest 80 % train; else the first 80 % do, and another column
            is only carried along. BigQuery tables need one, which orders their rows.

        Raises
        ------
        PlanError
            If a column is not there, or the result does not fit into `max_memory_gb`.
        DataError
            If the table cannot be read, or nothing can be made of it.
        ImportError
            If BigQuery is asked for and its libraries are not installed.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit is at least 1, got {limit}.")
        for option, names in (("force_categorical_columns", force_categorical_columns), ("drop_columns", drop_columns)):
            if isinstance(names, str):
                raise TypeError(f"{option} is a sequence of columns, got the text {names!r}; write [{names!r}].")
        with self._computing(), tempfile.TemporaryDirectory(prefix="emberharmony-") as folder:
            source = self._source(table_or_path, Path(folder), index_col, limit)
            schema = open_source(source).describe().schema
            by_time = index_col in schema.names and kind_of(schema.field(index_col).type) == "datetime"
            columns = ColumnSpec(
                time=index_col if by_time else None,
                target=target_column,
                drop=tuple(drop_columns),
                categorical=tuple(force_categorical_columns),
                passthrough=(index_col,) if index_col and not by_time else (),
                high_null_threshold=high_null_threshold,
            )
            spec = PipelineSpec(source, columns, windows=_NO_WINDOWS)
            if limit is not None:
                path = Path(folder) / "limited.parquet"
                write_batches(_rows_of(spec, self._resources()), path, limit=limit)
                spec = replace(spec, source=ParquetSourceSpec(str(path)))
            return self._prepared(spec, Path(folder), index_col, session_of(table_or_path))

    def transform(self, table: Any, state: Preprocessing) -> pd.DataFrame:
        """Return the features of a frame's rows, by a state that `prepare_data` fitted.

        Of a pandas or bigframes DataFrame the result is one too, with its index. A bigframes DataFrame without index and order
        gives rows in any order: set an index to tell them apart.
        """
        import pandas as pd

        if is_bigframe(table):
            names = state.feature_names
            features: pd.DataFrame = map_bigframe(
                table, lambda rows: table_of(rows.select([]), names, self._encoded(rows, state)), self.chunk_size
            )
            return features
        (rows,) = batches_of(table, 2**62)
        frame = pd.DataFrame(self._encoded(rows, state).T, columns=list(state.feature_names))
        return frame.set_index(table.index) if isinstance(table, pd.DataFrame) else frame

    def process_in_chunks(
        self,
        table_or_path: Any,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str] | None = None,
        index_col: str | None = None,
    ) -> list[T]:
        """Call a function with every chunk of the table as a frame, in order, and return what it returned.

        A BigQuery table is cut into ranges of `index_col`, a column of whole numbers or times.
        """
        results = []
        for number, rows in enumerate(self._chunks(table_or_path, columns, index_col)):
            results.append(function(rows.to_pandas()))
            self._say("chunk %d: %d rows", number, rows.num_rows)
        return results

    def row_count(self, table_or_path: Any) -> int:
        """Return the table's number of rows, from its metadata."""
        if hasattr(table_or_path, "shape"):
            return int(table_or_path.shape[0])
        return open_source(self._named(table_or_path, None)).describe().n_rows

    def detect_column_types(self, table_or_path: Any) -> ColumnTypes:
        """Return the table's columns by what is made of them."""
        types = ColumnTypes([], [], [], [], [], [])
        for field in self._schema(table_or_path):
            kind = "struct" if pt.is_struct(field.type) else kind_of(field.type) or "unsupported"
            getattr(types, kind).append(field.name)
        return types

    def _split_data(self, df: pd.DataFrame, index_col: str | None = None) -> SplitFrames:
        """Divide a frame's rows 80 / 10 / 10: in the order of a column or index of times, else in the frame's own."""
        if is_bigframe(df):
            if not is_time(df, index_col):
                raise DataError(f"A frame in BigQuery is divided by a column of times, and {index_col!r} is none of it.")
            return SplitFrames(*split_by_times(df, str(index_col)))
        order, codes = np.arange(len(df)), None
        if index_col is not None:
            if index_col not in df.columns and index_col not in df.index.names:
                raise DataError(f"The frame has neither a column nor an index {index_col!r}.")
            values = df[index_col] if index_col in df.columns else df.index.get_level_values(index_col)
            times = pa.array(values, from_pandas=True)
            if kind_of(times.type) == "datetime":
                if times.null_count:
                    raise DataError(
                        f"{times.null_count:,} rows have no time in {index_col!r}, so they have no place in the order."
                    )
                ticks = datetime.ticks(times)[0]
                order = np.argsort(ticks, kind="stable")
                ordered = ticks[order]
                boundaries = TimeBoundaries.of(SplitSpec(), len(ordered), lambda rank: int(ordered[rank]))
                codes = split_by_time(ordered, boundaries)
        if codes is None:
            codes = split_by_rank(order, SplitSpec(), len(order))
        return SplitFrames(*(df.iloc[order[codes == i]] for i in range(len(SPLITS))))

    def _create_datetime_features(self, df: pd.DataFrame, col: str) -> pd.DataFrame:
        """Return the frame with eight cyclical features of a column of times, or of texts that are read as times.

        Sine and cosine of 2π·hour/23, 2π·dayofweek/6 (Monday is 0), 2π·(day−1)/30 and 2π·(month−1)/11, of the time as the
        column shows it, in its own time zone. Rows without a time have none. A column that is not there, or holds something
        else, leaves the frame as it is, and a warning says which value. Texts of a frame in BigQuery are not read: make them
        times with `bigframes.pandas.to_datetime`.
        """
        if is_bigframe(df):
            if is_time(df, col):
                return cast("pd.DataFrame", with_cyclical_features(df, col))
            _log.warning("%r is no column of times of this frame in BigQuery; no features are made of it.", col)
            return df
        times = wall_times(df, col)
        if times is None:
            return df
        with self._computing():
            block = datetime.cyclical_block(pa.chunked_array([times]), CyclicalSpec())
        block[:, times.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return df.assign(**dict(zip(datetime.feature_names(col), block, strict=True)))

    # ---- how it is done ----------------------------------------------------------------------------------------------

    def _computing(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.preferred_backend is None else using_backend(self.preferred_backend)

    def _say(self, message: str, *values: object) -> None:
        if self.verbose:
            _log.info(message, *values)

    def _encoded(self, rows: pa.Table, state: Preprocessing) -> FeatureBlock:
        missing = [column.name for column in state.columns if column.name not in rows.column_names]
        if missing:
            raise DataError(f"The frame lacks {listed(missing)}, which features are made of.")
        with self._computing():
            return encode(rows, datetime_features(rows, state), state)

    def _resources(self) -> Resources:
        return Resources(self.chunk_size, self.max_memory_gb, 1, self.preferred_backend)

    def _prepared(self, spec: PipelineSpec, folder: Path, index_col: str | None, session: Any) -> PreparedData:
        """Profile, fit and featurize, as the pipeline does, and read the parts it wrote."""
        plan = make_plan(pinned(spec), self._resources())
        ref = stage_plan(plan, folder / "run", backend=self.preferred_backend)
        self._say("%d rows in %d chunks", plan.n_rows, len(plan.chunks))
        for chunk in plan.chunks:
            run_chunk("profile", ref, chunk.index)
        n_features = fit_preprocessing_of(ref)
        if session is None:
            self._check_result_fits(plan.n_rows, n_features)
        self._say("%d features", n_features)
        # No windows are asked for: their sums would be made in vain.
        steps = replace(PLAIN, window_states=lambda run, train: [])
        for chunk in plan.chunks:
            run_chunk("featurize", ref, chunk.index, steps)
            self._say("%d rows encoded", chunk.first_row + chunk.n_rows)
        run = open_run(ref)
        train, validation, test = (_frame(run, split, index_col, session) for split in SPLITS)
        return PreparedData(train, validation, test, run.preprocessing.feature_names, run.preprocessing)

    def _check_result_fits(self, n_rows: int, n_features: int) -> None:
        needed = 2 * 4 * n_rows * n_features  # as columns read, and as a frame
        if needed > self.max_memory_gb * 2**30:
            raise PlanError(
                f"The frames of {n_rows:,} rows x {n_features:,} features need {needed / 2**30:.1f} GiB while they are made, "
                f"over the {self.max_memory_gb:g} GiB of max_memory_gb. Set `limit`, or write the result to files with "
                f"`emberharmony run`."
            )

    def _source(self, table: Any, folder: Path, index_col: str | None, limit: int | None) -> SourceSpec:
        """What the table is to a job; frames are written to the folder first."""
        if isinstance(table, (str, os.PathLike)):
            return _in_order(self._named(table, index_col))
        path = folder / "frame.parquet"
        # What comes first in the order of time is only known of all rows.
        write_batches(batches_of(table, self.chunk_size), path, limit=None if index_col else limit)
        return ParquetSourceSpec(str(path))

    def _named(self, name: str | os.PathLike[str], index_col: str | None) -> SourceSpec:
        text = os.fspath(name)
        if Path(text).exists() or text.endswith(".parquet") or not _BIGQUERY_NAME.fullmatch(text):
            return ParquetSourceSpec(text)
        _require_bigframes()
        return BigQuerySourceSpec(table=text, key=index_col, connection=self._connection())

    def _connection(self) -> BigQueryConnection:
        return BigQueryConnection(project=self.project_id, location=self.location)

    def _chunks(self, table: Any, columns: Sequence[str] | None, index_col: str | None) -> Iterator[pa.Table]:
        if not isinstance(table, (str, os.PathLike)):
            for rows in batches_of(table, self.chunk_size):
                unknown = sorted(set(columns or ()) - set(rows.column_names))
                if unknown:
                    raise DataError(f"The frame does not have {listed(unknown)}. It has: {listed(rows.column_names)}.")
                yield rows.select(list(columns)) if columns else rows
            return
        source = _in_order(self._named(table, index_col))
        if columns is not None:
            source = replace(source, columns=tuple(dict.fromkeys([*columns, *([index_col] if index_col else [])])))
        for rows in _rows_of(PipelineSpec(source, windows=_NO_WINDOWS), self._resources()):
            yield rows.select(list(columns)) if columns else rows

    def _schema(self, table: Any) -> pa.Schema:
        if isinstance(table, (str, os.PathLike)):
            return open_source(self._named(table, None)).describe().schema
        return next(batches_of(table.head(1) if is_bigframe(table) else table, self.chunk_size)).schema


def _require_bigframes() -> None:
    # Looked for, not imported: that takes seconds, and the Storage Read API brings the rows.
    if find_spec("bigframes") is None:
        raise ImportError(
            "BigQuery was asked for, and bigframes is not installed. Install it with: pip install 'emberharmony[bigquery]'"
        )


def _in_order(source: SourceSpec) -> SourceSpec:
    if isinstance(source, BigQuerySourceSpec) and source.key is None:
        raise PlanError(
            f"Rows of {source.table} have no order of their own: give `index_col`, a column of times, which orders them, "
            f"or of whole numbers, which chunks can be ranges of."
        )
    return source


def _rows_of(spec: PipelineSpec, resources: Resources) -> Iterator[pa.Table]:
    """All columns of the table, chunk by chunk, in the job's order."""
    plan = make_plan(pinned(spec), resources)
    source = open_source(plan.spec.source)
    for chunk in plan.chunks:
        yield source.read(chunk, plan.table.schema.names, time=spec.columns.time).drop_columns(ROW_NUMBER)


def _frame(run: Run, split: str, index_col: str | None, session: Any) -> pd.DataFrame:
    """All parts of a split as one frame, features first."""
    index = index_col or ROW_NUMBER
    columns = [index, *run.preprocessing.feature_names, *([run.roles.target] if run.roles.target else [])]
    parts = (
        read_part(run.store, record).select(columns)
        for receipt in run.receipts("featurize")
        for record in receipt.files
        if record.name == feature_part(split, receipt.chunk)
    )
    frame: pd.DataFrame
    if session is None:
        frame = pa.concat_tables(parts).to_pandas(split_blocks=True).set_index(index)
    else:
        frame = to_bigframe(parts, session, index=[index])
    return frame
