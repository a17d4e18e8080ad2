"""Windows of several strides, each compressed by PCA, from batches that are read once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from emberharmony.backend import select, using_backend
from emberharmony.notebook.arguments import flag, strides_of, whole_number
from emberharmony.notebook.matrix_batch import MatrixBatch, MatrixBatches, batches_in
from emberharmony.notebook.progress import Progress
from emberharmony.notebook.series_spool import SeriesSpool
from emberharmony.notebook.state_file import read_state_file, write_state_file
from emberharmony.notebook.stride_state import FittedStride, Tail, state_arrays, state_of_arrays
from emberharmony.notebook.window_passes import Scores, gram_states, scores_of
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.series import Segment, overlapping_segments
from emberharmony.stats.window_gram import WindowGram
from emberharmony.typing import FeatureBlock, FloatArray
from emberharmony.windows import WindowSpec

if TYPE_CHECKING:
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

    def process_large_dataset(self, generator: Iterable[Any], maintain_state: bool = True) -> dict[int, Scores]:
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

        Returns
        -------
        dict of int to array of shape (n_windows, n_components)
            Scores by stride, float32 and read-only, mapped from a temporary file that is removed along with them.

        Raises
        ------
        DataError
            If there are no rows, the columns of the batches differ, or a value is missing, not finite or beyond float32.
        PlanError
            If there are too few windows for a PCA.
        """
        batches = batches_in(generator)
        with self._computing():
            if maintain_state and self._tail is not None:
                return self._continued(batches, self._tail)
            with SeriesSpool() as spool:
                matrices = MatrixBatches(batches)
                self._read(matrices, spool, one_series=maintain_state)
                self._fit(gram_states(spool, self._windows, self.batch_size), spool.shift)
                scores = scores_of(spool.segments(self.batch_size, self._windows.halo), self._fitted)
                self._tail = Tail.of(spool.last(self._windows.halo), spool.shift) if maintain_state else None
            self._names = matrices.names
        return scores

    def process_batch(self, data: Any) -> dict[int, Scores]:
        """Return the scores of the windows within one batch, a series of its own.

        If no models are fitted yet, they are fitted on this batch.
        """
        with self._computing():
            rows = MatrixBatch.of(data, 0, self._names)
            if not self._fitted:
                with SeriesSpool() as spool:
                    self._read([rows], spool, one_series=True)
                    self._fit(gram_states(spool, self._windows, self.batch_size), spool.shift)
            rows.check_width(len(self._shift))
            scores = scores_of(
                overlapping_segments(rows.blocks(self._shift, self.batch_size), self._windows.halo), self._fitted
            )
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

    def _read(self, batches: Iterable[MatrixBatch], spool: SeriesSpool, *, one_series: bool) -> None:
        """Write the batches to the spool."""
        for batch in batches:
            if len(batch.values):
                spool.add(batch, new_series=not one_series)
                self._say("read batch %d: %d rows so far", batch.number, spool.n_rows)
        spool.check_not_empty()

    def _fit(self, states: Sequence[WindowGram], shift: FloatArray) -> None:
        fitted = {state.stride: FittedStride.of(WindowPCA.fit(state, self._pca), shift) for state in states}
        self._fitted = fitted
        self.pca_models = {stride: model.pca.to_sklearn() for stride, model in fitted.items()}
        for stride in fitted:
            self._say("stride %d: components explain %.1f %%", stride, 100 * self.get_explained_variance(stride))

    def _continued(self, batches: Iterable[Any], tail: Tail) -> dict[int, Scores]:
        """Return the scores of the windows that end in the batches, by the models that are fitted."""
        shift, matrices = self._shift, MatrixBatches(batches, self._names)
        last = before = tail.segment(shift)

        def blocks() -> Iterator[FeatureBlock]:
            for rows in matrices:
                rows.check_width(len(shift))
                yield from rows.blocks(shift, self.batch_size)

        def segments() -> Iterator[Segment]:
            nonlocal last
            for segment in overlapping_segments(blocks(), self._windows.halo, before=before):
                last = segment
                yield segment

        scores = scores_of(segments(), self._fitted)
        self._tail, self._names = Tail.of(last.last(self._windows.halo), shift), matrices.names
        return scores

    @property
    def _shift(self) -> FloatArray:
        return next(iter(self._fitted.values())).shift

    def _say(self, message: str, *values: object) -> None:
        Progress(_log, verbose=self.verbose)(message, *values)
