"""Open a published result: what it holds, and its tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emberharmony.errors import DataError, PlanError
from emberharmony.io.manifest import PUBLISHED_TO, Manifest, check_features, check_windows
from emberharmony.io.store.opening import result_at
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.messages import did_you_mean, shown
from emberharmony.pipeline.state import FittedState, published_state
from emberharmony.published.published_table import PublishedTable


def open_result(sink: str | Path, *, version: str | None = None) -> PublishedResult:
    """Open a published result for reading.

    What is opened stays one whole result while others are published in its place, as long as `sink.keep_versions` keeps it.

    Parameters
    ----------
    sink : str or Path
        The `sink.path` of a job that `run`, `fit` or `apply` has published.
    version : str, optional
        Name of a version that is kept there, as `emberharmony show` lists them; by default what is published.

    Returns
    -------
    PublishedResult
        The result.

    Raises
    ------
    DataError
        If nothing is published there, there is no such version, or its manifest is damaged.

    Examples
    --------
    For the result of the demo::

        result = open_result("data/flights-features")
        result.manifest.rows  # {'train': 269417, 'validation': 33644, 'test': 33715}
        result.features("test").to_pandas()
        result.windows(stride=3).to_polars().group_by("split").len().collect()

    >>> open_result("nowhere")
    Traceback (most recent call last):
    emberharmony.errors.DataError: Nothing is published at ...nowhere. Name the `sink.path` of a job that `run` or ...
    """
    return PublishedResult(result_at(sink).snapshot(version))


@dataclass(frozen=True)
class PublishedResult:
    """A published result: one version of it, whatever is published meanwhile. See `open_result`."""

    snapshot: Snapshot

    @property
    def version(self) -> str:
        """Name of the version, which `open_result` takes."""
        return self.snapshot.version

    @property
    def manifest(self) -> Manifest:
        """What the result consists of, and how it was made."""
        return self.snapshot.manifest

    @cached_property
    def state(self) -> FittedState:
        """The fitted state, read when it is first asked for.

        Raises
        ------
        DataError
            If it is damaged, or was written by a version of this library whose states cannot be applied.
        """
        return published_state(self.snapshot)

    def features(self, split: str | None = None) -> PublishedTable:
        """Return the feature rows: of one split, or of all with a column ``split``.

        Raises
        ------
        PlanError
            If there is no such split.
        DataError
            If the job only fitted, or its rows are elsewhere.
        """
        check_features(self.manifest, self.snapshot.address)
        return self._table("features", self.manifest.rows, split)

    def windows(self, *, stride: int, split: str | None = None) -> PublishedTable:
        """Return the windows of a stride, as PCA scores: of one split, or of all.

        Raises
        ------
        PlanError
            If there is no such stride or split.
        DataError
            If the job made no windows, or its rows are elsewhere.
        """
        check_windows(self.manifest, self.snapshot.address)
        self._check_one_of(str(stride), self.manifest.strides, "stride")
        return self._table(f"windows/stride={stride}", self.manifest.rows, split)

    def _table(self, folder: str, splits: Iterable[str], split: str | None) -> PublishedTable:
        splits = [*splits]
        if split is not None:
            self._check_one_of(split, splits, "split")
        parts = {name: self.snapshot.manifest.files_below(f"{folder}/split={name}/") for name in splits}
        every = [file for files in parts.values() for file in files]
        if not every:
            raise DataError(
                f"{self.snapshot.address} holds no files of {folder}: its rows are where its job has published them, in the "
                f"tables that {PUBLISHED_TO} names."
            )
        return PublishedTable(self.snapshot, tuple(every if split is None else parts[split]), every[0])

    def _check_one_of(self, name: str, known: Iterable[str], what: str) -> None:
        if name not in [*known]:
            raise PlanError(f"{self.snapshot.address} has no {what} {shown(name)}.{did_you_mean(name, known)}")
