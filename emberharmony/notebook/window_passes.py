"""The two passes over the rows of a series: the windows' sums, then their scores."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from emberharmony.features.kinds.numeric import count_clipped
from emberharmony.notebook.series_segments import NumberedSegment
from emberharmony.notebook.series_spool import SeriesSpool
from emberharmony.notebook.spool import MatrixFile
from emberharmony.notebook.stride_state import FittedStride
from emberharmony.stats.window_gram import WindowGram, merge_segments
from emberharmony.steps.featurize import window_states
from emberharmony.steps.project import project
from emberharmony.typing import IntArray
from emberharmony.windows import WindowSpec

_log = logging.getLogger(__name__)

Scores = NDArray[np.float32]  # (n_windows, n_components)
WindowKeys = IntArray  # (n_windows, 2)


def gram_states(spool: SeriesSpool, windows: WindowSpec, batch_rows: int) -> list[WindowGram]:
    """Return the Gram states of the windows of all series, one for each stride.

    Parameters
    ----------
    spool : SeriesSpool
        The rows.
    windows : WindowSpec
        Size and strides of the windows.
    batch_rows : int
        Rows that are multiplied at once.
    """
    return merge_segments(window_states(segment, windows) for segment in spool.segments(batch_rows, halo=0))


def scores_of(
    segments: Iterable[NumberedSegment], models: Mapping[int, FittedStride], *, with_keys: bool = False
) -> tuple[dict[int, Scores], dict[int, WindowKeys]]:
    """Return the scores of the windows that lie in the segments, by stride, as matrices mapped from temporary files.

    With `with_keys`, return as well, for every window, the number of its series and of its first row in the series.
    """
    with ExitStack() as stack:
        keyed = models if with_keys else {}
        keys = {stride: stack.enter_context(MatrixFile(2, np.int64)) for stride in keyed}
        files = {stride: stack.enter_context(MatrixFile(model.pca.n_components)) for stride, model in models.items()}
        n_clipped, pcas = Counter[int](), {stride: model.shifted for stride, model in models.items()}
        for segment in segments:
            every = {stride: segment.window_starts(pca.size, stride) for stride, pca in pcas.items()}
            starts = {stride: places for stride, places in every.items() if len(places)}
            for stride, scores in project(pcas, segment, starts).items():
                n_clipped[stride] += count_clipped(scores)
                files[stride].append(scores)
                if with_keys:
                    keys[stride].append(segment.window_keys(starts[stride]))
        for stride, n in n_clipped.items():
            if n:
                _log.warning("Stride %d: %s scores are beyond float32 and became its largest number.", stride, f"{n:,}")
        return (
            {stride: file.mapped() for stride, file in files.items()},
            {stride: file.mapped() for stride, file in keys.items()},
        )
