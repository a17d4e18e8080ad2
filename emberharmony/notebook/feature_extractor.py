"""Features of a table in one call: the notebook's door to the pipeline's own stages."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
import pyarrow as pa

from emberharmony.arrow import ticks
from emberharmony.backend import select, using_backend
from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ColumnSpec, kind_of
from emberharmony.features.kinds.categorical import CategorySpec
from emberharmony.features.kinds.datetime import CyclicalSpec
from emberharmony.features.preprocessing import Preprocessing, datetime_features, encode
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.parts import table_of
from emberharmony.io.sources.parquet.source import ParquetSourceSpec
from emberharmony.notebook.arguments import check_columns, flag, name_or_none, names_of, number_in, text, whole_number
from emberharmony.notebook.bigquery_frames import (
    is_time,
    map_bigframe,
    session_of,
    split_by_times,
    with_cyclical_features,
)
from emberharmony.notebook.fitted import fitted_state, rows_for
from emberharmony.notebook.frames import batches_of, is_bigframe, write_batches
from emberharmony.notebook.prepared import ColumnTypes, PreparedData, SplitFrames, column_types
from emberharmony.notebook.progress import Progress
from emberharmony.notebook.splits import split_spec
from emberharmony.notebook.state_file import read_state_file, write_state_file
from emberharmony.notebook.tables import (
    NO_WINDOWS,
    check_splits,
    frame_chunks,
    frame_of,
    in_order,
    named_source,
    null_targets,
    rows_of,
    source_chunks,
    written_frame,
)
from emberharmony.notebook.time_index import with_named_index
from emberharmony.notebook.wall_times import with_datetime_features
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.run import open_run
from emberharmony.pipeline.spec import PipelineSpec, SourceSpec, open_source, pinned
from emberharmony.pipeline.stages import run_stage
from emberharmony.pipeline.staging import stage_plan
from emberharmony.splits import SPLITS, SplitSpec, TimeBoundaries, split_by_rank, split_by_time
from emberharmony.typing import FeatureBlock

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

T = TypeVar("T")


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
        Show progress: logged at level INFO where logging is configured, else written to standard error.
    preferred_backend : str, optional
        ``numpy``, ``torch`` or ``mlx``, with a device if wanted; by default the current one.

    Attributes
    ----------
    state : Preprocessing or None
        What the last `prepare_data` fitted, or `load` read.

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
        select(preferred_backend)  # now, not in the middle of the work: a backend that was asked for has to be there
        self.project_id = project_id
        self.location = location
        self.chunk_size = whole_number("chunk_size", chunk_size)
        self.max_memory_gb = number_in("max_memory_gb", max_memory_gb, 0, math.inf)
        self.verbose = flag("verbose", verbose)
        self.preferred_backend = preferred_backend
        self.state: Preprocessing | None = None

    def prepare_data(
        self,
        table_or_path: Any,
        target_column: str | None = None,
        force_categorical_columns: Sequence[str] = (),
        drop_columns: Sequence[str] = (),
        high_null_threshold: float = 0.9,
        limit: int | None = None,
        index_col: str | None = None,
        *,
        time_zone: str = "UTC",
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_method: Literal["temporal", "sequential", "random"] | None = None,
        max_categories: int = 100,
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
            The frames' index; by default a pandas frame's own, if it holds times. Times order the rows, and the earliest 80 %
            train; else the first 80 % do, and another column is only carried along. BigQuery tables need one, which orders
            their rows.
        time_zone : str
            Where clocks are read, such as ``America/New_York``; times without a zone are taken as they stand.
        fractions : tuple of three floats
            Shares of the rows that train, validate and test.
        split_method : {"temporal", "sequential", "random"}, optional
            How rows are divided, see `SplitSpec`.
        max_categories : int
            Most frequent training values of a column that get a feature each.

        Raises
        ------
        PlanError
            If a column is not there or has two roles, or the result does not fit into `max_memory_gb`.
        DataError
            If the table cannot be read, or nothing can be made of it.
        ImportError
            If BigQuery is asked for and its libraries are not installed.
        """
        limit = None if limit is None else whole_number("limit", limit)
        categorical = names_of("force_categorical_columns", force_categorical_columns)
        dropped = names_of("drop_columns", drop_columns)
        threshold = number_in("high_null_threshold", high_null_threshold, 0, 1)
        target, index_col = name_or_none("target_column", target_column), name_or_none("index_col", index_col)
        cycles = CyclicalSpec(time_zone=text("time_zone", time_zone))
        split = split_spec(fractions, split_method)
        table, index_name = table_or_path, index_col
        if index_col is None:
            table, index_col = with_named_index(table_or_path)
            index_name = None if index_col is None else table_or_path.index.name
        with self._computing(), tempfile.TemporaryDirectory(prefix="emberharmony-") as folder:
            source = self._source(table, Path(folder), index_col, limit, dropped)
            schema = open_source(source).describe().schema
            named = {"target_column": [target], "index_col": [index_col], "drop_columns": dropped}
            check_columns(schema.names, named | {"force_categorical_columns": categorical})
            by_time = index_col in schema.names and kind_of(schema.field(index_col).type) == "datetime"
            columns = ColumnSpec(
                time=index_col if by_time else None,
                target=target,
                drop=dropped,
                categorical=categorical,
                passthrough=(index_col,) if index_col and not by_time else (),
                high_null_threshold=threshold,
            )
            categories = CategorySpec(whole_number("max_categories", max_categories))
            spec = PipelineSpec(source, columns, datetime=cycles, categories=categories, split=split, windows=NO_WINDOWS)
            if limit is not None:
                path = Path(folder) / "limited.parquet"
                write_batches(rows_of(spec, self._resources()), path, limit=limit)
                spec = replace(spec, source=ParquetSourceSpec(str(path)))
            prepared = self._prepared(spec, Path(folder), index_col, session_of(table_or_path))
        self.state = prepared.state
        return prepared if index_name == index_col else prepared.with_index_name(index_name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted state to a file that `load` reads."""
        write_state_file(path, type(self).__name__, fitted_state(self.state).to_json(), {})

    @classmethod
    def load(cls, path: str | os.PathLike[str], **arguments: Any) -> TerabyteFeatureExtractor:
        """Return an extractor with the state that `save` wrote, and with these arguments.

        Raises
        ------
        DataError
            If the file is something else, or damaged.
        """
        extractor = cls(**arguments)
        extractor.state = Preprocessing.from_json(read_state_file(path, cls.__name__)[0])
        return extractor

    def transform(self, table: Any, state: Preprocessing | None = None) -> pd.DataFrame:
        """Return the features of a frame's rows, by a state that `prepare_data` fitted; by default the last one.

        Columns are looked up by name, and hold values of the types that were fitted; one without any value may have any type.
        Of a pandas or bigframes DataFrame the result is one too, with its index. A bigframes DataFrame without index and order
        gives rows in any order: set an index to tell them apart.

        Raises
        ------
        DataError
            If columns are missing or of other types; the message names them.
        """
        import pandas as pd

        state = fitted_state(state or self.state)
        if is_bigframe(table):
            names = state.feature_names
            features: pd.DataFrame = map_bigframe(
                table, lambda rows: table_of(rows.select([]), names, self._encoded(rows, state)), self.chunk_size
            )
            return features
        needed = [column.name for column in state.columns]
        (rows,) = batches_of(with_named_index(table, needed)[0], 2**62, only=needed)
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
        columns = None if columns is None else names_of("columns", columns)
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
        return column_types(self._schema(table_or_path))

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
                numbers = ticks(times)[0]
                order = np.argsort(numbers, kind="stable")
                ordered = numbers[order]
                boundaries = TimeBoundaries.of(SplitSpec(), len(ordered), lambda rank: int(ordered[rank]))
                codes = split_by_time(ordered, boundaries)
        if codes is None:
            codes = split_by_rank(order, SplitSpec(), len(order))
        return SplitFrames(*(df.iloc[order[codes == i]] for i in range(len(SPLITS))))

    def _create_datetime_features(self, df: pd.DataFrame, col: str) -> pd.DataFrame:
        """Return the frame with eight cyclical features of a column of times, or of texts that are read as times.

        Sine and cosine of 2π·hour/23, 2π·dayofweek/6 (Monday is 0), 2π·(day−1)/30 and 2π·(month−1)/11, of the time as the
        column shows it, in its own time zone. Rows without a time have none. All texts are read by one format: ISO 8601, or
        the one of a few that fits every value. A column that is not there, holds something else, or has days and months in an
        order that no value decides, leaves the frame as it is, and a warning says which value. Texts of a frame in BigQuery
        are not read: make them times with `bigframes.pandas.to_datetime`.
        """
        if is_bigframe(df):
            if is_time(df, col):
                return cast("pd.DataFrame", with_cyclical_features(df, col))
            _log.warning("%r is no column of times of this frame in BigQuery; no features are made of it.", col)
            return df
        with self._computing():
            return with_datetime_features(df, col)

    # ---- how it is done ----------------------------------------------------------------------------------------------

    def _computing(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.preferred_backend is None else using_backend(self.preferred_backend)

    def _say(self, message: str, *values: object) -> None:
        Progress(_log, verbose=self.verbose)(message, *values)

    def _encoded(self, rows: pa.Table, state: Preprocessing) -> FeatureBlock:
        rows = rows_for(rows, state)
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
            run_stage("profile", ref, chunk.index)
        run_stage("fit", ref)
        n_features = len(open_run(ref).preprocessing.feature_names)
        if session is None:
            self._check_result_fits(plan.n_rows, n_features)
        self._say("%d features", n_features)
        check_splits(open_run(ref))
        for chunk in plan.chunks:
            run_stage("featurize", ref, chunk.index)
            self._say("%d rows encoded", chunk.first_row + chunk.n_rows)
        run = open_run(ref)
        train, validation, test = (frame_of(run, split, index_col, session) for split in SPLITS)
        n_without = null_targets(run)
        if n_without:
            self._say("%d rows have no %s: their target is null", n_without, run.roles.target)
        return PreparedData(train, validation, test, run.preprocessing.feature_names, run.preprocessing)

    def _check_result_fits(self, n_rows: int, n_features: int) -> None:
        needed = 2 * 4 * n_rows * n_features  # as columns read, and as a frame
        if needed > self.max_memory_gb * 2**30:
            raise PlanError(
                f"The frames of {n_rows:,} rows x {n_features:,} features need {needed / 2**30:.1f} GiB while they are made, "
                f"over the {self.max_memory_gb:g} GiB of max_memory_gb. Set `limit`, or write the result to files with "
                f"`emberharmony run`."
            )

    def _source(
        self, table: Any, folder: Path, index_col: str | None, limit: int | None, without: Sequence[str]
    ) -> SourceSpec:
        """What the table is to a job; frames are written to the folder first."""
        if isinstance(table, (str, os.PathLike)):
            return in_order(self._named(table, index_col))
        # What comes first in the order of time is only known of all rows.
        return written_frame(table, folder, self.chunk_size, without, None if index_col else limit)

    def _named(self, name: str | os.PathLike[str], index_col: str | None) -> SourceSpec:
        return named_source(name, index_col, BigQueryConnection(project=self.project_id, location=self.location))

    def _chunks(self, table: Any, columns: Sequence[str] | None, index_col: str | None) -> Iterator[pa.Table]:
        if not isinstance(table, (str, os.PathLike)):
            return frame_chunks(table, columns, self.chunk_size)
        return source_chunks(in_order(self._named(table, index_col)), columns, index_col, self._resources())

    def _schema(self, table: Any) -> pa.Schema:
        if isinstance(table, (str, os.PathLike)):
            return open_source(self._named(table, None)).describe().schema
        return next(batches_of(table.head(1) if is_bigframe(table) else table, self.chunk_size)).schema
