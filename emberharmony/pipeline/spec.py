"""Everything of a job that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnRoles, ColumnSpec, assign_roles
from emberharmony.features.specs import CategorySpec, CyclicalSpec, FeatureSpecs, NumberSpec
from emberharmony.io.sources.capabilities import ArrangedByServer, Pinned
from emberharmony.io.sources.registry import AnySourceSpec, open_source
from emberharmony.pca import PCASpec
from emberharmony.slices import Slice
from emberharmony.splits import SPLITS, SplitSpec
from emberharmony.version import VERSION
from emberharmony.windows import WindowSpec

JobName = Literal["extract", "fit", "apply"]


@dataclass(frozen=True)
class JobKind:
    """What the three kinds of jobs differ in; their stages are those of `emberharmony.pipeline.stages`."""

    splits: tuple[str, ...]
    """Splits that the rows are divided into."""
    publishes: tuple[str, ...] = ("features", "windows", "state")
    """Folders of the result."""
    fits: bool = True
    """Whether it fits on the training rows, rather than apply a fitted state."""

    @property
    def publishes_rows(self) -> bool:
        """Whether features and windows are published, not only what was fitted."""
        return "features" in self.publishes


JOBS: Mapping[str, JobKind] = {
    "extract": JobKind(SPLITS),
    "fit": JobKind(SPLITS, publishes=("state",)),
    "apply": JobKind(("apply",), fits=False),
}


@dataclass(frozen=True)
class PipelineSpec:
    """The source and the specs of every step; chunk size, engine and backend are not among them."""

    source: AnySourceSpec
    columns: ColumnSpec = field(default_factory=ColumnSpec)
    datetime: CyclicalSpec = field(default_factory=CyclicalSpec)
    categories: CategorySpec = field(default_factory=CategorySpec)
    numbers: NumberSpec = field(default_factory=NumberSpec)
    split: SplitSpec = field(default_factory=SplitSpec)
    windows: WindowSpec = field(default_factory=WindowSpec)
    pca: PCASpec = field(default_factory=PCASpec)
    kind: JobName = "extract"
    state: str | None = None  # hash of the fitted state that is applied
    slice: Slice | None = None  # of a job that processes a table slice by slice

    @property
    def job(self) -> JobKind:
        """The kind of job."""
        return JOBS[self.kind]

    @property
    def features(self) -> FeatureSpecs:
        """The sections that say how features are made."""
        return FeatureSpecs(self.datetime, self.categories, self.numbers)

    @property
    def split_method(self) -> str:
        """The split's method: temporal with a time column, else hash with an entity, else sequential, unless the job says so.

        Rows of BigQuery that no column orders are divided at random.
        """
        if self.split.method or not self.columns.entities or self.columns.time:
            ordered = "temporal" if self.columns.time else "sequential" if self.source.has_order else "random"
            return self.split.method or ordered
        return "hash"

    @property
    def split_keys(self) -> tuple[str, ...]:
        """Columns whose values decide the split: the job's, or the entity; none unless the method is hash."""
        return (self.split.keys or self.columns.entities) if self.split_method == "hash" else ()

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON can hold it."""
        data: dict[str, Any] = spec_adapter().dump_python(self, mode="json")
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any], /) -> PipelineSpec:
        """Return the spec that `to_json` wrote."""
        spec: PipelineSpec = spec_adapter().validate_python(data)
        return spec

    def fingerprint(self, identity: object) -> str:
        """Hash of all that decides the result: the source's content, every spec, and the library's version."""
        settings = {key: value for key, value in self.to_json().items() if key != "source"}
        text = json.dumps([VERSION, identity, settings], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def pinned(spec: PipelineSpec, roles: Callable[[pa.Schema], ColumnRoles] | None = None, *, make: bool = True) -> PipelineSpec:
    """Return the spec with a source that all workers read at one moment, even if others change the table meanwhile.

    A server that can arrange the rows does so where it is worth it, in a copy of the columns that the job reads.

    Parameters
    ----------
    spec : PipelineSpec
        The job.
    roles : callable, optional
        Returns the roles of a table's columns; by default those that a job which fits gives them.
    make : bool
        Whether the server is to make a copy that is not there; without it, the job can only be planned.

    Raises
    ------
    PlanError
        If the job makes windows of rows that have no order.
    """
    time = spec.columns.time
    if spec.windows.strides and not (time or spec.source.has_order):
        unordered = f"Windows are runs of rows in an order, and rows of {spec.source} have none of their own: name"
        if spec.kind == "apply":
            raise PlanError(f"{unordered} the column that orders them in `source.key`.")
        raise PlanError(
            f"{unordered} the column that orders them in `columns.time`, or in `source.key`, or make no windows "
            f"(`windows.strides: []`)."
        )
    source = open_source(spec.source)
    if isinstance(source, ArrangedByServer) and source.arranges(spec.columns.entities, time):

        def needed(schema: pa.Schema) -> set[str]:
            found = roles(schema) if roles else assign_roles(schema, spec.columns, also=spec.split_keys)
            return {*found.to_read, *spec.split_keys}

        return replace(spec, source=source.arrange(spec.columns.entities, time, needed, make=make))
    return replace(spec, source=source.pin(time)) if isinstance(source, Pinned) else spec


@cache
def spec_adapter() -> Any:
    """What reads and writes the spec; made once, since that takes as long as a small job: 0.1 s."""
    from pydantic import TypeAdapter  # late: a library user who only computes does not need it

    return TypeAdapter(PipelineSpec)
