"""Bytes and features of a job's rows, and the memory that they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emberharmony.arrow import text_columns
from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnRoles
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.sources.base import Source, TableInfo
from emberharmony.pca import MAX_DEFAULT_COMPONENTS
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.vocabulary import categorical_columns, vocabulary_bounds
from emberharmony.planning.memory import MemoryPlan, MemoryRequest, memory_or_refusal, plan_memory
from emberharmony.planning.stage_bytes import RowSizes


@dataclass(frozen=True)
class JobColumns:
    """The columns of a job's table, and what decides how many features they make."""

    spec: PipelineSpec
    source: Source
    table: TableInfo
    roles: ColumnRoles
    fitted: Mapping[str, int] | None = None
    """Features of each column in the state that the job applies; ``None`` if it fits one."""

    def widths(self, n_distinct: Mapping[str, int]) -> dict[str, int]:
        """Return the most features of each column, given the number of distinct values of some."""
        features = self.spec.features
        return {c.name: kind_named(c.kind).width(features, n_distinct=n_distinct.get(c.name)) for c in self.roles.features}


def plan_rows(job: JobColumns, request: MemoryRequest, *, in_order: bool) -> tuple[RowSizes, MemoryPlan]:
    """Return the sizes of a row, and the memory of the job.

    Metadata only bound the number of categories. If the plan does not fit with full vocabularies, the categories of a small
    table are counted.

    Raises
    ------
    PlanError
        If the job does not fit into memory.
    """
    sizes = row_sizes(job, job.widths({}) | dict(job.fitted or {}), in_order=in_order)
    memory = memory_or_refusal(sizes, request)
    if isinstance(memory, MemoryPlan):
        return sizes, memory
    counted = _counted_sizes(job, request, in_order=in_order)
    if counted is None:
        raise PlanError(memory)
    return counted, plan_memory(counted, request)


def _counted_sizes(job: JobColumns, request: MemoryRequest, *, in_order: bool) -> RowSizes | None:
    """Return the sizes of a row with the categories that occur; ``None`` if they are fitted, or cannot be counted."""
    names = categorical_columns(job.roles, job.spec.features)
    if job.fitted is not None or not names:
        return None
    # Without any category: a job that does not fit even so is refused before categories are counted.
    plan_memory(row_sizes(job, job.widths(dict.fromkeys(names, 0)), in_order=in_order), request)
    found = vocabulary_bounds(job.source, job.table, names, max_categories=job.spec.categories.max_categories)
    return row_sizes(job, job.widths(found), in_order=in_order) if found else None


def row_sizes(job: JobColumns, widths: Mapping[str, int], *, in_order: bool) -> RowSizes:
    """Return the bytes of a row whose columns make the features of `widths`."""
    table, roles = job.table, job.roles
    columns = {*roles.to_read, *job.spec.split_keys, *table.always_read}
    # Arrow doubles the buffer of strings when it is full, and keeps both for a while.
    texts = columns.intersection(text_columns(table.schema), table.stored_bytes_per_row)
    stored = {**table.bytes_per_row, **table.stored_bytes_per_row}  # a profile holds equal values once, as files do
    counted = {column.name: kind_named(column.kind).counted(job.spec.features) for column in roles.features}
    return RowSizes(
        read_bytes=sum(table.bytes_per_row[name] for name in columns),
        carried_bytes=8 + sum(table.bytes_per_row[name] for name in roles.carried),
        n_features=sum(widths.values()),
        in_order=in_order,
        n_numbers=list(counted.values()).count("numbers"),
        category_bytes=sum(stored[name] + 16 for name, what in counted.items() if what == "categories"),
        in_flight_bytes=table.in_flight_bytes,
        decoding_bytes=max((table.bytes_per_row[name] for name in texts), default=0.0),
        score_bytes=_score_bytes(job.spec, sum(widths.values())),
    )


def _score_bytes(spec: PipelineSpec, n_features: int) -> float:
    n_components = min(spec.pca.components or MAX_DEFAULT_COMPONENTS, spec.windows.size * n_features)
    return sum(4 * n_components / stride for stride in spec.windows.strides)
