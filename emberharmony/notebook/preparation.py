"""The stages of a job up to the features, run one after another, and their results as frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from emberharmony.errors import PlanError
from emberharmony.io.store.opening import result_at
from emberharmony.notebook.prepared import PreparedData
from emberharmony.notebook.tables import check_splits, frame_of, null_targets
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.run import open_run
from emberharmony.pipeline.spec import PipelineSpec, pinned
from emberharmony.pipeline.stages import ARRANGING, run_stage
from emberharmony.pipeline.staging import stage_plan
from emberharmony.splits import SPLITS

_GIB = 2**30


def prepared(
    spec: PipelineSpec, resources: Resources, folder: Path, index_col: str | None, session: Any, say: Callable[..., None]
) -> PreparedData:
    """Run the stages up to the features, and read the parts that they wrote.

    Parameters
    ----------
    spec : PipelineSpec
        A job without windows.
    resources : Resources
        Rows of a chunk, memory and backend.
    folder : Path
        Folder for the run, which is of no use afterwards.
    index_col : str, optional
        Column that becomes the index of the frames; otherwise they have the row numbers.
    session : bigframes.Session, optional
        Session that the frames are written to; otherwise they are frames of pandas.
    say : callable
        Gets messages about the progress, and their values.

    Raises
    ------
    PlanError, DataError
        See `TerabyteFeatureExtractor.prepare_data`.
    """
    plan = make_plan(pinned(spec), resources)
    ref = stage_plan(plan, result_at(folder / "run"), backend=resources.backend)
    say("%d rows in %d chunks", plan.n_rows, len(plan.chunks))
    for stage in ARRANGING if plan.inputs else ():
        for item in open_run(ref).receipts.items(stage.name):
            run_stage(stage.name, ref, item.index)
    for chunk in plan.chunks:
        run_stage("profile", ref, chunk.index)
    run_stage("fit", ref)
    n_features = len(open_run(ref).fitted.preprocessing.feature_names)
    if session is None:
        _check_result_fits(plan.n_rows, n_features, resources.max_memory_gb)
    say("%d features", n_features)
    check_splits(open_run(ref))
    for chunk in plan.chunks:
        run_stage("featurize", ref, chunk.index)
        say("%d rows encoded", chunk.first_row + chunk.n_rows)
    run = open_run(ref)
    train, validation, test = (frame_of(run, split, index_col, session) for split in SPLITS)
    n_without = null_targets(run)
    if n_without:
        say("%d rows have no %s: their target is null", n_without, plan.roles.target)
    state = run.fitted.preprocessing
    return PreparedData(train, validation, test, state.feature_names, state, plan.roles.entity)


def _check_result_fits(n_rows: int, n_features: int, max_memory_gb: float) -> None:
    needed = 2 * 4 * n_rows * n_features  # as columns read, and as a frame
    if needed > max_memory_gb * _GIB:
        raise PlanError(
            f"The frames of {n_rows:,} rows x {n_features:,} features need {needed / _GIB:.1f} GiB while they are made, "
            f"more than the {max_memory_gb:g} GiB of max_memory_gb. Set `limit`, or write the result to files with "
            f"`emberharmony run`."
        )
