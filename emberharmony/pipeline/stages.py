"""The stages as values, and the stages of each kind of job: written once, for engines, artifacts and summaries alike.

A stage of one chunk is done when its receipt is in the store. Stages that run once for the whole job are done under chunk 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from platform import node

from emberharmony.pipeline.arrange import ARRANGE, PARTITION, REGROUP
from emberharmony.pipeline.chunk_stages import (
    PLAIN,
    Steps,
    arrange_chunk,
    featurize_chunk,
    partition_input,
    profile_chunk,
    project_chunk,
    regroup_chunks,
)
from emberharmony.pipeline.events import ItemDone, current_worker
from emberharmony.pipeline.fit import fit_features, fit_pcas
from emberharmony.pipeline.fitted import FIT, FIT_PCA
from emberharmony.pipeline.merge import merge_grams, merge_profiles
from emberharmony.pipeline.parity import ParityCheck, is_checked
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.plan_file import StagedPlan
from emberharmony.pipeline.publish import publish
from emberharmony.pipeline.receipts import Receipt
from emberharmony.pipeline.run import Run, RunRef, opened_run, turns_of
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.merge_tree import GRAM_STAGES, NO_MERGES, PROFILE_STAGES, MergeLevels
from emberharmony.planning.resident import resident_now
from emberharmony.threads import Turns

Work = Callable[[Run, Chunk, str, Steps], Receipt | None]


@dataclass(frozen=True)
class Stage:
    """A part of a job that engines run as a whole."""

    name: str
    """Name in receipts and task runs."""
    title: str
    """What people are shown."""
    work: Work
    """Reads what the stage needs of a chunk, and returns the receipt of what it has written."""
    weight: int
    """Share of a job's time, in percent; measured on two million rows, it only makes progress bars move evenly."""
    once: bool = False
    """Whether it runs once for the whole job, in the process that runs the job."""
    needs_windows: bool = False
    """Whether there is nothing to do in a job without windows."""
    uses_backend: bool = False
    """Whether the backend computes it, so that a parity check has something to compare."""


def _fit(run: Run, _chunk: Chunk, backend: str, _steps: Steps) -> Receipt:
    return fit_features(run, backend)


def _fit_pca(run: Run, _chunk: Chunk, backend: str, _steps: Steps) -> Receipt:
    return fit_pcas(run, backend)


def _merge_profiles(level: int, run: Run, group: Chunk, backend: str, _steps: Steps) -> Receipt:
    return merge_profiles(run, group, backend, level=level)


def _merge_grams(level: int, run: Run, group: Chunk, backend: str, steps: Steps) -> Receipt:
    return merge_grams(run, group, backend, steps, level=level)


def _publish(run: Run, _chunk: Chunk, _backend: str, _steps: Steps) -> None:
    publish(run, [stage.name for stage in stages_of_plan(run.plan) if not stage.once])


PARTITIONS = Stage(PARTITION, "partition", partition_input, 12)
REGROUPS = Stage(REGROUP, "regroup", regroup_chunks, 12)
ARRANGES = Stage(ARRANGE, "arrange", arrange_chunk, 12)


PROFILE = Stage("profile", "profile", profile_chunk, 15)
FIT_FEATURES = Stage(FIT, "fit", _fit, 3, once=True)
FEATURIZE = Stage("featurize", "featurize", featurize_chunk, 40, uses_backend=True)
FEATURIZE_WINDOWS = replace(FEATURIZE, needs_windows=True)
FIT_PCAS = Stage(FIT_PCA, "fit PCA", _fit_pca, 4, once=True)
PROJECT = Stage("project", "project", project_chunk, 38, needs_windows=True, uses_backend=True)
PUBLISH = Stage("publish", "publish", _publish, 0, once=True)

MERGING_PROFILES = (
    Stage(PROFILE_STAGES[1], "merge profiles", partial(_merge_profiles, 1), 2),
    Stage(PROFILE_STAGES[2], "merge profiles again", partial(_merge_profiles, 2), 1),
)
MERGING_GRAMS = (
    Stage(GRAM_STAGES[1], "merge Grams", partial(_merge_grams, 1), 4),
    Stage(GRAM_STAGES[2], "merge Grams again", partial(_merge_grams, 2), 1),
)
MERGING = (*MERGING_PROFILES, *MERGING_GRAMS)
"""Stages that a job has if its states are many and large; see `planning.merge_tree`."""

EXTRACT = (PROFILE, *MERGING_PROFILES, FIT_FEATURES, FEATURIZE, *MERGING_GRAMS, FIT_PCAS, PROJECT, PUBLISH)
FIT_ONLY = (PROFILE, *MERGING_PROFILES, FIT_FEATURES, FEATURIZE_WINDOWS, *MERGING_GRAMS, FIT_PCAS, PUBLISH)
APPLY = (FEATURIZE, PROJECT, PUBLISH)

_STAGES_OF_KIND = {"extract": EXTRACT, "fit": FIT_ONLY, "apply": APPLY}
ARRANGING = (PARTITIONS, REGROUPS, ARRANGES)
"""Stages before all others, in a job whose rows are not in its order; groups are partitioned again in very large ones."""
STAGES = {stage.name: stage for stage in (*ARRANGING, *EXTRACT)}


def stages_of_plan(plan: Plan | StagedPlan) -> tuple[Stage, ...]:
    """Stages of a planned job, in order."""
    return stages_of(plan.spec, levels=plan.levels, merges=plan.merges)


def stages_of(spec: PipelineSpec, *, levels: int = 0, merges: MergeLevels = NO_MERGES) -> tuple[Stage, ...]:
    """Stages of a job, in order; without windows nothing is projected.

    Rows out of order are partitioned first, on one or two `levels`; see `planning.chunk_groups`. Many states are merged on
    as many levels as `merges` says.

    Examples
    --------
    >>> from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
    >>> [stage.title for stage in stages_of(PipelineSpec(ParquetSourceSpec("t.parquet"), kind="fit"))]
    ['profile', 'fit', 'featurize', 'fit PCA', 'publish']
    """
    has_windows = bool(spec.windows.strides)
    arranging = tuple(stage for stage in ARRANGING if levels > 1 or stage is not REGROUPS) if levels else ()
    stages = (*arranging, *_STAGES_OF_KIND[spec.kind])
    unneeded = {stage.name for stage in MERGING} - {*merges.stages}
    return tuple(stage for stage in stages if (has_windows or not stage.needs_windows) and stage.name not in unneeded)


def run_stage(name: str, ref: RunRef, chunk: int = 0, steps: Steps = PLAIN) -> ItemDone:
    """Run one stage for one chunk, unless it is done; returns what was written, and by whom."""
    return compute_stage(name, ref, chunk, steps)()


def compute_stage(name: str, ref: RunRef, chunk: int = 0, steps: Steps = PLAIN) -> Callable[[], ItemDone]:
    """Run one stage for one chunk, unless it is done, and return its commit, a function that returns what was written.

    A commit waits for a disk or a server, and needs neither the chunk's memory nor a core.
    """
    stage = STAGES[name]
    with opened_run(ref) as (run, backend):
        item = run.receipts.items(name)[chunk]
        done = ItemDone(chunk, 0 if stage.once else item.n_rows, worker=current_worker())
        if run.receipts.is_done(name, chunk):
            return lambda: done
        if ref.turns is not None:
            steps = _in_turn(steps, turns_of(ref.token, ref.turns))
        is_twice = stage.uses_backend and not backend.startswith("numpy") and is_checked(chunk, ref.parity)
        check = ParityCheck() if is_twice else None
        receipt = stage.work(run, item, backend, check.of(steps) if check else steps)
        if receipt is None:
            return lambda: done
        if check:
            check.raise_if_apart(name, chunk, backend)
            receipt = replace(receipt, parity=check.largest)
        return partial(_commit, run, replace(receipt, host=node(), memory_bytes=resident_now()), done)


def _commit(run: Run, receipt: Receipt, done: ItemDone) -> ItemDone:
    run.receipts.commit(receipt)
    return replace(done, n_bytes=sum(file.n_bytes for file in receipt.files))


def _in_turn(steps: Steps, turns: Turns) -> Steps:
    """Return the steps, those that compute each with a turn; reading and writing take none."""
    return replace(
        steps,
        datetime_features=turns.taking(steps.datetime_features),
        encode=turns.taking(steps.encode),
        split=turns.taking(steps.split),
        profile_rows=turns.taking(steps.profile_rows),
        window_states=turns.taking(steps.window_states),
        project=turns.taking(steps.project),
    )
