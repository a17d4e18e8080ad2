"""Project windows on the principal components of their stride."""

from __future__ import annotations

from prefect import task

from emberharmony.pca import WindowPCA
from emberharmony.series import Segment
from emberharmony.steps.project import project
from emberharmony.typing import FeatureBlock, IntArray
from tasks.options import step


@task(**step("PCA", lambda given: f"stride-{given['pca'].stride}"))
def project_windows(pca: WindowPCA, rows: Segment, starts: IntArray) -> FeatureBlock:
    """Project windows on the principal components of their stride."""
    return project(pca, rows, starts)
