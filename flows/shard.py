"""A shard as a Prefect flow: one stage of some chunks of a run that another flow has staged, for one worker of a pool."""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow
from prefect.states import Cancelled
from prefect.task_runners import ThreadPoolTaskRunner

from emberharmony.pipeline.run import RunRef, open_run
from emberharmony.pipeline.stages import STAGES
from emberharmony.planning.chunks import from_ranges
from emberharmony.threads import available_cores, compute_threads, limit_compute_threads
from flows.engines.shard_files import reporting
from flows.engines.task_runs import PrefectEngine

ChunkStageName = Literal[
    "partition",
    "regroup",
    "arrange",
    "profile",
    "merge-profiles",
    "merge-profiles-2",
    "featurize",
    "merge-grams",
    "merge-grams-2",
    "project",
]
"""Stages that run for each chunk; Prefect refuses a shard of another name before it starts."""


@flow(name="shard", retries=0, persist_result=False)
def shard(ref: RunRef, name: str, stage: ChunkStageName, chunks: list[tuple[int, int]], workers: int | None = None) -> Any:
    """Do one stage of the given chunks on the backend that this worker selects; returns how many were pending.

    Chunks that any worker has done are skipped, so a shard that another worker has begun can be given to this one. The flow
    run ends as cancelled if the run that waits for it has withdrawn it. An error is also left in the run's store, as data.

    Parameters
    ----------
    ref : RunRef
        The staged run, as passed on by the flow that staged it: in a bucket, or in a folder with the same path here.
    name : str
        Name of the shard's file in the run's store; the shard does nothing if the file is not there.
    stage : str
        A stage that runs for each chunk, such as "profile".
    chunks : list of (int, int)
        First and last number of each range of chunks.
    workers : int or None
        Chunks at a time; by default one for each core, or fewer if memory is short.
    """
    workers = workers or ref.workers_of(available_cores())
    with (
        reporting(ref, name) as withdrawn,
        limit_compute_threads(max(1, compute_threads() // workers)),
        ThreadPoolTaskRunner(max_workers=ref.in_flight(workers)[1]) as runner,
    ):
        missing = {chunk.index for chunk in open_run(ref).receipts.missing(stage)}
        left = [chunk for chunk in from_ranges(chunks) if chunk in missing]
        engine = PrefectEngine("shard", workers=workers, granularity="chunk", runner=runner)
        for _ in engine.map(STAGES[stage], ref, [] if withdrawn.is_set() else left):
            if withdrawn.is_set():
                break
    # Prefect lets a flow run begin that was cancelled while its process started.
    return Cancelled(message="The run that waits for this shard has given it up.") if withdrawn.is_set() else len(left)
