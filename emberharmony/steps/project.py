"""Project windows on the principal components of their stride."""

from __future__ import annotations

from emberharmony.pca import WindowPCA
from emberharmony.series import Segment
from emberharmony.typing import FeatureBlock, IntArray


def project(pca: WindowPCA, rows: Segment, starts: IntArray) -> FeatureBlock:
    """Return the scores of the windows that begin at `starts`, places in the segment.

    The shape is ``(n_components, n_windows)``.
    """
    return pca.project(rows.block, starts)
