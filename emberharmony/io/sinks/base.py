"""The contract of a sink: where a result is published, beside the folder with its files, state and manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, Self

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.io.manifest import MANIFEST, Manifest
from emberharmony.io.store.access import Access
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.base import Store
from emberharmony.slices import SliceTimes, placeholders_in

_THREADS: Final = 8


class SinkSpec(Protocol):
    """What every sink's section of a job says."""

    @property
    def type(self) -> str:
        """The kind of sink: a key of `emberharmony.io.sinks.registry.SINKS`."""
        ...

    @property
    def path(self) -> str:
        """Folder for staging, fitted state and manifest."""
        ...

    @property
    def mode(self) -> Access:
        """Who may read that folder."""
        ...

    @property
    def keep_versions(self) -> int:
        """How many earlier results stay there."""
        ...

    @property
    def report(self) -> bool:
        """Whether a page that shows the run is written beside its result."""
        ...

    @property
    def texts(self) -> Mapping[str, str]:
        """Settings that may name the slice that is run, by `{slice}`; by their keys."""
        ...

    def of_slice(self, times: SliceTimes) -> Self:
        """Return the settings with which a job publishes one slice, and replaces no other; of that very slice, unchanged.

        The slice has a folder of its own: where `path` names the slice, that is the path; else one below it.

        Raises
        ------
        PlanError
            If the settings cannot be of a slice.
        """
        ...


def folder_of_slice(path: str, times: SliceTimes) -> str:
    """Return the folder of a slice: the path, with the slice in the place of `{slice}`, or a folder below it.

    Examples
    --------
    >>> from emberharmony.slices import SlicesSpec
    >>> spec = SlicesSpec()
    >>> night = spec.named("2026-11-28")
    >>> [folder_of_slice(path, SliceTimes(spec, night, night.start)) for path in ("out", "states/{slice}")]
    ['out/slice=2026-11-28', 'states/2026-11-28']
    """
    return times.fill(path) if placeholders_in(path) else child_address(path, times.slice.folder)


def check_replaces(write_disposition: str) -> None:
    """Refuse a slice whose rows are to be written otherwise than in place of its own.

    Raises
    ------
    PlanError
        If they are.

    Examples
    --------
    >>> check_replaces("replace")
    >>> check_replaces("append")
    Traceback (most recent call last):
    emberharmony.errors.PlanError: `sink.write_disposition` is 'append', but a slice replaces its own rows, and no ...
    """
    if write_disposition != "replace":
        raise PlanError(
            f"`sink.write_disposition` is {write_disposition!r}, but a slice replaces its own rows, and no others: leave it "
            f"out."
        )


class Sink(Protocol):
    """Publishes the rows of a result. `carried` names the source's columns among them; a job that only fits has none.

    The store commits the files, the state and the manifest of every result. A sink adds what else its vendor needs, and
    refuses early what the vendor cannot hold.
    """

    @property
    def keep_versions(self) -> int:
        """How many earlier results the store keeps."""
        ...

    @property
    def report(self) -> bool:
        """Whether a page that shows the run is written beside its result."""
        ...

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders of a run's files that the sink publishes itself, see `staged`; the store commits the others."""
        ...

    def check_credentials(self) -> None:
        """Refuse a job without the credentials that the sink needs, before a server is started for it.

        Raises
        ------
        TerminalError
            If they are missing or cannot be used.
        """
        ...

    def check_columns(self, schema: pa.Schema, carried: Sequence[str]) -> None:
        """Refuse, when planning, columns that the sink cannot hold.

        Raises
        ------
        PlanError
            If there is one; the message names it.
        """
        ...

    def check_features(self, names: Sequence[str], carried: Sequence[str]) -> None:
        """Refuse features that the destination cannot hold, as soon as they are known: in the plan, or when they are fitted.

        Raises
        ------
        PlanError, DataError
            If there are some; the message names them.
        """
        ...

    def check(self) -> None:
        """Refuse, before the work, a destination that is missing or cannot be written to.

        Raises
        ------
        PlanError, TerminalError
            If it is.
        """
        ...

    def check_values(self, rows: pa.Table, carried: Sequence[str]) -> None:
        """Refuse values that the sink cannot hold, where they are first read rather than when they are published.

        Raises
        ------
        DataError
            If there is one; the message names it.
        """
        ...

    def as_written(self, columns: pa.Table) -> pa.Table:
        """Return carried columns as the sink's files hold them.

        Raises
        ------
        DataError
            If a value would become another one.
        """
        ...

    def as_part(self, rows: pa.Table, *, split: str, run_id: str) -> pa.Table:
        """Return the rows of a part as its file holds them: `emberharmony.io.parts.as_stored` may rename and add columns."""
        ...

    def staged(self, run: Store) -> Store:
        """Return the store through which workers use a staged run; files of `own_folders` are where the sink wants them."""
        ...

    def accumulates(self, published: Store) -> bool:
        """Whether the rows of the result in this folder stay at the sink when another result takes the folder's place."""
        ...

    def check_published(self, published: Store, manifest: Manifest) -> None:
        """Refuse the result in this folder if its rows are elsewhere than the job says, or gone.

        Raises
        ------
        PlanError
            If they are.
        """
        ...

    def publish(self, run: Store, manifest: Manifest, *, state: str) -> None:
        """Publish the rows of a staged run. Safe to call again after an interruption: rows are published once.

        Parameters
        ----------
        run : Store
            Files of the staged run.
        manifest : Manifest
            The manifest of the run.
        state : str
            Where the fitted state will be.
        """
        ...

    def outputs(self, manifest: Manifest) -> tuple[str, ...]:
        """Folders, files and tables of a published result, in the order in which a reader asks."""
        ...


def output(path: str, manifest: Manifest, folder: str) -> str:
    """Where a folder of a published result is, as a person reads it.

    Parameters
    ----------
    path : str
        Path or address of the result.
    manifest : Manifest
        Its manifest.
    folder : str
        ``features``, ``windows`` or ``state``.
    """
    return without_query(child_address(path, f"{manifest.root}/{folder}".lstrip("/")))


def check_registered(run: Store, manifest: Manifest) -> None:
    """Compare the parts that a sink is to register with their records; see `Sink.own_folders`.

    Raises
    ------
    DamagedError
        If one is missing or was changed.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="check-parts") as pool:
        for file, is_whole in zip(manifest.registered, pool.map(run.holds, manifest.registered), strict=True):
            if not is_whole:
                raise run.damaged(file)
    run.make_durable(manifest.registered)


def fitted_outputs(path: str, manifest: Manifest) -> tuple[str, str]:
    """Outputs of every sink: the fitted state and the manifest."""
    return output(path, manifest, "state"), without_query(child_address(path, MANIFEST))
