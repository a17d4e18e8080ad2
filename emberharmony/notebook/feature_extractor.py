"""Features of a table in one call, made by the stages of the pipeline."""

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

import pyarrow as pa

from emberharmony.arrow import holds_times
from emberharmony.backend import select, using_backend
from emberharmony.features.columns import ColumnSpec, unnested
from emberharmony.features.preprocessing import Preprocessing, datetime_features, encode
from emberharmony.features.specs import CategorySpec, CyclicalSpec
from emberharmony.io.bigquery.connection import BigQueryConnection
from emberharmony.io.parts import table_of
from emberharmony.io.sources.base import SourceSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.nested import flat_schema
from emberharmony.notebook.arguments import (
    check_columns,
    entity_names,
    flag,
    name_or_none,
    names_of,
    number_in,
    split_spec,
    text,
    whole_number,
)
from emberharmony.notebook.bigquery_frames import (
    is_time,
    map_bigframe,
    session_of,
    with_cyclical_features,
)
from emberharmony.notebook.fitted import fitted_state, needed_columns, rows_for
from emberharmony.notebook.frame_splits import SplitFrames, split_frame
from emberharmony.notebook.frames import batches_of, is_bigframe, names_of_frame, write_batches
from emberharmony.notebook.preparation import prepared
from emberharmony.notebook.prepared import ColumnTypes, PreparedData, column_types
from emberharmony.notebook.progress import Progress
from emberharmony.notebook.state_file import read_state_file, write_state_file
from emberharmony.notebook.tables import (
    NO_WINDOWS,
    frame_chunks,
    in_order,
    named_source,
    rows_of,
    source_chunks,
    written_frame,
)
from emberharmony.notebook.time_index import with_named_index
from emberharmony.notebook.wall_times import with_datetime_features
from emberharmony.notebook.wording import EXTRACTOR_ARGUMENTS, told_by
from emberharmony.pipeline.plan import Resources
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.typing import FeatureBlock

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

T = TypeVar("T")


class TerabyteFeatureExtractor:
    """Features of Parquet files, BigQuery tables and frames, made by the stages of the pipeline.

    Rows are read and encoded in chunks, and everything is fitted on the training rows alone. Only the result is held in memory
    as a whole. If it is larger than memory, write the job as a file and run it with ``emberharmony run``. Features of a
    bigframes DataFrame are written to BigQuery, within the session of that frame, which stays open.

    Parameters
    ----------
    project_id : str, optional
        Google Cloud project that runs the queries; by default the project of the credentials.
    location : str
        Location of the data in BigQuery.
    chunk_size : int
        Rows that are read and encoded at once.
    max_memory_gb : float
        Largest memory of the process in GiB. A job that needs more is refused before it reads rows.
    verbose : bool
        Whether to show progress: logged at level INFO if logging is configured, else written to standard error.
    preferred_backend : str, optional
        ``numpy``, ``torch`` or ``mlx``, optionally with a device (``torch:cuda``); by default the current backend.

    Attributes
    ----------
    state : Preprocessing or None
        State fitted by the last `prepare_data`, or read by `load`.

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
        select(preferred_backend)  # a missing backend is an error now, not in the middle of the work
        self.project_id = project_id
        self.location = location
        self.chunk_size = whole_number("chunk_size", chunk_size)
        self.max_memory_gb = number_in("max_memory_gb", max_memory_gb, 0, math.inf)
        self.verbose = flag("verbose", verbose)
        self.preferred_backend = preferred_backend
        self.state: Preprocessing | None = None

    @told_by(EXTRACTOR_ARGUMENTS)
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
        split_method: Literal["temporal", "sequential", "hash", "random"] | None = None,
        max_categories: int = 100,
        entity: str | Sequence[str] = (),
    ) -> PreparedData:
        """Split the table, fit features on the training rows, and return the features of all rows.

        Parameters
        ----------
        table_or_path : str, path or DataFrame
            Parquet (a file, a folder or a glob pattern), a BigQuery table (``dataset.table`` or ``project.dataset.table``),
            or a pandas, polars or bigframes DataFrame.
        target_column : str, optional
            Column that is kept as it is, and is no feature.
        force_categorical_columns, drop_columns : sequence of str
            Numbers, or bytes that hold UTF-8 text, to treat as categories, and columns to leave out. Structs and fixed-size
            lists are columns such as ``place_lat`` and ``vector_0``; to leave out all of one, name it.
        high_null_threshold : float
            Columns with a larger share of missing values in the training rows are left out.
        limit : int, optional
            Use only this many rows: the earliest ones if rows have times, else the first ones of the table.
        index_col : str, optional
            Column that becomes the index of the frames; by default the index of a pandas frame, if it holds times. A column of
            times orders the rows, and the earliest 80 % are for training. Otherwise the first 80 % are. A BigQuery table
            needs one, which orders its rows.
        time_zone : str
            Time zone in which hours and days are read, such as ``America/New_York`` or ``+05:30``; times without a zone stay
            as they are.
        fractions : tuple of three floats
            Shares of train, validation and test; they add up to 1. A split with share 0 is an empty frame.
        split_method : {"temporal", "sequential", "hash", "random"}, optional
            How the rows are divided; see `SplitSpec`. ``hash`` divides whole entities, which is the default if there are
            entities and no times.
        max_categories : int
            Largest number of categories of a column that get a feature each, the most frequent ones first.
        entity : str or sequence of str
            Column or columns that tell the series of the table apart, such as a sensor or a customer. They are no features;
            the frames hold them between the features and the target. Rows come series by series, each in the order of time
            (without times, of the table); the series are in no particular order. A null is an entity like others.

        Raises
        ------
        PlanError
            If a column is missing or has two roles, a column of `entity` holds fractions or nested values, a split gets no
            rows, or the result needs more than `max_memory_gb`.
        DataError
            If the table cannot be read, or no feature can be made of it.
        ImportError
            If the table is in BigQuery and its libraries are not installed.

        Examples
        --------
        >>> import pandas as pd
        >>> hours = pd.date_range("2024-01-01", periods=50, freq="h")
        >>> table = pd.DataFrame({"t": [*hours, *hours], "sensor": ["a", "b"] * 50, "x": range(100)})
        >>> prepared = TerabyteFeatureExtractor(verbose=False).prepare_data(table, index_col="t", entity="sensor")
        >>> prepared.entity, prepared.train.groupby("sensor").size().to_dict()
        (('sensor',), {'a': 40, 'b': 40})
        """
        limit = None if limit is None else whole_number("limit", limit)
        categorical = names_of("force_categorical_columns", force_categorical_columns)
        dropped = names_of("drop_columns", drop_columns)
        check_columns(dropped, {"drop_columns": dropped})  # none twice: that is lost once nested ones are replaced
        threshold = number_in("high_null_threshold", high_null_threshold, 0, 1)
        target, index_col = name_or_none("target_column", target_column), name_or_none("index_col", index_col)
        cycles = CyclicalSpec(time_zone=text("time_zone", time_zone))
        entities = entity_names(entity)
        split = split_spec(fractions, split_method, entities)
        table, index_name = table_or_path, index_col
        if index_col is None:
            table, index_col = with_named_index(table_or_path)
            index_name = None if index_col is None else table_or_path.index.name
        with self._computing(), tempfile.TemporaryDirectory(prefix="emberharmony-") as folder:
            source = self._source(table, Path(folder), index_col, limit, dropped)
            schema = open_source(source).describe().schema
            dropped = unnested(dropped, schema)
            named = {"target_column": [target], "index_col": [index_col], "entity": entities, "drop_columns": dropped}
            check_columns(schema.names, named | {"force_categorical_columns": categorical})
            by_time = index_col in schema.names and holds_times(schema.field(index_col).type)
            columns = ColumnSpec(
                time=index_col if by_time else None,
                entity=entities,
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
            result = prepared(spec, self._resources(), Path(folder), index_col, session_of(table_or_path), self._say)
        self.state = result.state
        return result if index_name == index_col else result.with_index_name(index_name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted state to a file that `load` reads."""
        write_state_file(path, type(self).__name__, fitted_state(self.state).to_json(), {})

    @classmethod
    def load(cls, path: str | os.PathLike[str], **arguments: Any) -> TerabyteFeatureExtractor:
        """Return an extractor, made with these arguments, that has the state that `save` wrote.

        Raises
        ------
        DataError
            If the file is no such state, or is damaged.
        """
        extractor = cls(**arguments)
        extractor.state = Preprocessing.from_json(read_state_file(path, cls.__name__)[0])
        return extractor

    @told_by(EXTRACTOR_ARGUMENTS)
    def transform(self, table: Any, state: Preprocessing | None = None) -> pd.DataFrame:
        """Return the features of the rows of a frame, by a state that `prepare_data` fitted.

        Parameters
        ----------
        table : DataFrame
            A pandas, polars or bigframes DataFrame. Columns are found by name, and have the types that were fitted. A column
            without values may have any type.
        state : Preprocessing, optional
            The fitted state; by default that of the last `prepare_data` or `load`.

        Returns
        -------
        DataFrame
            With the index of a pandas or bigframes DataFrame. Without an index, rows of bigframes come in any order.

        Raises
        ------
        DataError
            If columns are missing or have other types; the message names them.
        """
        import pandas as pd

        state = fitted_state(state or self.state)
        if is_bigframe(table):
            names = state.feature_names
            features: pd.DataFrame = map_bigframe(
                table, lambda rows: table_of(rows.select([]), names, self._encoded(rows, state)), self.chunk_size
            )
            return features
        named, index = with_named_index(table, [column.name for column in state.columns])
        needed = needed_columns(state, [*names_of_frame(named), *([index] if index else [])])
        (rows,) = batches_of(named, 2**62, only=needed)
        frame = pd.DataFrame(self._encoded(rows, state).T, columns=list(state.feature_names))
        return frame.set_index(table.index) if isinstance(table, pd.DataFrame) else frame

    @told_by(EXTRACTOR_ARGUMENTS)
    def process_in_chunks(
        self,
        table_or_path: Any,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str] | None = None,
        index_col: str | None = None,
    ) -> list[T]:
        """Call a function with each chunk of the table as a frame, in order, and return the results.

        A BigQuery table is cut into ranges of `index_col`, a column of whole numbers or times.
        """
        columns = None if columns is None else names_of("columns", columns)
        results = []
        for number, rows in enumerate(self._chunks(table_or_path, columns, index_col)):
            results.append(function(rows.to_pandas()))
            self._say("chunk %d: %d rows", number, rows.num_rows)
        return results

    @told_by(EXTRACTOR_ARGUMENTS)
    def row_count(self, table_or_path: Any) -> int:
        """Return the number of rows of the table, read from its metadata."""
        if hasattr(table_or_path, "shape"):
            return int(table_or_path.shape[0])
        return open_source(self._named(table_or_path, None)).describe().n_rows

    @told_by(EXTRACTOR_ARGUMENTS)
    def detect_column_types(self, table_or_path: Any) -> ColumnTypes:
        """Return the names of the table's columns, by kind."""
        return column_types(self._schema(table_or_path))

    def _split_data(self, df: pd.DataFrame, index_col: str | None = None) -> SplitFrames:
        """Divide the rows of a frame 80 / 10 / 10, ordered by a column or index of times if one is named."""
        return split_frame(df, index_col)

    def _create_datetime_features(self, df: pd.DataFrame, col: str) -> pd.DataFrame:
        """Return the frame with eight cyclical features of a column of times, or of texts that can be read as times.

        The features are sine and cosine of 2π·hour/23, 2π·dayofweek/6 (Monday is 0), 2π·(day−1)/30 and 2π·(month−1)/11, in
        the time zone of the column; they are NaN where the time is missing. All texts are read by one format: ISO 8601, or
        the only common format that fits every value. If the column is missing, holds something else, or its days and months
        could be swapped, the frame is returned as it is, and a warning names the value. Texts of a frame in BigQuery are not
        read: convert them with `bigframes.pandas.to_datetime`.
        """
        if is_bigframe(df):
            if is_time(df, col):
                return cast("pd.DataFrame", with_cyclical_features(df, col))
            _log.warning("Column %r of the frame in BigQuery holds no times; no features are made of it.", col)
            return df
        with self._computing():
            return with_datetime_features(df, col)

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

    def _source(
        self, table: Any, folder: Path, index_col: str | None, limit: int | None, without: Sequence[str]
    ) -> SourceSpec:
        """Return the table as a source of a job; frames are written to the folder first."""
        if isinstance(table, (str, os.PathLike)):
            return in_order(self._named(table, index_col))
        # With an index column, the first rows are only known once all of them are ordered.
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
        return flat_schema(next(batches_of(table.head(1) if is_bigframe(table) else table, self.chunk_size)).schema)
