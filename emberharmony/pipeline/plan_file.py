"""The plan of a staged run, as a file: what every task of the run knows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from operator import call
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberharmony.arrow import text_columns
from emberharmony.errors import TerminalError
from emberharmony.features.columns import ColumnRoles, FeatureColumn
from emberharmony.features.kinds.base import DroppedColumn
from emberharmony.io.sources.text_budget import TextBudget
from emberharmony.io.sources.time_rows import tick_at
from emberharmony.io.store.arrays import as_safetensors, from_safetensors
from emberharmony.io.store.base import Store
from emberharmony.pipeline.arrangement import job_order
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.planning.chunk_groups import ChunkGroups, partition_levels
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.merge_tree import GRAM_STAGES, PROFILE_STAGES, MergeLevels, MergeTree
from emberharmony.splits import TimeBoundaries
from emberharmony.steps.context import SliceStart
from emberharmony.steps.order import JobOrder
from emberharmony.threads import in_parallel
from emberharmony.typing import Arrays, IntArray

PLAN = "plan.json"
CHUNKS, INPUTS = "chunks.safetensors", "inputs.safetensors"
CATALOGUE = "catalogue.arrow"
PLAN_VERSION = 5


@dataclass(frozen=True)
class StagedPlan:
    """The part of a `Plan` that tasks need: small, and the same for all of them."""

    fingerprint: str  # hash of all that decides the result
    spec: PipelineSpec
    schema: pa.Schema
    roles: ColumnRoles
    n_rows: int  # that take part: all rows of the table except those without a time
    boundaries: TimeBoundaries | None
    texts: TextBudget  # memory that the texts of a chunk may take
    facts: Mapping[str, Any]  # what a summary shows
    chunks: tuple[Chunk, ...]
    inputs: tuple[Chunk, ...] = ()  # pieces of the table whose rows are arranged first
    merges: MergeLevels = field(default_factory=MergeLevels)  # of states, before the stages that fit

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Return what tasks need of a plan."""
        bytes_per_row = {name: plan.table.bytes_per_row[name] for name in text_columns(plan.table.schema)}
        facts = {
            "source_rows": plan.table.n_rows,
            "null_times": plan.n_null_times,
            "in_order": plan.in_order,
            "chunk_rows": plan.memory.chunk_rows,
            "projected_bytes": plan.memory.projected_bytes,
            "arranged_row_bytes": plan.arranged_row_bytes,
            "applied_state": dict(plan.applied_state),
        }
        return cls(
            fingerprint=plan.fingerprint,
            spec=plan.spec,
            schema=plan.table.schema,
            roles=plan.roles,
            n_rows=plan.n_rows,
            boundaries=plan.boundaries,
            texts=TextBudget(bytes_per_row, plan.memory.spare_bytes),
            facts=facts,
            chunks=plan.chunks,
            inputs=plan.inputs,
            merges=plan.merges,
        )

    @cached_property
    def order(self) -> JobOrder:
        """The order of the rows, and the series that they form."""
        return job_order(self.spec, self.schema)

    @cached_property
    def slice_start(self) -> SliceStart | None:
        """Where the slice begins, in a job that reads rows from before it; else ``None``."""
        part, time, windows = self.spec.slice, self.spec.columns.time, self.spec.windows
        if self.spec.job.fits or part is None or time is None or not (windows.lookback and windows.strides):
            return None
        return SliceStart(time, tick_at(part.start, self.schema.field(time).type))

    @cached_property
    def groups(self) -> ChunkGroups:
        """Chunks whose rows are partitioned together at first, where rows are arranged."""
        return ChunkGroups.of_plan(self.inputs, self.chunks)

    @property
    def levels(self) -> int:
        """How often the rows are partitioned to arrange them."""
        return partition_levels(self.inputs, self.chunks)

    @cached_property
    def profile_tree(self) -> MergeTree:
        """How the profiles of the chunks are merged."""
        return MergeTree(PROFILE_STAGES, len(self.chunks), self.merges.profiles)

    @cached_property
    def gram_tree(self) -> MergeTree:
        """How the Gram states of the chunks are merged."""
        return MergeTree(GRAM_STAGES, len(self.chunks), self.merges.grams)

    @property
    def to_read(self) -> tuple[str, ...]:
        """Columns of the source that the job reads, those of its order and its split among them."""
        return tuple(dict.fromkeys([*self.roles.to_read, *self.spec.split_keys]))

    @property
    def reach(self) -> int:
        """Rows that a window needs from its first one on: its own, and those up to its label if rows have one.

        The last windows of an applied slice are there before the rows of their labels are.
        """
        return self.spec.windows.size + (0 if self.has_later_labels else self.label_after)

    @property
    def has_later_labels(self) -> bool:
        """Whether windows may have no label yet, because its row belongs to a later slice."""
        return self.label_after > 0 and self.spec.slice is not None and not self.spec.job.fits

    @property
    def label_after(self) -> int:
        """Rows from a window's last one to the row whose target is its label."""
        return self.spec.windows.horizon if self.roles.target else 0

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return self.spec.job.splits

    @cached_property
    def run_name(self) -> str:
        """Name of the run's folder: fingerprint, chunks, merges and format, so that only the same work is ever resumed."""
        work = b"%d" % PLAN_VERSION + _chunk_table(self.chunks + self.inputs).tobytes() + ",".join(self.merges.stages).encode()
        digest = hashlib.sha256(work).hexdigest()[:8]
        return f"{self.fingerprint}-{len(self.chunks)}-{digest}"

    def write(self, store: Store, *beside: Callable[[], None]) -> None:
        """Write the plan into a run's store, and call `beside`, which write what has to be there when the plan is."""
        writes = [*beside, lambda: store.put(CHUNKS, as_safetensors(_chunk_arrays(self.chunks)))]
        if self.inputs:
            writes.append(lambda: store.put(INPUTS, as_safetensors(_chunk_arrays(self.inputs))))
        for _ in in_parallel(call, writes, store.readers):
            pass
        store.write_json(PLAN, self._to_json())  # last: if it is there, the plan is complete

    @classmethod
    def read(cls, store: Store) -> Self:
        """Return the plan that `write` wrote.

        Raises
        ------
        TerminalError
            If a version of this library wrote it whose plans have another format.
        """
        reads: tuple[Callable[[], Any], ...] = (lambda: store.read_json(PLAN), lambda: _chunks_in(store, CHUNKS))
        found = in_parallel(call, reads, store.readers)
        data = next(found)
        if data["version"] != PLAN_VERSION:
            raise TerminalError(
                f"{store.address_of(PLAN)} has version {data['version']}, and this library reads version {PLAN_VERSION}: "
                f"another version of emberharmony planned this run. Install the same version on every worker."
            )
        roles = data["roles"]
        return cls(
            fingerprint=data["fingerprint"],
            spec=PipelineSpec.from_json(data["spec"]),
            schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(data["schema"]))),
            roles=ColumnRoles(
                features=tuple(FeatureColumn(**column) for column in roles["features"]),
                time=roles["time"],
                target=roles["target"],
                passthrough=tuple(roles["passthrough"]),
                entity=tuple(roles["entity"]),
                dropped=tuple(DroppedColumn(**column) for column in roles["dropped"]),
            ),
            n_rows=data["n_rows"],
            boundaries=TimeBoundaries(**data["boundaries"]) if data["boundaries"] else None,
            texts=TextBudget(**data["texts"]),
            facts=data["facts"],
            chunks=next(found),
            inputs=_chunks_in(store, INPUTS) if data["n_inputs"] else (),
            merges=MergeLevels(**data["merges"]),
        )

    def _to_json(self) -> dict[str, Any]:
        return {
            "version": PLAN_VERSION,
            "fingerprint": self.fingerprint,
            "spec": self.spec.to_json(),
            "schema": base64.b64encode(self.schema.serialize()).decode(),
            "roles": asdict(self.roles),
            "n_rows": self.n_rows,
            "boundaries": asdict(self.boundaries) if self.boundaries else None,
            "texts": asdict(self.texts),
            "facts": dict(self.facts),
            "n_inputs": len(self.inputs),
            "merges": asdict(self.merges),
        }


def _chunk_table(chunks: tuple[Chunk, ...]) -> IntArray:
    """First row, number of rows, and ranges of times and of ties of every chunk; absent ranges are empty."""
    table = np.array([[c.first_row, c.n_rows, *(c.times or (0, 0)), *(c.ties or (0, 0))] for c in chunks], np.int64)
    return table if any(chunk.ties for chunk in chunks) else table[:, :4].copy()


def _chunk_arrays(chunks: tuple[Chunk, ...]) -> Arrays:
    table = _chunk_table(chunks)
    arrays = {"first_row": table[:, 0], "n_rows": table[:, 1]}
    if any(chunk.times for chunk in chunks):
        arrays["times"] = table[:, 2:4]
    if any(chunk.ties for chunk in chunks):
        arrays["ties"] = table[:, 4:]
    return arrays


def _chunks_in(store: Store, name: str) -> tuple[Chunk, ...]:
    table = from_safetensors(store.get(name))
    first_rows, n_rows = (table[name].tolist() for name in ("first_row", "n_rows"))
    times, ties = (_ranges(table.get(name), len(n_rows)) for name in ("times", "ties"))
    return tuple(Chunk(i, *of) for i, of in enumerate(zip(first_rows, n_rows, times, ties, strict=True)))


def _ranges(table: IntArray | None, n: int) -> list[tuple[int, int] | None]:
    return [None] * n if table is None else [(start, stop) if start < stop else None for start, stop in table.tolist()]
