"""Windows of several strides, each compressed by PCA, from batches that are read once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from emberharmony.backend import select, using_backend
from emberharmony.errors import PlanError
from emberharmony.messages import listed
from emberharmony.notebook.arguments import entity_names, flag, strides_of, whole_number
from emberharmony.notebook.entities import SeriesLog
from emberharmony.notebook.matrix_batch import MatrixBatch, MatrixBatches, batches_in
from emberharmony.notebook.progress import Progress
from emberharmony.notebook.series_segments import NumberedSegment, numbered_segments
from emberharmony.notebook.series_spool import SeriesSpool
from emberharmony.notebook.state_file import read_state_file, write_state_file
from emberharmony.notebook.stride_state import FittedStride, Tail, state_arrays, state_of_arrays
from emberharmony.notebook.window_passes import Scores, WindowKeys, gram_states, scores_of
from emberharmony.notebook.wording import PROCESSOR_ARGUMENTS, told_by
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.window_gram import WindowGram
from emberharmony.typing import FeatureBlock, FloatArray, IntArray
from emberharmony.windows import WindowSpec

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.decomposition import PCA

_log = logging.getLogger(__name__)


class TerabyteTemporalStrideProcessor:
    """Windows of rows at several strides, compressed by one PCA for each stride.

    The PCA is exact, however the rows are batched: it comes from the Gram matrix of all windows, which is merged batch by
    batch, and no window is built. Every window is projected once. Memory holds one batch and the Gram matrices; the rows of
    the second pass, and the scores, are kept in temporary files.

    Parameters
    ----------
    window_size : int
        Rows in a window.
    stride_perspectives : sequence of int
        Rows between the starts of two windows, counted from the first row of the series.
    pca_components : int, optional
        Components to keep; by default half of the numbers of a window, at most 32, and always fewer than windows.
    batch_size : int
        Rows that are computed at once; the batches may have any size.
    use_incremental_pca : bool
        Has no effect: the PCA is exact in bounded memory either way.
    verbose : bool
        Whether to show progress: logged at level INFO if logging is configured, else written to standard error.
    preferred_backend : str, optional
        ``numpy``, ``torch`` or ``mlx``, optionally with a device (``torch:cuda``); by default the current backend.

    Attributes
    ----------
    pca_models : dict of int to sklearn.decomposition.PCA
        The fitted model of each stride, for windows flattened row by row.
    state_buffer : array of shape (<= window_size - 1, n_features) or None
        Last rows of the series, which the next windows begin with.
    entities : DataFrame or None
        The entity of every series of the last call with `entity`, in order.
    window_keys : dict of int to array of shape (n_windows, 2)
        For every window of the last call with `entity`, by stride and aligned with the scores: the row of its series in
        `entities`, and the number of its first row in that series. int64 and read-only, mapped from a temporary file.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(100, 3))
    >>> processor = TerabyteTemporalStrideProcessor(window_size=4, stride_perspectives=(1, 2), pca_components=2, verbose=False)
    >>> scores = processor.process_large_dataset(rows[i : i + 7] for i in range(0, 100, 7))
    >>> scores[1].shape, scores[2].shape
    ((97, 2), (49, 2))
    >>> windows = np.lib.stride_tricks.sliding_window_view(rows, 4, axis=0).transpose(0, 2, 1).reshape(97, 12)
    >>> bool(np.allclose(processor.pca_models[1].transform(windows), scores[1], atol=1e-4))
    True
    """

    def __init__(
        self,
        window_size: int = 5,
        stride_perspectives: Sequence[int] = (1, 3, 5),
        pca_components: int | None = None,
        batch_size: int = 10_000,
        use_incremental_pca: bool = True,
        verbose: bool = True,
        preferred_backend: str | None = None,
    ) -> None:
        self._windows = WindowSpec(whole_number("window_size", window_size), strides_of(stride_perspectives))
        self._pca = PCASpec(None if pca_components is None else whole_number("pca_components", pca_components))
        select(preferred_backend)  # a missing backend is an error now, not in the middle of the work
        self.batch_size = whole_number("batch_size", batch_size)
        self.use_incremental_pca = use_incremental_pca
        self.verbose = flag("verbose", verbose)
        self.preferred_backend = preferred_backend
        self.pca_models: dict[int, PCA] = {}
        self._fitted: dict[int, FittedStride] = {}
        self._tail: Tail | None = None
        self.entities: pd.DataFrame | None = None
        self.window_keys: dict[int, WindowKeys] = {}
        self._names: tuple[str, ...] | None = None  # of the columns, known from the first frame

    @property
    def window_size(self) -> int:
        """Rows in a window."""
        return self._windows.size

    @property
    def stride_perspectives(self) -> tuple[int, ...]:
        """Rows between the starts of two windows."""
        return self._windows.strides

    @property
    def pca_components(self) -> int | None:
        """Components to keep, as given."""
        return self._pca.components

    @property
    def state_buffer(self) -> FloatArray | None:
        """Last rows of the series, which the windows of the next call begin with."""
        return None if self._tail is None else self._tail.rows.copy()

    def reset(self) -> None:
        """Remove the fitted models and end the series."""
        self.pca_models, self._fitted, self._tail, self._names = {}, {}, None, None
        self.entities, self.window_keys = None, {}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted models, and the open series if there is one, to a file that `load` reads."""
        self._model(self.stride_perspectives[0])
        data = {
            "window_size": self.window_size,
            "stride_perspectives": self.stride_perspectives,
            "pca_components": self.pca_components,
            "batch_size": self.batch_size,
            "names": self._names,
        }
        write_state_file(path, type(self).__name__, data, state_arrays(self._fitted, self._tail))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, verbose: bool = True, preferred_backend: str | None = None
    ) -> TerabyteTemporalStrideProcessor:
        """Return the processor that `save` wrote, with its models and its open series.

        Raises
        ------
        DataError
            If the file is no such state, or is damaged.
        """
        data, arrays = read_state_file(path, cls.__name__)
        names = data.pop("names")
        processor = cls(**data, verbose=verbose, preferred_backend=preferred_backend)
        processor._names = None if names is None else tuple(names)
        processor._fitted, processor._tail = state_of_arrays(arrays)
        processor.pca_models = {stride: model.pca.to_sklearn() for stride, model in processor._fitted.items()}
        return processor

    @told_by(PROCESSOR_ARGUMENTS)
    def process_large_dataset(
        self, generator: Iterable[Any], maintain_state: bool = True, *, entity: str | Sequence[str] | None = None
    ) -> dict[int, Scores]:
        """Fit the PCA of each stride on all windows of the batches, and return the scores of all windows.

        Parameters
        ----------
        generator : iterable
            Batches of rows, read once: arrays, tensors or frames of finite numbers, of shape ``(n_rows, n_features)`` with any
            number of rows. A single matrix or frame is one batch. Columns of frames are matched by name, in the order of the
            first frame.
        maintain_state : bool
            Whether the batches form one series, so that windows cross their borders. The series stays open: the next call
            continues it, with the models that this one fitted, until `reset`. Otherwise each batch is a series of its own.
        entity : str or sequence of str, optional
            Column or columns of the frames that tell series apart; they are no features. Rows of one entity are adjacent, and
            in order: a series ends where the entity changes from one row to the next, and no window crosses from one series
            to another. With `maintain_state`, the last series goes on in the next batch or call if that begins with the same
            entity. `entities` and `window_keys` say which windows belong to which entity. Memory holds a row for each series.

        Returns
        -------
        dict of int to array of shape (n_windows, n_components)
            Scores by stride, float32 and read-only, mapped from a temporary file that is removed along with them.

        Raises
        ------
        DataError
            If there are no rows, the columns of the batches differ, or a value is missing, not finite or beyond float32. If
            the batches are not frames with the columns of `entity`, or an entity comes back after another one within a call.
        PlanError
            If there are too few windows for a PCA, or the open series was told apart by other columns.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["x", "y"])
        >>> frame["id"] = [*"aaaaaaaabbbccccccccc"]
        >>> processor = TerabyteTemporalStrideProcessor(4, (1, 3), 2, verbose=False)
        >>> scores = processor.process_large_dataset([frame[:10], frame[10:]], entity="id")
        >>> keys = processor.window_keys[3]
        >>> [(processor.entities["id"][series], first) for series, first in keys.tolist()], scores[3].shape
        ([('a', 0), ('a', 3), ('c', 0), ('c', 3)], (4, 2))
        """
        batches, names = batches_in(generator), entity_names(entity)
        with self._computing():
            if maintain_state and self._tail is not None:
                return self._continued(batches, self._tail, names)
            log = SeriesLog(is_one=maintain_state)
            with SeriesSpool() as spool:
                matrices = MatrixBatches(batches, entity=names)
                self._read(matrices, spool, log)
                self._fit(gram_states(spool, self._windows, self.batch_size), spool.shift)
                scores = self._scores(spool.segments(self.batch_size, self._windows.halo), log, names)
                self._tail = Tail.of(spool.last(self._windows.halo), spool.shift, log.last) if maintain_state else None
            self._names = matrices.names
        return scores

    @told_by(PROCESSOR_ARGUMENTS)
    def process_batch(self, data: Any, *, entity: str | Sequence[str] | None = None) -> dict[int, Scores]:
        """Return the scores of the windows within one batch: a series of its own, or one for each entity.

        If no models are fitted yet, they are fitted on this batch. `entity` is that of `process_large_dataset`.
        """
        names = entity_names(entity)
        with self._computing():
            rows = MatrixBatch.of(data, 0, self._names, names)
            if not self._fitted:
                with SeriesSpool() as spool:
                    self._read([rows], spool, SeriesLog(is_one=True))
                    self._fit(gram_states(spool, self._windows, self.batch_size), spool.shift)
            log = SeriesLog(is_one=True)
            scores = self._scores(numbered_segments(self._blocks([rows], log), self._windows.halo), log, names)
            self._names = self._names or rows.names
        return scores

    def get_explained_variance(self, stride: int) -> float:
        """Return the share of the variance that the components of a stride explain together."""
        return float(self._model(stride).explained_variance_ratio.sum())

    def get_feature_importance(self, stride: int) -> FloatArray:
        """Return the sum of absolute loadings over a stride's components.

        The shape is ``(window_size * n_features,)``, the first row of the window first; ``reshape(window_size, -1)`` gives an
        array of lags and features.
        """
        return self._model(stride).importance.ravel()

    def _model(self, stride: int) -> WindowPCA:
        if stride not in self.stride_perspectives:
            raise ValueError(f"Stride {stride} is not one of the strides of this processor: {list(self.stride_perspectives)}.")
        if stride not in self._fitted:
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("No PCA is fitted yet. Call process_large_dataset or process_batch first.")
        return self._fitted[stride].pca

    def _computing(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.preferred_backend is None else using_backend(self.preferred_backend)

    def _read(self, batches: Iterable[MatrixBatch], spool: SeriesSpool, log: SeriesLog) -> None:
        """Write the batches to the spool."""
        for batch in batches:
            if len(batch.values):
                spool.add(batch, log.begins(batch.entities, len(batch.values), batch.number))
                self._say("read batch %d: %d rows so far", batch.number, spool.n_rows)
        spool.check_not_empty()

    def _fit(self, states: Sequence[WindowGram], shift: FloatArray) -> None:
        fitted = {state.stride: FittedStride.of(WindowPCA.fit(state, self._pca), shift) for state in states}
        self._fitted = fitted
        self.pca_models = {stride: model.pca.to_sklearn() for stride, model in fitted.items()}
        for stride in fitted:
            self._say("stride %d: components explain %.1f %%", stride, 100 * self.get_explained_variance(stride))

    def _continued(self, batches: Iterable[Any], tail: Tail, entity: tuple[str, ...]) -> dict[int, Scores]:
        """Return the scores of the windows that end in the batches, by the models that are fitted."""
        if tuple(tail.entity.column_names) != entity:
            raise PlanError(
                f"The open series {_told_apart(tail.entity.column_names)}, and this call's {_told_apart(entity)}. Give the "
                f"same `entity`, call reset() first, or set maintain_state=False."
            )
        matrices, log = MatrixBatches(batches, self._names, entity), SeriesLog(is_one=True, last=tail.entity)
        last = before = tail.segment(self._shift)

        def segments() -> Iterator[NumberedSegment]:
            nonlocal last
            for segment in numbered_segments(self._blocks(matrices, log), self._windows.halo, before=before):
                last = segment
                yield segment

        scores = self._scores(segments(), log, entity)
        self._tail, self._names = Tail.of(last.last(self._windows.halo), self._shift, log.last), matrices.names
        return scores

    def _blocks(self, batches: Iterable[MatrixBatch], log: SeriesLog) -> Iterator[tuple[FeatureBlock, IntArray]]:
        """Yield the batches as blocks, and the places in each whose row begins a series."""
        for batch in batches:
            batch.check_width(len(self._shift))
            begins = log.begins(batch.entities, len(batch.values), batch.number)
            for i, block in enumerate(batch.blocks(self._shift, self.batch_size)):
                first, stop = np.searchsorted(begins, [i * self.batch_size, (i + 1) * self.batch_size])
                yield block, begins[first:stop] - i * self.batch_size

    def _scores(self, segments: Iterable[NumberedSegment], log: SeriesLog, entity: tuple[str, ...]) -> dict[int, Scores]:
        """Return the scores of the windows in the segments, and keep what tells their series apart."""
        scores, keys = scores_of(segments, self._fitted, with_keys=bool(entity))
        self.entities = log.entities.to_pandas() if entity else None
        self.window_keys = keys
        return scores

    @property
    def _shift(self) -> FloatArray:
        return next(iter(self._fitted.values())).shift

    def _say(self, message: str, *values: object) -> None:
        Progress(_log, verbose=self.verbose)(message, *values)


def _told_apart(entity: Sequence[str]) -> str:
    return f"is that of an entity ({listed(entity)})" if entity else "has no entity"
