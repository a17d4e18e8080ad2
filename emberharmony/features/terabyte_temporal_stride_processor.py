"""Windows of several strides, each compressed by PCA, from batches that come once: the notebook's door to `pca`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberharmony.backend import select, using_backend
from emberharmony.errors import DataError
from emberharmony.features.matrix_batch import COPY_ROWS, MatrixBatch
from emberharmony.io.spool import MatrixFile, RowSpool
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.window_gram import WindowGram
from emberharmony.typing import FeatureBlock, FloatArray
from emberharmony.windows import WindowSpec, window_starts

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

_log = logging.getLogger(__name__)

Scores = NDArray[np.float32]  # (n_windows, n_components)


class TerabyteTemporalStrideProcessor:
    """Windows of rows at several strides, each stride's compressed by its own PCA.

    The PCA is exact whatever the batches: it comes from the sums of products of all windows' rows, which are merged batch by
    batch, and no window is ever built. Every window is projected once, on the one PCA that all of its stride share. Memory
    holds one batch and the sums; rows wait for the second pass, and scores for whoever reads them, in temporary files.

    Parameters
    ----------
    window_size : int
        Rows in a window.
    stride_perspectives : sequence of int
        Rows from one window's first row to the next one's, counted from the first row of the series.
    pca_components : int, optional
        Components to keep; by default half the window's numbers, at most 32, never more than windows less one.
    batch_size : int
        Rows to compute on at once; batches may have any other size.
    use_incremental_pca : bool
        Kept for callers that give it: the PCA is exact in bounded memory either way, so it changes nothing.
    verbose : bool
        Log progress at level INFO.
    preferred_backend : str, optional
        ``numpy``, ``torch`` or ``mlx``, with a device if wanted; by default the current one.

    Attributes
    ----------
    pca_models : dict of int to sklearn.decomposition.PCA
        The fitted model of every stride, for windows flattened row by row.
    state_buffer : array of shape (<= window_size - 1, n_features) or None
        Last rows of the series, with which windows that are not complete yet begin.

    Examples
    --------
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
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, got {batch_size}.")
        if not stride_perspectives:
            raise ValueError("stride_perspectives is empty: give at least one stride, such as (1, 3, 5).")
        self._windows = WindowSpec(window_size, tuple(stride_perspectives))
        self._pca = PCASpec(pca_components)
        select(preferred_backend)  # now, not in the middle of the work: a backend that was asked for has to be there
        self.batch_size = batch_size
        self.use_incremental_pca = use_incremental_pca
        self.verbose = verbose
        self.preferred_backend = preferred_backend
        self.pca_models: dict[int, PCA] = {}
        self._fitted: dict[int, _Fitted] = {}
        self._tail: _Tail | None = None

    @property
    def window_size(self) -> int:
        """Rows in a window."""
        return self._windows.size

    @property
    def stride_perspectives(self) -> tuple[int, ...]:
        """The strides."""
        return self._windows.strides

    @property
    def pca_components(self) -> int | None:
        """Components asked for."""
        return self._pca.components

    @property
    def state_buffer(self) -> FloatArray | None:
        """Last rows of the series so far, which the next call's first windows begin with."""
        return None if self._tail is None else self._tail.rows.copy()

    def reset(self) -> None:
        """Forget the series and the fitted models."""
        self.pca_models, self._fitted, self._tail = {}, {}, None

    def process_large_dataset(self, generator: Iterable[Any], maintain_state: bool = True) -> dict[int, Scores]:
        """Fit every stride's PCA on all windows of the batches, and return all windows' scores.

        Parameters
        ----------
        generator : iterable
            Batches of rows, read once: arrays, tensors or frames of numbers, of shape ``(n_rows, n_features)`` with
            any numbers of rows, everything finite.
        maintain_state : bool
            The batches are one series, and windows go across their borders. It stays open: the next call continues it, with
            the models fitted by this one (`reset` begins anew). Otherwise every batch is a series of its own.

        Returns
        -------
        dict of int to array of shape (n_windows, n_components)
            Scores by stride, float32, read-only, mapped from a temporary file that goes when they do.

        Raises
        ------
        DataError
            If there is no row, batches do not have the same columns, or a value is missing or not finite.
        PlanError
            If there are too few windows for a PCA.
        """
        with self._computing():
            if maintain_state and self._tail is not None:
                return self._continued(generator, self._tail)
            with _Spool() as spool:
                states = self._spooled(generator, spool, one_series=maintain_state)
                self._fit(states, spool.shift)
                scores = self._project(self._stretches(spool))
                self._tail = _Tail.of(spool, self._windows.halo) if maintain_state else None
        return scores

    def process_batch(self, data: Any) -> dict[int, Scores]:
        """Return the scores of the windows within one batch, a series of its own.

        The first batch fits the models if nothing has; after that they stay as they are.
        """
        with self._computing():
            rows = MatrixBatch.of(data, 0, None)
            if not self._fitted:
                with _Spool() as spool:
                    self._fit(self._spooled([data], spool, one_series=True), spool.shift)
            shift = self._shift
            rows.check_width(len(shift), 0)
            return self._project(_overlapping(rows.blocks(shift, self.batch_size), self._windows.halo))

    def get_explained_variance(self, stride: int) -> float:
        """Return the share of the variance of a stride's windows that its components hold together."""
        return float(self._model(stride).explained_variance_ratio.sum())

    def get_feature_importance(self, stride: int) -> FloatArray:
        """Return the sum of absolute loadings over a stride's components.

        Of shape ``(window_size * n_features,)``, the window's first row first; ``reshape(window_size, -1)`` tells lags and
        features apart.
        """
        return self._model(stride).importance.ravel()

    def _model(self, stride: int) -> WindowPCA:
        if stride not in self.stride_perspectives:
            raise ValueError(f"Stride {stride} is not one of this processor's: {list(self.stride_perspectives)}.")
        if stride not in self._fitted:
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("No PCA is fitted yet; call process_large_dataset or process_batch first.")
        return self._fitted[stride].pca

    def _computing(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.preferred_backend is None else using_backend(self.preferred_backend)

    def _spooled(self, batches: Iterable[Any], spool: _Spool, *, one_series: bool) -> list[WindowGram]:
        """First pass: rows to disk, and the windows' sums, one state for each stride."""
        total: list[WindowGram] = []
        series: list[WindowGram] = []
        counted = 0  # rows of the spool that are in `series` or `total`

        def count_up_to(stop: int) -> None:
            nonlocal series, counted
            begin = spool.series[-1][0]
            states = WindowGram.of_strides(
                spool.read(counted, stop), start=counted - begin, size=self.window_size, strides=self.stride_perspectives
            )
            series = [a.merge(b) for a, b in zip(series, states, strict=True)] if series else states
            counted = stop

        for number, batch in enumerate(batches):
            rows = MatrixBatch.of(batch, number, spool.names)
            if not len(rows.values):
                continue
            spool.add(rows, number, new_series=not one_series)
            while spool.n_rows - counted >= self.batch_size:
                count_up_to(counted + self.batch_size)
            if not one_series:
                if counted < spool.n_rows:
                    count_up_to(spool.n_rows)
                total, series = _added(total, series), []
            self._say("read batch %d: %d rows so far", number, spool.n_rows)
        if not spool.n_rows:
            raise DataError("The batches hold no rows; there is nothing to make windows of.")
        if counted < spool.n_rows:
            count_up_to(spool.n_rows)
        return _added(total, series) if series else total

    def _fit(self, states: Sequence[WindowGram], shift: FloatArray) -> None:
        fitted = {state.stride: _Fitted.of(WindowPCA.fit(state, self._pca), shift) for state in states}
        self._fitted = fitted
        self.pca_models = {stride: model.pca.to_sklearn() for stride, model in fitted.items()}
        for stride in fitted:
            self._say("stride %d: components explain %.1f %%", stride, 100 * self.get_explained_variance(stride))

    def _stretches(self, spool: _Spool) -> Iterator[tuple[int, FeatureBlock]]:
        """Second pass: every series' rows again."""
        for first, stop in spool.series:
            yield from _overlapping(spool.blocks(first, stop, self.batch_size), self._windows.halo)

    def _continued(self, batches: Iterable[Any], tail: _Tail) -> dict[int, Scores]:
        """Scores of the windows that end in the batches, by the models that are there; one pass."""
        shift = self._shift
        last = tail.first, next(MatrixBatch(tail.rows, tail.names).blocks(shift, COPY_ROWS), None)

        def blocks() -> Iterator[FeatureBlock]:
            for number, batch in enumerate(batches):
                rows = MatrixBatch.of(batch, number, tail.names)
                rows.check_width(len(shift), number)
                yield from rows.blocks(shift, self.batch_size)

        def remembered() -> Iterator[tuple[int, FeatureBlock]]:
            nonlocal last
            for start, rows in _overlapping(blocks(), self._windows.halo, start=tail.first, before=last[1]):
                last = start, rows
                yield start, rows

        scores = self._project(remembered())
        start, rows = last
        if rows is not None:
            kept = max(rows.shape[1] - self._windows.halo, 0)
            self._tail = _Tail(start + kept, rows[:, kept:].T + shift, tail.names)
        return scores

    @property
    def _shift(self) -> FloatArray:
        return next(iter(self._fitted.values())).shift

    def _project(self, stretches: Iterable[tuple[int, FeatureBlock]]) -> dict[int, Scores]:
        with ExitStack() as stack:
            files = {s: stack.enter_context(MatrixFile(model.pca.n_components)) for s, model in self._fitted.items()}
            for start, rows in stretches:
                stop = start + rows.shape[1]
                for stride, model in self._fitted.items():
                    starts = window_starts(self.window_size, stride, start=start, stop=stop, n_rows=stop)
                    if starts:
                        files[stride].append(model.shifted.project(rows, first=starts.start - start, count=len(starts)))
            return {stride: file.mapped() for stride, file in files.items()}

    def _say(self, message: str, *values: object) -> None:
        if self.verbose:
            _log.info(message, *values)


@dataclass(frozen=True)
class _Fitted:
    """A stride's model, of the rows as they came and of the rows less `shift`, which is what is computed with.

    Rows are float32 in every computation: taking their means away first leaves the digits to what varies.
    """

    pca: WindowPCA
    shifted: WindowPCA
    shift: FloatArray

    @classmethod
    def of(cls, shifted: WindowPCA, shift: FloatArray) -> _Fitted:
        return cls(replace(shifted, mean=shifted.mean + np.tile(shift, shifted.size)), shifted, shift)


@dataclass(frozen=True)
class _Tail:
    """The last rows of an open series."""

    first: int  # number in the series of the first of them
    rows: FloatArray  # (n_rows, n_features)
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, spool: _Spool, halo: int) -> _Tail:
        first = max(spool.n_rows - halo, 0)
        return cls(first, spool.read(first, spool.n_rows).T + spool.shift, spool.names)


class _Spool(RowSpool):
    """The batches on disk, less the first one's means, and where each series begins."""

    def __init__(self) -> None:
        super().__init__()
        self.series: list[tuple[int, int]] = []  # first row and number of rows of each
        self.shift: FloatArray = np.empty(0)
        self.names: tuple[str, ...] | None = None

    def add(self, rows: MatrixBatch, number: int, *, new_series: bool) -> None:
        """Append a batch; the first one says what its columns are and how far they lie from zero."""
        if not self.n_rows:
            self.names, self.shift = rows.names, rows.values.mean(axis=0, dtype=np.float64)
        rows.check_width(len(self.shift), number)
        if new_series or not self.series:
            self.series.append((self.n_rows, self.n_rows))
        for block in rows.blocks(self.shift, COPY_ROWS):
            self.append(block)
        self.series[-1] = (self.series[-1][0], self.n_rows)


def _added(total: list[WindowGram], more: list[WindowGram]) -> list[WindowGram]:
    """Sums over several series: their windows add up, their ends do not meet."""
    return [replace(a, gram=a.gram + b.gram) for a, b in zip(total, more, strict=True)] if total else more


def _overlapping(
    blocks: Iterable[FeatureBlock], halo: int, *, start: int = 0, before: FeatureBlock | None = None
) -> Iterator[tuple[int, FeatureBlock]]:
    """Blocks of a series, each with up to `halo` rows before it, and the number of the first row: no window is whole twice."""
    for block in blocks:
        rows = block if before is None else np.concatenate([before, block], axis=1)
        yield start, rows
        kept = max(rows.shape[1] - halo, 0)
        start, before = start + kept, rows[:, kept:]
