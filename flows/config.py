"""The job: one YAML file, checked before anything is done."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from emberharmony.errors import PlanError
from emberharmony.features.categorical import CategorySpec
from emberharmony.features.columns import ColumnSpec
from emberharmony.features.datetime import CyclicalSpec
from emberharmony.features.preprocessing import NumberSpec
from emberharmony.io.access import ACCESS_MEANING, Access
from emberharmony.io.bigquery.sink import BigQuerySinkSpec
from emberharmony.io.bigquery.source_spec import BigQuerySourceSpec
from emberharmony.io.local_paths import checked_folder
from emberharmony.io.parquet import ParquetSourceSpec
from emberharmony.pca import PCASpec
from emberharmony.pipeline.plan import Resources
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.splits import SplitSpec
from emberharmony.threads import available_cores
from emberharmony.windows import WindowSpec

Folder = Annotated[str, AfterValidator(checked_folder)]
"""A path, in which ``~`` is the user's home: no shell has looked at a job file."""


class ParquetSink(BaseModel):
    """A folder that receives `features`, `windows`, `state` and `manifest.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["parquet"] = Field("parquet", description="The kind of sink.")
    path: Folder = Field(description="Folder of the result; staged in it, under .staging, until all of it is there.")
    mode: Access = Field("private", description=ACCESS_MEANING)


def kind_of_place(value: Any) -> str:
    """Type of a source or sink, as a tag; files of Parquet unless it says otherwise."""
    return str(value.get("type", "parquet") if isinstance(value, dict) else getattr(value, "type", "parquet"))


Source = Annotated[
    Annotated[ParquetSourceSpec, Tag("parquet")] | Annotated[BigQuerySourceSpec, Tag("bigquery")], Discriminator(kind_of_place)
]
Sink = Annotated[
    Annotated[ParquetSink, Tag("parquet")] | Annotated[BigQuerySinkSpec, Tag("bigquery")], Discriminator(kind_of_place)
]


class Runtime(BaseModel):
    """How the job runs; nothing here changes its result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["none", "threads", "processes", "dask", "ray", "pools"] = Field(
        "threads", description="A plain loop without Prefect, or Prefect on threads, processes, Dask, Ray or worker pools."
    )
    address: str | None = Field(None, description="A Dask scheduler or Ray cluster to use; without one it is started here.")
    backend: str = Field(
        "auto", description="numpy, torch or mlx, with a device if wanted (torch:cuda:1); auto: the best here."
    )
    workers: int | None = Field(
        None, ge=1, description="Chunks at a time; by default one for each core, or as many as memory allows."
    )
    threads: int | None = Field(
        None, ge=1, description="Compute threads of each worker; by default this machine's cores shared out, elsewhere one."
    )
    pools: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="Worker pools of `engine: pools`: name of the `shard` deployment, shards at a time."
    )
    shard_chunks: int | None = Field(None, ge=1, description="Chunks of a shard; by default a quarter of a lane's part.")
    start_timeout_s: float = Field(
        180.0, gt=0, description="Seconds in which a worker has to begin a shard, before another pool gets it."
    )
    silence_timeout_s: float = Field(
        60.0,
        ge=2,
        description="Seconds without a sign of life from a shard's process, after which another pool does what is left.",
    )
    parity_check: float = Field(0.0, ge=0, le=1, description="Share of the chunks that NumPy computes too, to compare.")
    max_memory_gb: float = Field(4.0, gt=0, description="Bound of the whole process in GiB; the plan keeps to it or refuses.")
    chunk_rows: int | None = Field(
        None, ge=1, description="Rows that one task reads; by default what memory allows, at most 131,072."
    )
    granularity: Literal["stage", "chunk", "auto"] = Field(
        "auto",
        description="Prefect task runs: one for every step of a chunk; one for a stage of a chunk, or of several quick ones; "
        "or by the number of chunks.",
    )

    @model_validator(mode="after")
    def _check_pools(self) -> Runtime:
        if (self.engine == "pools") != bool(self.pools):
            raise ValueError("`engine: pools` and `pools` belong together: name the pools, such as `pools: {cpu: 2, gpu: 1}`.")
        return self


class AnyJob(BaseModel):
    """What every job is told: a table, a place for the result, and how to run."""

    # Somebody will write a key where its file's name belongs: no error of pydantic's shows what was given.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: Source
    sink: Sink
    runtime: Runtime = Runtime()

    @property
    def backend(self) -> str | None:
        """The backend asked for; ``None`` leaves it to the worker."""
        return None if self.runtime.backend == "auto" else self.runtime.backend

    @property
    def workers(self) -> int:
        """Chunks at a time, at most."""
        return self.runtime.workers or available_cores()

    @property
    def is_spread(self) -> bool:
        """Whether the work is done elsewhere, by workers that select their own backend."""
        return self.runtime.address is not None or self.runtime.engine == "pools"

    def threads_of(self, workers: int) -> int | None:
        """Compute threads of each of so many worker processes; ``None`` where the work is done in this one."""
        if self.runtime.engine in ("none", "threads", "pools"):  # a shard shares out the cores of its own host
            return None
        return self.runtime.threads or (1 if self.is_spread else max(1, available_cores() // workers))

    @property
    def resources(self) -> Resources:
        """What the plan may use."""
        runtime = self.runtime
        may_be_fewer = runtime.workers is None
        return Resources(runtime.chunk_rows, runtime.max_memory_gb, self.workers, self.backend, may_be_fewer)


class Job(AnyJob):
    """The whole job: everything the pipeline is told."""

    columns: ColumnSpec = ColumnSpec()
    datetime: CyclicalSpec = CyclicalSpec()
    categories: CategorySpec = CategorySpec()
    numbers: NumberSpec = NumberSpec()
    split: SplitSpec = SplitSpec()
    windows: WindowSpec = WindowSpec()
    pca: PCASpec = PCASpec()

    @property
    def spec(self) -> PipelineSpec:
        """The part that decides the result."""
        names = [field.name for field in dataclasses.fields(PipelineSpec) if field.name in type(self).model_fields]
        return PipelineSpec(**{name: getattr(self, name) for name in names})


class FitJob(Job):
    """The first half of a job: told as much, it publishes only what it has fitted."""

    @property
    def spec(self) -> PipelineSpec:
        """The part that decides the result."""
        return dataclasses.replace(super().spec, kind="fit")


class ApplyJob(AnyJob):
    """The second half: the same features, windows and scores of other rows, by a state that was fitted before."""

    state: Folder = Field(
        description="Folder where a job of `run` or `fit` has published; every other setting is in its state."
    )


JobT = TypeVar("JobT", bound=AnyJob)


def load_job(path: Path, overrides: Sequence[str] = (), model: type[JobT] = Job) -> JobT:  # type: ignore[assignment]
    """Read a job from YAML and override single values, such as ``windows.size=8``.

    Raises
    ------
    PlanError
        If the file cannot be read, or a key or value in it is not what a job has; the message names the key.
    """
    return parse_job(_read(path, overrides, model), where=str(path), model=model)


def load_any(path: Path, overrides: Sequence[str] = ()) -> Job | ApplyJob:
    """Read a job of either kind: one that names a `state` applies it."""
    data = _read(path, overrides, Job)
    return parse_job(data, where=str(path), model=ApplyJob if "state" in data else Job)


def _read(path: Path, overrides: Sequence[str], model: type[AnyJob]) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise PlanError(f"The job file {path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except yaml.YAMLError as error:
        raise PlanError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise PlanError(
            f"{path} has to hold the sections of a job ({', '.join(model.model_fields)}), not {type(data).__name__}."
        )
    data = {name: section for name, section in data.items() if section is not None}  # `windows:` with nothing below it
    for override in overrides:
        _override(data, override)
    return data


def parse_job(data: Mapping[str, Any], *, where: str = "the job", model: type[JobT] = Job) -> JobT:  # type: ignore[assignment]
    """Check a job that was read already.

    Raises
    ------
    PlanError
        If a key or value is not what a job has.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(detail, data, model) for detail in error.errors()]
        raise PlanError(f"{where}: " + "\n".join(dict.fromkeys(lines))) from error


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not name:
        raise PlanError(f"--set takes section.key=value, such as windows.size=8; got {override!r}.")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise PlanError(f"--set {override}: {section!r} is a value, not a section.")
    try:
        data[name] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PlanError(f"--set {override}: {text!r} is not a value that YAML knows; quote it if it is a text.") from error


def _explain(detail: Any, data: Mapping[str, Any], model: type[AnyJob]) -> str:
    """One validation error in words: which key, what is allowed, and the nearest name."""
    location = [str(part) for part in detail["loc"] if str(part) not in ("parquet", "bigquery")]
    key = ".".join(location)
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{key} is not a known key.{_nearest(location[-1], _allowed(location[:-1], data, model))}"
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
        return f"{'.'.join(location[:-1])} is {detail['input']!r}: it takes more than {location[-1]} values."
    if detail["type"] in ("missing", "missing_argument"):
        return f"{key} is missing: {_describe(location)}"
    if detail["type"] == "value_error":
        return f"{key}: {detail['ctx']['error']}"
    if detail["type"] == "union_tag_invalid":
        given = detail["ctx"]["tag"]
        return f"{key}.type is {given!r}; allowed: 'parquet' or 'bigquery'.{_nearest(given, _KINDS, listed=False)}"
    if detail["type"] == "literal_error":
        allowed = detail["ctx"]["expected"]
        choices = [choice.strip("' ") for choice in allowed.replace(" or ", ",").split(",")]
        return f"{key} is {detail['input']!r}; allowed: {allowed}.{_nearest(str(detail['input']), choices, listed=False)}"
    if detail["type"] == "dataclass_type" and "connection" not in location:
        hint = " For none, set `windows.strides: []`." if key == "windows" else ""
        return f"{key} is {detail['input']!r}: it is a section of {', '.join(_allowed(location, data, model))}.{hint}"
    message = _TAKES.get(detail["type"], detail["msg"][0].lower() + detail["msg"][1:])
    if "connection" in location:
        return f"{key}: {message}. What was given is not shown; keys and tokens have no place in a job, only names and paths."
    return f"{key} is {detail['input']!r}: {message}."


def _nearest(name: str, allowed: Iterable[str], *, listed: bool = True) -> str:
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return hint + (f" Allowed: {', '.join(allowed)}." if listed and allowed else "")


_KINDS = ("parquet", "bigquery")
_TAKES = {
    "tuple_type": "it takes a list, such as [a, b]",
    "time_delta_parsing": "it takes a length of time, such as P7D, PT12H, or a number of seconds",
}


def _allowed(location: Sequence[str], data: Mapping[str, Any], model: type[AnyJob]) -> list[str]:
    """Keys that the section at `location` may have; of a source or sink, those of its type."""
    section: Any = model
    given: Any = data
    for name in location:
        given = given.get(name, {}) if isinstance(given, dict) else {}
        options = [get_args(option)[:2] for option in get_args(_fields(section).get(name))]
        kinds = {tag.tag: option for option, tag in options} if options else {}
        section = kinds.get(kind_of_place(given)) if kinds else _fields(section).get(name)
    return list(_fields(section))


def _fields(section: Any) -> dict[str, Any]:
    """Names and types of a section's keys."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        return {name: field.annotation for name, field in section.model_fields.items()}
    if dataclasses.is_dataclass(section):
        hints = get_type_hints(section)
        return {field.name: hints[field.name] for field in dataclasses.fields(section)}
    return {}


def _describe(location: Sequence[str]) -> str:
    needed = {
        "source": "where the table is, such as `source: {type: parquet, path: data/flights.parquet}`.",
        "sink": "where the result goes, such as `sink: {type: parquet, path: data/features}`.",
        "state": "where a job was published, such as `state: data/flights-features`.",
        "path": "a file or folder.",
    }
    return needed.get(location[-1], "it has no default.")


class _UniqueKeyLoader(yaml.SafeLoader):
    """A loader that refuses a key given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is no name of a key", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
