"""Project windows on the principal components of their strides."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task

from emberharmony.pca import WindowPCA
from emberharmony.series import Segment
from emberharmony.steps.project import project
from emberharmony.typing import FeatureBlock, IntArray
from tasks.options import step


@task(**step("PCA"))
def project_windows(pcas: Mapping[int, WindowPCA], rows: Segment, starts: Mapping[int, IntArray]) -> dict[int, FeatureBlock]:
    """Project windows on the principal components of their strides."""
    return project(pcas, rows, starts)
