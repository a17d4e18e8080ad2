"""The job's stages by name: what every engine runs, in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from platform import node

from emberharmony.io.manifest import Manifest
from emberharmony.pipeline.chunk import PLAIN, Steps, featurize_chunk, profile_chunk, project_chunk
from emberharmony.pipeline.fit import fit_features, fit_pcas
from emberharmony.pipeline.parity import ParityCheck, is_checked
from emberharmony.pipeline.publish import publish
from emberharmony.pipeline.run import Receipt, Run, RunRef, at_the_door
from emberharmony.planning.chunks import Chunk

ChunkStage = Callable[[Run, Chunk, str, Steps], Receipt]

CHUNK_STAGES: dict[str, ChunkStage] = {
    "profile": profile_chunk,
    "featurize": featurize_chunk,
    "project": project_chunk,
}


def run_chunk(stage: str, ref: RunRef, chunk: int, steps: Steps = PLAIN) -> int:
    """Do one stage of one chunk, unless it is done; returns the chunk's rows."""
    with at_the_door(ref) as (run, backend):
        if run.committed(stage, chunk) is None:
            check = ParityCheck() if not backend.startswith("numpy") and is_checked(chunk, ref.parity) else None
            receipt = CHUNK_STAGES[stage](run, run.chunks[chunk], backend, check.of(steps) if check else steps)
            if check and stage != "profile":  # which no backend takes part in
                check.raise_if_apart(stage, chunk, backend)
                receipt = replace(receipt, parity=check.largest)
            run.commit(replace(receipt, host=node()))
        return run.chunks[chunk].n_rows


def fit_preprocessing_of(ref: RunRef) -> int:
    """Fit the preprocessing on the merged profiles; returns the number of features."""
    with at_the_door(ref) as (run, backend):
        return len(fit_features(run, backend).feature_names)


def fit_pcas_of(ref: RunRef) -> dict[int, list[float]]:
    """Fit the PCA of every stride on the merged window states; returns their explained variance ratios."""
    with at_the_door(ref) as (run, backend):
        return {stride: pca.explained_variance_ratio.tolist() for stride, pca in fit_pcas(run, backend).items()}


def publish_of(ref: RunRef, sink: str) -> Manifest:
    """Publish what all stages have left in staging."""
    with at_the_door(ref) as (run, _):
        return publish(run, Path(sink))
