"""Apply a fitted state to other rows: plan the job, and stage the state where the stages look for fitted numbers."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import numpy as np

from emberharmony.errors import DataError
from emberharmony.features.columns import NullTime
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.sources.base import SourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.fitted import FIT, SPLIT_ROWS
from emberharmony.pipeline.plan import Plan, Resources, plan_table
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.state import FittedState, roles_in, stage_state
from emberharmony.splits import SplitSpec


def applying(
    state: FittedState, source: SourceSpec, *, null_time: NullTime | None = None, lookback: timedelta | None = None
) -> PipelineSpec:
    """Return the spec of the job that applies a state to a table: every row, in one series.

    Rows without a time, and rows before a slice, are treated as in the fitted job, unless `null_time` or `lookback` says
    otherwise.
    """
    columns = replace(state.spec.columns, null_time=null_time or state.spec.columns.null_time)
    windows = replace(state.spec.windows, lookback=lookback or state.spec.windows.lookback)
    return replace(
        state.spec,
        source=source,
        columns=columns,
        windows=windows,
        split=SplitSpec(),
        kind="apply",
        state=state.digest,
        slice=None,
    )


def plan_apply(state: FittedState, spec: PipelineSpec, resources: Resources) -> Plan:
    """Plan the job of `applying`.

    Raises
    ------
    DataError
        If the table cannot be read, or lacks columns that the state needs; the message names them.
    PlanError
        If memory does not suffice.
    """
    source = open_source(spec.source)
    table = source.describe()
    widths = {column.name: len(column.features) for column in state.preprocessing.columns}
    plan = plan_table(spec, resources, source, table, roles_in(state, table.schema), widths)
    return replace(plan, applied_state={"address": state.address, "fingerprint": state.fingerprint})


def stage_fitted(state: FittedState, run: Run) -> None:
    """Stage the state, and the row counts that a profile would have made."""
    began = time.perf_counter()
    if run.plan.spec.state != state.digest:
        raise DataError("The state was changed after the job was planned; nothing was published. Run the same command again.")
    rows = run.store.keep_arrays(SPLIT_ROWS, {"rows": np.array([[c.n_rows] for c in run.plan.chunks], np.int64)})
    run.receipts.commit(Receipt(FIT, 0, {}, (rows, *stage_state(state, run)), "none", time.perf_counter() - began))


def measured_drift(run: Run) -> dict[str, dict[str, float]]:
    """Drift of every column from the training rows; empty if there are no rows. Reads each chunk's counts once.

    Raises
    ------
    DamagedError
        If a chunk's counts are missing or were changed.
    """
    if not run.plan.n_rows:
        return {}
    baselines, counts = run.fitted.baselines, run.fitted.applied_counts
    return {
        column.name: kind_named(column.kind).drift(baselines[column.name], counts[column.name])
        for column in run.fitted.preprocessing.columns
    }
