"""A sample of a planned table: how many rows were asked for, how many are read, and what they say."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa

from emberharmony.errors import PlanError
from emberharmony.io.sources.base import Source
from emberharmony.io.sources.capabilities import Sampled
from emberharmony.io.sources.registry import open_source
from emberharmony.messages import shown
from emberharmony.pipeline.job import Job
from emberharmony.pipeline.plan import Plan
from emberharmony.report.plan_figures import SampledFigures, SampleFigures
from emberharmony.report.trial_run import trial_run
from emberharmony.suggest.table_sample import TableSample

MAX_ROWS: Final = 1_000_000
MAX_BYTES: Final = 256 * 2**20
MAX_CELLS: Final = 20_000_000
"""Bounds on a sample; the smallest of the three decides."""
_WARM_UP_ROWS: Final = 100
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+) ?%|(\d[\d_,]*)")


@dataclass(frozen=True)
class SampleSize:
    """Rows to sample: a share of the table, or a number."""

    share: float = 0.0
    rows: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text such as ``1%`` or ``20000`` stands for.

        Raises
        ------
        PlanError
            If it is neither a share above 0 and up to 100 % nor a number of rows from 1 up.

        Examples
        --------
        >>> SampleSize.parse("1%"), SampleSize.parse("20_000")
        (SampleSize(share=0.01, rows=0), SampleSize(share=0.0, rows=20000))
        """
        found = _SIZE.fullmatch(text.strip())
        if found is not None and found[1] and 0.0 < float(found[1]) <= 100.0:
            return cls(share=float(found[1]) / 100.0)
        if found is not None and found[2] and int(re.sub("[_,]", "", found[2])) > 0:
            return cls(rows=int(re.sub("[_,]", "", found[2])))
        raise PlanError(f"--sample takes a share of the rows, such as 1%, or a number, such as 20000; got {shown(text)}.")

    def of(self, n_rows: int, *, row_bytes: float, n_columns: int) -> int:
        """Return how many rows of a table are read: as many as are asked for, within the bounds.

        Examples
        --------
        >>> one_percent = SampleSize(share=0.01)
        >>> one_percent.of(1_000_000, row_bytes=100.0, n_columns=10)
        10000
        >>> one_percent.of(10**12, row_bytes=1_000.0, n_columns=10), one_percent.of(5, row_bytes=8.0, n_columns=1)
        (268435, 1)
        """
        asked = self.rows or round(self.share * n_rows)
        bounds = (MAX_ROWS, int(MAX_BYTES // max(row_bytes, 1.0)), MAX_CELLS // max(n_columns, 1))
        return max(1, min(asked, n_rows, *bounds))


def is_charged(source: Source) -> bool:
    """Whether reading the rows of a source is charged by the byte."""
    return isinstance(source, Sampled) and source.sample_is_charged


@dataclass(frozen=True)
class PlanSample:
    """The rows that were read, and what they say."""

    rows: TableSample
    figures: SampleFigures


def sample_plan(job: Job, plan: Plan, size: SampleSize) -> PlanSample:
    """Read some rows of a planned table, and run the job on them.

    Raises
    ------
    PlanError
        If the table cannot be sampled.
    DataError
        If it cannot be read.
    """
    source = open_source(plan.spec.source)
    if not isinstance(source, Sampled):
        raise PlanError(f"Rows of {plan.table.name} cannot be sampled. Leave out --sample.")
    names = list(dict.fromkeys([*plan.roles.to_read, *plan.spec.split_keys]))
    row_bytes = sum(plan.table.bytes_per_row[name] for name in names)
    source.sample(names, _WARM_UP_ROWS)  # opens files and connections, which takes no longer for more rows
    began = time.perf_counter()
    rows = source.sample(names, size.of(plan.table.n_rows, row_bytes=row_bytes, n_columns=len(names)))
    read_seconds = time.perf_counter() - began
    sample = TableSample(plan.table.schema, plan.table.n_rows, rows)
    return PlanSample(sample, _figures(job, plan, sample, read_seconds, is_charged=source.sample_is_charged))


def _figures(job: Job, plan: Plan, sample: TableSample, read_seconds: float, *, is_charged: bool) -> SampleFigures:
    rows: pa.Table = sample.rows
    entities = sample.groups(plan.roles.entity) if plan.roles.entity else None
    trial = trial_run(job, plan, rows, read_seconds=read_seconds) if rows.num_rows else "the table has no rows"
    return SampleFigures(
        rows=rows.num_rows,
        is_whole=sample.is_whole,
        read_seconds=round(read_seconds, 3),
        read_bytes=int(rows.nbytes),
        is_charged=is_charged,
        entities=None if entities is None else len(np.unique(entities)),
        columns={
            name: SampledFigures(column.n_distinct, round(column.n_null / max(column.n_rows, 1), 6))
            for name, column in sample.columns.items()
        },
        trial=None if isinstance(trial, str) else trial,
        problem=trial if isinstance(trial, str) else "",
    )
