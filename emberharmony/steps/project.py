"""Project windows on the principal components of their strides."""

from __future__ import annotations

from collections.abc import Mapping

from emberharmony.pca import WindowPCA, project_strides
from emberharmony.series import Segment
from emberharmony.typing import FeatureBlock, IntArray


def project(pcas: Mapping[int, WindowPCA], rows: Segment, starts: Mapping[int, IntArray]) -> dict[int, FeatureBlock]:
    """Return the scores of the windows of each stride in `starts`, which gives the places in the segment where they begin.

    The shape is ``(n_components, n_windows)``.
    """
    return project_strides(pcas, rows.block, starts)
