"""The files of a source and those of a result, on a disk or in a bucket: neither lie among the other."""

from __future__ import annotations

from emberharmony.errors import PlanError
from emberharmony.io.sources.capabilities import StoredFiles
from emberharmony.io.store.address import child_address, without_query

_FUTURE_PARTS = ("features/split=train/part-00000.parquet", "windows/stride=1/split=train/part-00000.parquet")


def check_files(sink: str, source: StoredFiles) -> None:
    """Refuse a sink that holds files of the source, or whose result the source would take in.

    Parameters
    ----------
    sink : str
        Address of the result: a path, or a prefix in a bucket.
    source : StoredFiles
        The table that is read.

    Raises
    ------
    PlanError
        If the next run would read this one's result, or this one would replace what it reads.
    """
    shown = without_query(sink)
    inside = source.file_within(sink)
    if inside is not None:
        raise PlanError(
            f"The source {inside} lies inside sink.path, {shown}. Choose a folder that holds nothing of the source."
        )
    if any(source.would_read(child_address(sink, part)) for part in _FUTURE_PARTS):
        raise PlanError(
            f"sink.path is {shown}, and source.path takes in what lies there: the next run would read this one's result. "
            f"Choose a folder outside of the source."
        )
