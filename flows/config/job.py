"""The models of a job, which is one YAML file; it is checked before any work begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emberharmony.backend import get_backend
from emberharmony.errors import PlanError
from emberharmony.expectations.spec import ExpectSpec
from emberharmony.features.columns import ColumnSpec
from emberharmony.features.specs import CategorySpec, CyclicalSpec, NumberSpec
from emberharmony.io.store.address import is_bucket, without_query
from emberharmony.io.store.paths import Folder
from emberharmony.io.store.recent import RECENT_BYTES
from emberharmony.io.store.uploads import UPLOADS_BYTES
from emberharmony.messages import listed, shortened, shown
from emberharmony.pca import PCASpec
from emberharmony.pipeline.apply import applying
from emberharmony.pipeline.plan import Resources
from emberharmony.pipeline.slicing import in_slice
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.state import FittedState
from emberharmony.planning.memory import AHEAD, Beside
from emberharmony.slices import Slice, SlicesSpec, SliceTimes
from emberharmony.splits import SplitSpec
from emberharmony.threads import available_cores
from emberharmony.windows import WindowSpec
from flows.config.applied import AppliedColumns, AppliedWindows
from flows.config.errors import explain
from flows.config.files import parse_value, read_job_file
from flows.config.host_memory import TORCH_BYTES, most_processes, server_bytes
from flows.config.places import Sink, Source
from flows.config.runtime import Runtime
from flows.config.sliced import SliceName, check_is_whole
from flows.config.strict_schema import strict_validator
from flows.engines.base import Choice, EngineKind
from flows.engines.registry import ENGINES


class AnyJob(BaseModel):
    """What all jobs have: a source, a sink, and how to run."""

    # Errors of pydantic never show the given value: somebody will paste a secret key instead of the name of its file.
    # Building a model takes 0.1 s, and a command uses one of four.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    command: ClassVar[str]

    source: Source
    sink: Sink
    slices: SlicesSpec | None = None
    slice: SliceName | None = Field(None, description="The slice to run, such as `2026-11-28`; `--slice` sets it.")
    expect: ExpectSpec = ExpectSpec()
    runtime: Runtime = Runtime()

    @classmethod
    def check_command(cls, data: Mapping[str, Any], path: str) -> None:
        """Refuse a job of another command, and name that command.

        Raises
        ------
        PlanError
            If the job is one.
        """

    @property
    def backend(self) -> str | None:
        """The requested backend; ``None`` if the worker selects it."""
        return None if self.runtime.backend == "auto" else self.runtime.backend

    @property
    def engine(self) -> EngineKind:
        """The engine that runs the job; for `auto`, the one that it chooses here and now."""
        return self.choose_engine().kind

    def choose_engine(self) -> Choice:
        """Return the engine that runs the job, and the reason.

        Raises
        ------
        TerminalError
            If the choice depends on Prefect's settings, and they cannot be read.
        """
        return ENGINES[self.runtime.engine].choose(self)

    @property
    def needs_block(self) -> bool:
        """Whether credentials of the job are kept in a Prefect block."""
        connections = [getattr(place, "connection", None) for place in (self.source, self.sink)]
        return any(connection is not None and connection.credentials_block for connection in connections)

    def with_engine(self, kind: EngineKind) -> Self:
        """Return the job with an engine that stays the same while it runs."""
        return self.model_copy(update={"runtime": self.runtime.model_copy(update={"engine": kind.name})})

    @property
    def state_address(self) -> str | None:
        """Path or address of the fitted state that is applied; ``None`` for a job that fits one."""
        return None

    def with_state(self, address: str) -> Self:
        """Return the job with another state."""
        return self.model_copy(update={"state": address})

    @property
    def parity_check(self) -> float:
        """Share of the chunks that are computed on NumPy as well."""
        return self.runtime.parity_check

    @property
    def workers(self) -> int:
        """Largest number of chunks at a time; this many worker processes are started on this host."""
        if self.runtime.workers:
            return self.runtime.workers
        worker = self._worker_bytes
        return min(available_cores(), most_processes(self.runtime.max_memory_gb, worker)) if worker else available_cores()

    @property
    def _worker_bytes(self) -> int:
        """Bytes of a worker process that is started on this host, before its first chunk; 0 if none is started."""
        kind = self.engine
        if not kind.worker_bytes or kind.is_remote(self.runtime):
            return 0
        uses_torch = (self.backend or get_backend()).startswith("torch")
        return kind.worker_bytes + uses_torch * TORCH_BYTES

    @property
    def is_spread(self) -> bool:
        """Whether the work is done elsewhere, by workers that select their own backend."""
        return self.engine.is_remote(self.runtime)

    def spec_for(self, state: FittedState | None) -> PipelineSpec:
        """Everything that decides the result; `state` is what `state_address` holds."""
        spec = self._whole_spec(state)
        return spec if self.part is None else in_slice(spec, self.slicing, self.part)

    def _whole_spec(self, state: FittedState | None) -> PipelineSpec:
        """The spec of the job of the whole table."""
        raise NotImplementedError

    @property
    def slicing(self) -> SlicesSpec:
        """How the table is divided into slices: by days, unless the job says otherwise."""
        return self.slices or SlicesSpec()

    def with_slice(self, name: str) -> Self:
        """Return the job of a slice."""
        return self.model_copy(update={"slice": name})

    @property
    def part(self) -> Slice | None:
        """The slice that is run; ``None`` for the whole table."""
        return None if self.slice is None else self.slicing.named(self.slice)

    def resolved(self) -> Self:
        """Return the job with the sink of its slice; a job that is resolved already, or has no slice, as it is.

        Raises
        ------
        PlanError
            If the job is to be run slice by slice, and names none; or there is no such slice.
        """
        part = self.part
        if part is None:
            check_is_whole(self.source, self.sink, self.slices)
            return self
        return self.model_copy(update={"sink": self.sink.of_slice(SliceTimes(self.slicing, part, part.start))})

    def threads_of(self, workers: int) -> int | None:
        """Compute threads of each of so many worker processes; ``None`` if each process decides for itself."""
        return self.engine.threads_of(self.runtime, workers)

    @property
    def resources(self) -> Resources:
        """What the plan may use."""
        runtime = self.runtime
        may_be_fewer = runtime.workers is None
        worker = self._worker_bytes
        server = server_bytes() if self.engine.uses_prefect else 0
        n_workers, services = (self.workers, self.engine.services_bytes) if worker else (0, 0)
        held = UPLOADS_BYTES + RECENT_BYTES if is_bucket(self.sink.path) else 0
        beside = Beside(n_workers, worker, server, services, held)
        return Resources(
            runtime.chunk_rows, runtime.max_memory_gb, self.workers, self.backend, may_be_fewer, beside, ahead=self._ahead
        )

    @property
    def _ahead(self) -> int:
        """Chunks for each worker that are read or written while it computes another one."""
        return AHEAD if self.engine.overlaps(self.runtime) and (self.source.is_remote or is_bucket(self.sink.path)) else 0


class Job(AnyJob):
    """A whole job: fit, and publish features, windows and state."""

    command: ClassVar[str] = "run"

    columns: ColumnSpec = ColumnSpec()
    datetime: CyclicalSpec = CyclicalSpec()
    categories: CategorySpec = CategorySpec()
    numbers: NumberSpec = NumberSpec()
    split: SplitSpec = SplitSpec()
    windows: WindowSpec = WindowSpec()
    pca: PCASpec = PCASpec()

    def _whole_spec(self, state: FittedState | None) -> PipelineSpec:
        return self.spec

    @property
    def spec(self) -> PipelineSpec:
        """The settings that decide the result."""
        names = [field.name for field in dataclasses.fields(PipelineSpec) if field.name in type(self).model_fields]
        return PipelineSpec(**{name: getattr(self, name) for name in names})

    @classmethod
    def check_command(cls, data: Mapping[str, Any], path: str) -> None:
        """Refuse a job that names a state: another command applies it."""
        if "state" in data:
            raise PlanError(
                f"{path} names a `state` to apply, so it is not a job of `emberharmony {cls.command}`. Run: "
                f"emberharmony apply {path}"
            )


class FitJob(Job):
    """A job with the same settings that publishes only the fitted state."""

    command: ClassVar[str] = "fit"

    @property
    def spec(self) -> PipelineSpec:
        """The settings that decide the result."""
        return dataclasses.replace(super().spec, kind="fit")


class ApplyJob(AnyJob):
    """A job that applies a fitted state: the same features, windows and scores of other rows."""

    command: ClassVar[str] = "apply"

    of_state: ClassVar[tuple[str, ...]] = tuple(name for name in Job.model_fields if name not in AnyJob.model_fields)
    """Sections that are part of the fitted state."""

    state: Folder = Field(
        description="Folder where a job of `run` or `fit` has published, which every other setting is from. In a folder of "
        "such folders, `FOLDER/latest` is the newest by name, and `FOLDER/@2026-11` the newest whose name begins so."
    )
    columns: AppliedColumns = AppliedColumns()
    windows: AppliedWindows = AppliedWindows()

    @property
    def state_address(self) -> str:
        """Path or address of the fitted state that is applied."""
        return self.state

    def _whole_spec(self, state: FittedState | None) -> PipelineSpec:
        assert state is not None
        columns, windows = self.columns, self.windows
        return applying(state, self.source, null_time=columns.null_time, lookback=windows.lookback)

    @classmethod
    def check_command(cls, data: Mapping[str, Any], path: str) -> None:
        """Refuse a job with settings of its own and no state."""
        settings = [name for name in data if name in cls.of_state]
        if settings and "state" not in data:
            raise PlanError(
                f"{path} has {listed(settings)} and names no `state`, so it is a job of `emberharmony run` or `fit`. To apply "
                f"what it has fitted, write a job of `state`, `source` and `sink`, such as configs/flights-apply.yaml."
            )


JobT = TypeVar("JobT", bound=AnyJob)


def load_job(path: str | Path, overrides: Sequence[str] = (), model: type[JobT] = Job) -> JobT:  # type: ignore[assignment]
    """Read a job from YAML, on a disk or in a bucket, and override single values, such as ``windows.size=8``.

    Raises
    ------
    PlanError
        If the file cannot be read, is a job of another command, or holds a key or value that a job does not have; the message
        names the key.
    """
    data, where = _read(path, overrides, model), without_query(str(path))
    model.check_command(data, where)
    return parse_job(data, where=where, model=model)


def load_any(path: str | Path, overrides: Sequence[str] = ()) -> Job | ApplyJob:
    """Read a job of any kind: a job with a `state` applies it."""
    data = _read(path, overrides, Job)
    return parse_job(data, where=without_query(str(path)), model=ApplyJob if "state" in data else Job)


def parse_job(data: Mapping[str, Any], *, where: str = "the job", model: type[JobT] = Job) -> JobT:  # type: ignore[assignment]
    """Check a job that was read from YAML.

    Numbers, texts and booleans are not converted into one another: ``size: yes`` is no 1.

    Raises
    ------
    PlanError
        If a key or value is not what a job has.
    """
    try:
        job: JobT = strict_validator(model).validate_python(data)
    except ValidationError as error:
        raise PlanError(explain(error, data, model, where)) from error
    return job


def _read(path: str | Path, overrides: Sequence[str], model: type[AnyJob]) -> dict[str, Any]:
    data = read_job_file(path)
    if not isinstance(data, dict):
        raise PlanError(
            f"{without_query(str(path))} has to hold the sections of a job ({', '.join(model.model_fields)}), not "
            f"{type(data).__name__}."
        )
    data = with_sections(data)
    for override in overrides:
        _override(data, override)
    return data


def with_sections(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job that was read from YAML without its empty sections, such as `windows:` with nothing below it."""
    return {name: section for name, section in data.items() if section is not None}


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not all((*sections, name)):
        raise PlanError(f"--set takes section.key=value, such as windows.size=8; got {shown(override)}.")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise PlanError(f"--set {shortened(override)}: {shown(section)} is a value, not a section.")
    try:
        data[name] = parse_value(text)
    except PlanError as error:
        raise PlanError(
            f"--set {shortened(override)}: {shown(text)} is not a YAML value ({error}); quote it if it is a string."
        ) from error
