"""What is going on at a place, from its store alone: who works there, how far the run is, and what is published.

Nothing is written, and no lock or lease is taken. How far a stage is follows from the listing of its receipts.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.manifest import Manifest, read_manifest
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.base import Store
from emberharmony.io.store.holder import Holder
from emberharmony.io.store.opening import open_files, result_at
from emberharmony.io.store.result import Result
from emberharmony.pipeline.attempt import Attempt
from emberharmony.pipeline.plan_file import PLAN, StagedPlan
from emberharmony.pipeline.published_slices import slice_folders
from emberharmony.pipeline.run import receipts_of
from emberharmony.pipeline.stages import Stage, stages_of_plan
from emberharmony.slices import FOLDER


@dataclass(frozen=True)
class DoneItem:
    """An item of a stage that is done."""

    at: float
    """When, in seconds since 1970, by the store's clock."""
    n_rows: int


@dataclass(frozen=True)
class StageStatus:
    """How far a stage is."""

    stage: Stage
    n_items: int
    n_rows: int
    """Of all items; 0 for a stage that runs once."""
    done: tuple[DoneItem, ...]
    """In the order of time."""

    @property
    def is_complete(self) -> bool:
        """Whether all of its items are done. Publishing leaves no receipt: the run is gone when it is done."""
        return len(self.done) >= self.n_items

    @property
    def done_rows(self) -> int:
        """Rows of the items that are done."""
        return sum(item.n_rows for item in self.done)


@dataclass(frozen=True)
class RunStatus:
    """A run that is not published yet."""

    name: str
    slice: str | None
    n_rows: int
    attempt: Attempt | None
    """The last one; ``None`` if a version of this library began it that noted none."""
    stages: tuple[StageStatus, ...]

    @property
    def current(self) -> StageStatus:
        """The stage that is being done, or comes next."""
        return next((stage for stage in self.stages if not stage.is_complete), self.stages[-1])

    @property
    def last_at(self) -> float | None:
        """When an item was done last, in seconds since 1970."""
        return max((stage.done[-1].at for stage in self.stages if stage.done), default=None)


@dataclass(frozen=True)
class PlaceStatus:
    """What is going on at the place of one result."""

    address: str
    holder: Holder | None
    run: RunStatus | None
    published: Manifest | None

    @property
    def is_at_work(self) -> bool:
        """Whether a run is at work here, as far as can be told from this host."""
        return self.holder is not None and self.holder.is_alive is not False


@dataclass(frozen=True)
class SinkStatus:
    """What is going on at a sink: at its own place, and at those of its slices."""

    read_at: float
    """When it was read, in seconds since 1970, by the clock of this host."""
    here: PlaceStatus
    slices: tuple[str, ...] = ()
    """Names of the slices that have a folder, in the order of time."""
    held: tuple[PlaceStatus, ...] = ()
    """The places of slices at which a run is at work, or was when it was killed."""

    @property
    def is_at_work(self) -> bool:
        """Whether any run is."""
        return any(place.is_at_work for place in (self.here, *self.held))


@dataclass
class StatusReader:
    """Reads the status of a sink, again and again: what cannot change any more is read once.

    Parameters
    ----------
    sink : str
        The `sink.path` of a job.
    """

    sink: str
    _plans: dict[tuple[str, Attempt | None], StagedPlan] = field(default_factory=dict)
    _complete: dict[tuple[str, Attempt | None, str], StageStatus] = field(default_factory=dict)

    def read(self) -> SinkStatus:
        """Return what is going on now.

        Raises
        ------
        DataError
            If nothing was ever published or begun there, or what is published is damaged.
        TerminalError
            If another version of this library has planned the run, or the store refuses.
        TransientError
            If the store cannot be reached for now.
        """
        read_at = time.time()
        here, folders = self._place(self.sink), slice_folders(self.sink)
        with ThreadPoolExecutor(open_files(self.sink).readers, thread_name_prefix="read-status") as pool:
            addresses = [child_address(self.sink, folder) for folder in folders]
            holders = list(pool.map(lambda address: result_at(address).holder(), addresses))
        held = [address for address, holder in zip(addresses, holders, strict=True) if holder is not None]
        names = tuple(folder.removeprefix(FOLDER) for folder in folders)
        status = SinkStatus(read_at, here, names, tuple(map(self._place, held)))
        if here.holder is None and here.run is None and here.published is None and not folders:
            raise DataError(
                f"Nothing is published at {without_query(self.sink)}, and no run is at work or was interrupted there. Give "
                f"the `sink.path` of a job."
            )
        return status

    def _place(self, address: str) -> PlaceStatus:
        result = result_at(address)
        holder = result.holder()
        run = self._run(result)
        return PlaceStatus(address, holder, run, read_manifest(result.published))

    def _run(self, result: Result) -> RunStatus | None:
        """The run that was planned last; ``None`` if there is none, or it is published while this looks at it."""
        for store in result.staged("", PLAN):
            try:
                return self._status_of(store)
            except (TerminalError, DataError, FileNotFoundError):
                if any(one.address == store.address for one in result.staged("", PLAN)):
                    raise
        return None

    def _status_of(self, store: Store) -> RunStatus:
        attempt = Attempt.read(store)
        key = store.address, attempt
        plan = self._plans.setdefault(key, self._plans.get(key) or StagedPlan.read(store))
        stages = [self._stage(store, plan, stage, attempt) for stage in stages_of_plan(plan)]
        part = plan.spec.slice
        return RunStatus(
            store.address.rstrip("/").rpartition("/")[2],
            part.name if part else None,
            plan.n_rows,
            attempt,
            tuple(stages),
        )

    def _stage(self, store: Store, plan: StagedPlan, stage: Stage, attempt: Attempt | None) -> StageStatus:
        key = store.address, attempt, stage.name
        if key in self._complete:
            return self._complete[key]
        receipts = receipts_of(plan, store)
        items = receipts.items(stage.name)
        rows = [0 if stage.once else item.n_rows for item in items]
        done = [DoneItem(at, rows[number]) for number, at in receipts.done_at(stage.name).items() if number < len(rows)]
        status = StageStatus(
            stage,
            1 if stage.once else len(items),
            sum(rows),
            tuple(sorted(done, key=lambda item: item.at)),
        )
        if status.is_complete:
            self._complete[key] = status
        return status


def read_status(sink: str) -> SinkStatus:
    """Return what is going on at a sink; see `StatusReader`."""
    return StatusReader(sink).read()
