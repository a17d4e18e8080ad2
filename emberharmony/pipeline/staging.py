"""Staging: the plan is written to where its run does its work until it is published."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress

from emberharmony.expectations.spec import ExpectSpec
from emberharmony.io.sinks.base import SinkSpec
from emberharmony.io.sinks.registry import note_sink
from emberharmony.io.store.result import Result
from emberharmony.pipeline.gates import note_expected
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.plan_file import CATALOGUE, PLAN, StagedPlan
from emberharmony.pipeline.run import RunRef, forget_runs
from emberharmony.pipeline.run_page import writes_report


def stage_plan(
    plan: Plan,
    result: Result,
    *,
    backend: str | None,
    discard: bool = False,
    sink: SinkSpec | None = None,
    expect: ExpectSpec | None = None,
) -> RunRef:
    """Stage a run, or find the one that was interrupted; returns the reference that tasks get.

    The run's name holds the fingerprint and the chunks, so that only the same work is ever resumed. With `discard`, nothing
    is resumed, and the run may replace what is published. The result is Parquet files unless `sink` says otherwise.
    What is expected of the rows is noted anew each time.
    """
    staged = StagedPlan.of(plan)
    store = result.stage(staged.run_name, discard=discard)
    beside: list[Callable[[], None]] = [lambda: note_expected(store, expect)]
    if (catalogue := plan.table.catalogue) is not None:
        beside.append(lambda: store.put(CATALOGUE, catalogue()))
    if sink is not None:
        beside.append(lambda: note_sink(store, sink, report=writes_report(sink)))
    staged.write(store, *beside)
    forget_runs()
    return RunRef(store.address, backend, token=uuid.uuid4().hex[:8])


def staged_chunk_rows(result: Result, fingerprint: str) -> int | None:
    """Return the chunk size of an interrupted run of the same job, if there is one.

    The size that fits depends on the memory in use when the job was planned; a run that is resumed keeps its own.
    """
    for run in result.staged(fingerprint, PLAN):
        with suppress(ValueError, KeyError, TypeError):  # a damaged plan is written again when the run is staged
            return int(run.read_json(PLAN)["facts"]["chunk_rows"])
    return None
