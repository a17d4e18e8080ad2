"""What the pipeline asks of a job, and of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self

from emberharmony.expectations.spec import ExpectSpec
from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.sources.base import SourceSpec
from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.plan import Resources
from emberharmony.pipeline.run import RunRef
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.stages import Stage
from emberharmony.pipeline.state import FittedState


class Job(Protocol):
    """A job of any kind; the models of `flows.config.job` are such jobs."""

    @property
    def source(self) -> SourceSpec:
        """The table that is read."""
        ...

    @property
    def sink(self) -> SinkSpec:
        """Where the result goes."""
        ...

    @property
    def expect(self) -> ExpectSpec:
        """What the rows have to be like to be published."""
        ...

    @property
    def state_address(self) -> str | None:
        """Path or address of the fitted state that is applied; ``None`` for a job that fits one."""
        ...

    def with_state(self, address: str) -> Self:
        """Return the job with another `state_address`."""
        ...

    @property
    def backend(self) -> str | None:
        """The backend asked for; ``None`` leaves it to the worker."""
        ...

    @property
    def is_spread(self) -> bool:
        """Whether workers elsewhere do the work, on backends that they select themselves."""
        ...

    @property
    def resources(self) -> Resources:
        """What the plan may use."""
        ...

    @property
    def parity_check(self) -> float:
        """Share of the chunks that are computed on NumPy as well."""
        ...

    def threads_of(self, workers: int) -> int | None:
        """Compute threads of each of so many worker processes; ``None`` where this process does the work."""
        ...

    def spec_for(self, state: FittedState | None) -> PipelineSpec:
        """Everything that decides the result; `state` is what `state_address` holds."""
        ...


class Engine(Protocol):
    """Maps a stage over its pending chunks: in order or in parallel, in this process or elsewhere."""

    @property
    def name(self) -> str:
        """Name of the engine in `runtime.engine`."""
        ...

    def map(self, stage: Stage, ref: RunRef, chunks: Sequence[int]) -> Iterator[ItemDone]:
        """Run a stage for the given chunks; yields an event for each as it is done, in any order."""
        ...
