"""Planning ten terabytes from metadata alone, and scheduling twenty thousand chunks without their work."""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil
import pyarrow as pa
import pytest

from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.base import RowOrder, TableInfo, TimeRange
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline import plan as planning
from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import RunRef, open_run
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.stages import PROFILE, STAGES
from emberharmony.pipeline.staging import stage_plan
from emberharmony.planning.memory import MAX_CHUNKS
from emberharmony.windows import WindowSpec
from flows.engines.local import LocalEngine
from tests.faults.victims import told_by

N_GROUPS = 100_000
GROUP_ROWS = 1_000_000
BYTES_PER_ROW = 100.0  # 10 TB


class Enormous:
    """A table that consists of metadata only."""

    def __init__(self, *, in_order: bool) -> None:
        self.in_order = in_order
        self.n_rows = N_GROUPS * GROUP_ROWS
        self.counted = 0

    def describe(self) -> TableInfo:
        fields = [
            pa.field("t", pa.timestamp("us")),
            *(pa.field(f"x{i}", pa.float64()) for i in range(11)),
            pa.field("c", pa.string()),
        ]
        schema = pa.schema(fields)
        return TableInfo(schema, self.n_rows, {"made": "up"}, dict.fromkeys(schema.names, BYTES_PER_ROW / len(schema.names)))

    def order(self, time):
        return RowOrder(time)

    def row_groups(self, time):
        return np.full(N_GROUPS, GROUP_ROWS, np.int64) if self.in_order else None

    def is_sorted_within(self, time, chunk_rows):
        return self.in_order

    def time_range(self, time):
        return TimeRange(0, self.n_rows - 1, 0)  # one row in every microsecond

    def count_times(self, time, start, width, n_buckets):
        self.counted += 1
        starts = start + width * np.arange(n_buckets)
        return np.clip(self.n_rows - starts, 0, width)

    def times_between(self, time, ranges):
        return [np.arange(start, stop) for start, stop in ranges]

    def times_of_rows(self, time, start, stop):
        first = start // GROUP_ROWS * GROUP_ROWS
        return np.arange(first, first + GROUP_ROWS), first


@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "out of order"])
def test_ten_terabytes_are_planned_in_seconds_and_bounded_memory(tmp_path, in_order):
    plan, ref, seconds, peak = told_by(_plan_enormous, in_order, tmp_path)
    largest = max(chunk.n_rows for chunk in plan.chunks)
    print(f"{len(plan.chunks):,} chunks of up to {largest:,} rows: {seconds:.1f} s, {peak / 2**20:.0f} MiB")
    assert sum(chunk.n_rows for chunk in plan.chunks) == Enormous(in_order=in_order).n_rows == 100_000_000_000
    assert MAX_CHUNKS / 2 < len(plan.chunks) <= MAX_CHUNKS * 1.25
    assert [chunk.first_row for chunk in plan.chunks] == np.cumsum([0, *(c.n_rows for c in plan.chunks[:-1])]).tolist()
    assert plan.boundaries is not None
    assert (plan.boundaries.validation, plan.boundaries.test) == (80_000_000_000, 90_000_000_000)
    assert plan.memory.projected_bytes <= 64 * 2**30
    assert seconds < 15
    assert peak < 256 * 2**20
    assert len(str(ref)) < 2048
    assert sum(path.stat().st_size for path in Path(ref.staging).rglob("*") if path.is_file()) < 2 * 2**20


def _plan_enormous(in_order: bool, sink: Path, told: Any) -> None:
    """Tell the plan, its CPU time, and what memory this new process took: `tracemalloc` would take five times as long."""
    source = Enormous(in_order=in_order)
    planning.open_source = lambda spec: source
    spec = PipelineSpec(ParquetSourceSpec("made up"), columns=ColumnSpec(time="t"), windows=WindowSpec(5, (1, 3, 5)))
    before, began = psutil.Process().memory_info().rss, time.process_time()
    plan = make_plan(spec, Resources(max_memory_gb=64.0, workers=4))
    ref = stage_plan(plan, result_at(sink), backend="numpy")
    seconds = time.process_time() - began
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told.send((plan, ref, seconds, peak))


@pytest.fixture
def staged(monkeypatch, tmp_path) -> RunRef:
    source = Enormous(in_order=True)
    monkeypatch.setattr(planning, "open_source", lambda spec: source)
    spec = PipelineSpec(ParquetSourceSpec("made up"), columns=ColumnSpec(time="t"))
    plan = make_plan(spec, Resources(max_memory_gb=64.0, workers=4))
    return stage_plan(plan, result_at(tmp_path), backend="numpy")


def test_twenty_thousand_chunks_of_no_work_leave_memory_flat(staged):
    """Everything is real, scheduler, references and receipts, except for the chunks' work."""
    n_chunks, resident, seconds = told_by(_work_at_nothing, staged)
    each_ms = seconds / n_chunks * 1e3
    print(f"{n_chunks:,} chunks: {each_ms:.2f} ms each; resident MiB every 4,000: {[round(mib) for mib in resident]}")
    assert n_chunks >= 20_000
    assert open_run(staged).receipts.missing("profile") == []
    assert max(resident) - resident[0] < 8, "memory grows with the number of chunks"


def _work_at_nothing(ref: RunRef, told: Any) -> None:
    """Tell the number of chunks, the MiB of this process after every 4,000 of them, and the seconds."""

    def no_work(run, chunk, backend, steps):
        return Receipt("profile", chunk.index, {"train": chunk.n_rows, "validation": 0, "test": 0}, (), backend, 0.0)

    STAGES["profile"] = replace(PROFILE, work=no_work)
    chunks = [chunk.index for chunk in open_run(ref).receipts.missing("profile")]
    process, resident = psutil.Process(), []
    began = time.perf_counter()
    for n_done, _ in enumerate(LocalEngine(workers=2).map(PROFILE, ref, chunks), start=1):
        if n_done % 4_000 == 0:
            resident.append(process.memory_info().rss / 2**20)
    told.send((len(chunks), resident, time.perf_counter() - began))


@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.filterwarnings("default")
def test_prefect_keeps_nothing_of_a_task_run_that_is_done(staged, monkeypatch):
    """A few hundred task runs; `python -m benchmarks.engines --chunks 20000` runs all of them and shows memory."""
    from prefect import flow
    from prefect.context import FlowRunContext
    from prefect.events.worker import EventsWorker
    from prefect.task_runners import ThreadPoolTaskRunner

    from flows.engines.task_runs import PrefectEngine

    def compute_stage(stage, ref, chunk, steps):
        time.sleep(0.002)
        return lambda: ItemDone(chunk)

    monkeypatch.setattr("tasks.stages.compute_stage", compute_stage)
    monkeypatch.setattr("flows.engines.task_runs.MAX_EVENTS_WAITING", 50)
    chunks = range(300, 600)  # Python caches smaller integers
    submitted, unfinished, events, sizes, at_once = [], [], [], [], []

    class Runner(ThreadPoolTaskRunner):
        def submit(self, task, parameters, **kwargs):
            sizes.append(len(cloudpickle.dumps(parameters)))  # serialised as for Dask and Ray
            submitted.append(super().submit(task, parameters, **kwargs))
            unfinished.append(sum(not future.wrapped_future.done() for future in submitted))
            events.append(EventsWorker.instance()._queue.qsize())
            return submitted[-1]

    @flow
    def no_work() -> tuple[list[int], int, int, float]:
        with Runner(max_workers=2) as runner:
            engine = PrefectEngine("threads", workers=2, granularity="chunk", runner=runner, task_run_s=0)
            began = time.perf_counter()
            done = [one.item for one in engine.map(PROFILE, staged, chunks)]
            each_ms = (time.perf_counter() - began) / len(chunks) * 1e3
            at_once.append(max(unfinished))
            unfinished.clear()
            submitted.clear()
            done += [one.item for one in engine.map(PROFILE, replace(staged, workers=1), [600, 601, 602])]
            at_once.append(max(unfinished))
            return done, len(FlowRunContext.get().run_results), len(runner._cancel_events), each_ms

    done, results_kept, events_kept, each_ms = no_work()
    print(f"{len(chunks)} task runs on threads: {each_ms:.1f} ms each; at most {max(events)} events waited")
    assert sorted(done) == [*chunks, 600, 601, 602]
    assert (results_kept, events_kept) == (0, 0)
    assert at_once == [2 * 2, 1], "a window of twice the workers, and it is used; or the chunks that have memory"
    assert max(sizes) < 2048, "references are small, here of a job of 20,000 chunks"
    assert max(events) <= 50 + 3 * 2 * 2, "no more wait than were allowed to, and those of the task runs under way"
