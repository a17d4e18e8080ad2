"""Exact principal components of windows, fitted on their Gram matrix and applied without building a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from emberharmony import ops
from emberharmony.errors import PlanError
from emberharmony.settings import Section
from emberharmony.stats.eigenspaces import leading_eigenvectors
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.places import blocks_of
from emberharmony.stats.rows import LARGEST_FLOAT32, compute_dtype, fill_transposed, on_host, wide_enough_for
from emberharmony.stats.window_gram import WindowGram
from emberharmony.threads import each_block, one_blas_thread, threads_for
from emberharmony.typing import Arrays, BoolArray, FeatureBlock, FloatArray, IntArray

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

MAX_DEFAULT_COMPONENTS = 32

_HOST_BLOCK_WINDOWS = 4_096  # their rows, scores and products fit in the cache
_LINES_BYTES = 3 * 2**20  # of rows that are cut into lines: they stay in the cache
_MOST_LINED = 16_384  # rows
_LEAST_LINES = 256  # of a product, which packs all loadings first
_DEVICE_BLOCK_WINDOWS = 262_144
_PRODUCT_DEPTH = 256  # terms of one product; with so many, adding the products up costs little
_MOST_PROJECTED = 1.3  # windows from every row, of which some are chosen, cost less than to choose rows
_LONGEST_STEP = 2  # windows' lengths between the starts of two: if they are further apart, most rows are in no window
_COVARIANCE_ROWS = 256
_SAME_LOADING = 1e-4  # far above the rounding error of a loading, even in float32


@dataclass(frozen=True)
class PCASpec(Section):
    """How many principal components of the windows are kept, for each stride."""

    components: int | None = None
    """Components to keep; by default half of the numbers of a window (`size` times features), at most 32."""

    def __post_init__(self) -> None:
        """Check the number of components."""
        if self.components is not None and self.components < 1:
            raise ValueError(f"components is at least 1, got {self.components}.")


def n_components(spec: PCASpec, *, size: int, n_features: int, n_windows: int) -> int:
    """Return the number of components to keep, which is always less than the number of windows.

    Raises
    ------
    PlanError
        If `spec` asks for more components than there can be.

    Examples
    --------
    >>> n_components(PCASpec(), size=5, n_features=3, n_windows=1000)
    7
    """
    possible = min(size * n_features, n_windows - 1)
    if spec.components is None:
        return max(1, min(size * n_features // 2, MAX_DEFAULT_COMPONENTS, possible))
    if spec.components > possible:
        raise PlanError(
            f"{spec.components} components were asked for, but {n_windows} training windows of {size} rows x {n_features} "
            f"features have at most {possible}. Lower `pca.components`, or leave it empty."
        )
    return spec.components


@dataclass(frozen=True)
class WindowPCA:
    """Fitted principal components of the windows of one stride.

    The result is the same in every run. The largest loading of a component is positive; of loadings that differ by less than
    0.01 %, the first one counts. Components of equal variance are the canonical basis of their eigenspace (see
    `stats.eigenspaces`).
    """

    size: int
    stride: int
    n_windows: int
    mean: FloatArray  # (size * n_features,): of windows flattened row by row
    components: FloatArray  # (n_components, size * n_features), largest variance first
    explained_variance: FloatArray  # (n_components,), with ddof=1
    total_variance: float

    @classmethod
    def fit(cls, state: WindowGram, spec: PCASpec) -> Self:
        """Fit on all windows of a Gram state; the cost is one eigendecomposition.

        Raises
        ------
        PlanError
            If there are fewer than two windows, or too few for the components that `spec` asks for.
        """
        count, width = state.n_windows, len(state.gram) - state.size
        if count < 2:
            raise PlanError(
                f"The training split has {count} windows of {state.size} rows at stride {state.stride}; a PCA needs "
                f"two. Lower `windows.size` or the stride, or give the training split more rows."
            )
        k = n_components(spec, size=state.size, n_features=width // state.size, n_windows=count)
        mean, variances = _mean(state), list[FloatArray]()

        def covariance() -> FloatArray:
            matrix = _covariance(state, mean)
            variances[:] = [matrix.diagonal().copy()]
            return matrix

        largest = float(np.diag(state.gram).max()) / count  # mean square; the scatter has its rounding errors
        with one_blas_thread():  # bound by memory: more threads gain nothing, and could change the last bits
            values, vectors = leading_eigenvectors(covariance, k=k, rounding=_rounding(), scale=largest)
        total = float(variances[0].sum())
        variance = np.maximum(values, 0.0)  # rounding may leave a zero eigenvalue a little below zero
        return cls(state.size, state.stride, count, mean, _with_fixed_signs(vectors), variance, total)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.components)

    @property
    def n_features(self) -> int:
        """Number of features of a row."""
        return int(self.components.shape[1]) // self.size

    @property
    def explained_variance_ratio(self) -> FloatArray:
        """Share of the total variance of each component; shape ``(n_components,)``."""
        return self.explained_variance / (self.total_variance or 1.0)

    @property
    def importance(self) -> FloatArray:
        """Sum of absolute loadings over the components; shape ``(size, n_features)``, the first row of the window first."""
        weight: FloatArray = np.abs(self.components).sum(axis=0).reshape(self.size, self.n_features)
        return weight

    def project(self, rows: FeatureBlock, starts: IntArray, /) -> FeatureBlock:
        """Return the scores of windows, computed on the current backend.

        Parameters
        ----------
        rows : array of shape (n_features, n_rows)
            Adjacent rows, which hold all of the windows.
        starts : int64 array of shape (n_windows,)
            Places in `rows`, ascending, where the windows begin.

        Returns
        -------
        float32 array of shape (n_components, n_windows)
            Scores beyond float32 are clipped to its range.
        """
        with wide_enough_for(rows):
            return self._project(rows, starts)

    def _project(self, rows: FeatureBlock, starts: IntArray) -> FeatureBlock:
        out = np.empty((self.n_components, len(starts)), np.float32)
        loadings, here = _Loadings.of(self, compute_dtype()), on_host()
        step, window_bytes = self._blocks(starts, here=here)
        blocks = blocks_of(starts, step, step * self.stride)

        def score(some: Sequence[slice]) -> None:
            lines = _Lines(loadings) if here else None
            for block in some:
                at, stop = int(starts[block.start]), int(starts[block.stop - 1]) + self.size
                taken, of_block = _Taken.of(starts[block] - at, self.stride), rows[:, at:stop]
                if lines and self._in_lines(taken):
                    lines.score(of_block, taken, out[:, block])
                else:
                    scores = ops.clip(loadings.scores(of_block, taken), -LARGEST_FLOAT32, LARGEST_FLOAT32)
                    out[:, block] = ops.astype(scores, ops.float32).numpy()

        n_threads = threads_for(step * window_bytes)
        each_block(score, [blocks[i::n_threads] for i in range(min(n_threads, len(blocks)))], n_threads=n_threads)
        return out

    def _blocks(self, starts: IntArray, *, here: bool) -> tuple[int, int]:
        """Return the windows of a block, and the bytes that each of them takes."""
        if here and len(starts) and self._in_lines(_Taken.of(starts - starts[0], self.stride)):
            scores_bytes = 16 * self.n_components * self.stride // self.size  # of the windows at one place of their lines
            return max(self._lined_rows // self.stride, 1), 8 * self.stride * self.n_features + scores_bytes
        step = max(_HOST_BLOCK_WINDOWS // self.stride, 1) if here else _DEVICE_BLOCK_WINDOWS
        return step, 8 * (_PRODUCT_DEPTH + 2 * self.n_features + 3 * self.n_components)

    @property
    def _lined_rows(self) -> int:
        """Rows that are cut into lines at once."""
        return min(_LINES_BYTES // (8 * self.n_features), _MOST_LINED)

    def _in_lines(self, taken: _Taken) -> bool:
        """Whether windows are evenly spaced, so close that most rows lie in one, and of few enough numbers."""
        return 0 < taken.step <= _LONGEST_STEP * self.size and self._lined_rows >= _LEAST_LINES * self.size

    def explained_squares(self, scores: FeatureBlock, rows: FeatureBlock, starts: IntArray, /) -> ExplainedSquares:
        """Return the squared distances of windows from the fitted mean, and the part of them that the scores explain.

        `scores` is what `project` returned for the same `rows` and `starts`.
        """
        return ExplainedSquares.of(scores, rows, starts, self.mean.reshape(self.size, self.n_features))

    def to_sklearn(self) -> PCA:
        """Return the model as a fitted scikit-learn ``PCA`` of windows flattened row by row."""
        from sklearn.decomposition import PCA

        model = PCA(n_components=self.n_components, svd_solver="full")
        model.components_, model.mean_ = self.components.copy(), self.mean.copy()
        model.explained_variance_ = self.explained_variance.copy()
        model.explained_variance_ratio_ = self.explained_variance_ratio
        model.singular_values_ = np.sqrt(self.explained_variance * (self.n_windows - 1))
        model.n_components_, model.n_samples_, model.n_features_in_ = self.n_components, self.n_windows, len(self.mean)
        rest = len(self.mean) - self.n_components
        unexplained = self.total_variance - self.explained_variance.sum()
        model.noise_variance_ = max(float(unexplained), 0.0) / rest if rest else 0.0
        return model

    def to_arrays(self) -> Arrays:
        """Return the model as named arrays."""
        return {
            "numbers": np.array([self.size, self.stride, self.n_windows], np.int64),
            "mean": self.mean,
            "components": self.components,
            "explained_variance": self.explained_variance,
            "total_variance": np.array([self.total_variance]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the model that `to_arrays` wrote."""
        size, stride, n_windows = map(int, arrays["numbers"])
        total = float(arrays["total_variance"][0])
        parts = (arrays["mean"], arrays["components"], arrays["explained_variance"])
        return cls(size, stride, n_windows, *parts, total)


@dataclass(frozen=True)
class _Loadings:
    """Loadings of a model on the current backend, in one data type."""

    matrix: Any  # (n_components, size * n_features)
    offset: Any  # (n_components, 1): the scores of the mean
    size: int

    @classmethod
    def of(cls, pca: WindowPCA, dtype: Any) -> Self:
        offset = ops.asarray((pca.components @ pca.mean)[:, None], dtype=dtype)
        return cls(ops.asarray(pca.components, dtype=dtype), offset, pca.size)

    def scores(self, rows: FeatureBlock, taken: _Taken) -> Any:
        """Return the scores of the windows that are taken from `rows`; shape ``(n_components, n_windows)``."""
        n_features, dtype = len(rows), self.matrix.dtype
        at_once = max(1, _PRODUCT_DEPTH // n_features)  # rows of the windows to one product
        x = ops.astype(ops.asarray(rows), dtype, copy=False)
        scores = -self.offset
        for i in range(0, self.size, at_once):
            parts = [taken.rows(x, j) for j in range(i, min(i + at_once, self.size))]
            of_rows = ops.concat(parts, axis=0) if len(parts) > 1 else parts[0]
            scores = scores + self.matrix[:, i * n_features : (i + len(parts)) * n_features] @ of_rows
        return taken.windows(scores)


class _Lines:
    """Scores of evenly spaced windows on the host, from rows that are transposed once.

    Rows are cut into lines that are a multiple of the step long and hold a window. The windows that begin at the same place of
    their lines are a matrix, which nobody has to build. The memory of the rows is used again: fresh pages cost more than the
    copy.
    """

    def __init__(self, loadings: _Loadings) -> None:
        self._loadings, self._width = loadings, int(loadings.matrix.shape[1]) // loadings.size
        self._table = np.empty((0, self._width), loadings.matrix.numpy().dtype)

    def score(self, rows: FeatureBlock, taken: _Taken, out: FeatureBlock) -> None:
        """Write the scores of the windows that are taken from `rows` to `out`, of shape ``(n_components, n_windows)``."""
        if len(taken.starts) == taken.n_windows:
            self._score_all(rows, taken, out)
            return
        scores = np.empty((len(out), taken.n_windows), np.float32)
        self._score_all(rows, taken, scores)
        out[:] = scores[:, taken.starts]

    def _score_all(self, rows: FeatureBlock, taken: _Taken, out: FeatureBlock) -> None:
        size, width = self._loadings.size, self._width
        n_phases = -(-size // taken.step)  # as many windows begin in a line
        n_lines, period = -(-taken.n_windows // n_phases), n_phases * taken.step
        flat = ops.reshape(ops.asarray(self._filled(rows, n_lines * period + (n_phases - 1) * taken.step)), (-1,))
        for phase in range(min(n_phases, taken.n_windows)):
            n, begin = -(-(taken.n_windows - phase) // n_phases), phase * taken.step * width
            lines = ops.reshape(flat[begin : begin + n * period * width], (n, period * width))
            scores = self._loadings.matrix @ lines[:, : size * width].mT
            scores -= self._loadings.offset
            out[:, phase::n_phases] = ops.clip(scores, -LARGEST_FLOAT32, LARGEST_FLOAT32).numpy()

    def _filled(self, rows: FeatureBlock, n_rows: int) -> FloatArray:
        if len(self._table) < n_rows:
            self._table = np.empty((n_rows, self._width), self._table.dtype)
        return fill_transposed(self._table[:n_rows], rows)


@dataclass(frozen=True)
class _Taken:
    """How the windows of a block are taken from its rows: evenly spaced, all of them or some, or one by one."""

    starts: IntArray
    step: int  # rows between windows that are evenly spaced, or 0
    n_windows: int  # that are evenly spaced, of which `starts` are all or some

    @classmethod
    def of(cls, starts: IntArray, stride: int) -> Self:
        reach = int(starts[-1]) + 1
        if reach == (len(starts) - 1) * stride + 1 and (np.diff(starts) == stride).all():
            return cls(starts, stride, len(starts))
        return cls(starts, int(reach <= _MOST_PROJECTED * len(starts)), reach)

    def rows(self, x: Any, j: int) -> Any:
        """Return row `j` of every window, of shape ``(n_features, n_windows)``."""
        if self.step:
            return x[:, j : j + (self.n_windows - 1) * self.step + 1 : self.step]
        return ops.take(x, ops.asarray(self.starts + j), axis=1)

    def windows(self, scores: Any) -> Any:
        """Return the scores of the windows, given those of all evenly spaced ones."""
        if self.step and len(self.starts) < self.n_windows:
            return ops.take(scores, ops.asarray(self.starts), axis=1)
        return scores


def _mean(state: WindowGram) -> FloatArray:
    """Return the mean of the windows, without the constant column of ones."""
    width = len(state.gram) // state.size
    sums: FloatArray = state.gram[width - 1, _is_value(state)]  # their products with the one of the first row
    return sums / max(state.n_windows, 1)


def _covariance(state: WindowGram, mean: FloatArray) -> FloatArray:
    """Return the covariance matrix of the windows, with ddof=1, without the constant column of ones."""
    sums = state.gram[len(state.gram) // state.size - 1, _is_value(state)]
    rows = np.flatnonzero(_is_value(state))
    matrix = np.empty((len(rows), len(rows)))
    for begin in range(0, len(rows), _COVARIANCE_ROWS):  # a block at a time: Gram matrices take gigabytes
        some = slice(begin, begin + _COVARIANCE_ROWS)
        np.subtract(state.gram[np.ix_(rows[some], rows)], np.outer(sums[some], mean), out=matrix[some])
    matrix /= state.n_windows - 1
    return matrix


def _is_value(state: WindowGram) -> BoolArray:
    width = len(state.gram) // state.size
    is_value: BoolArray = np.arange(len(state.gram)) % width != width - 1
    return is_value


def _rounding() -> float:
    """Return the rounding error of eigenvalues relative to the numbers that were summed, with a margin of 50."""
    return 1e-12 if compute_dtype() == ops.float64 else 1e-5


def _with_fixed_signs(components: FloatArray) -> FloatArray:
    """Return components whose largest loading is positive; of several equal ones, the first decides.

    Loadings of opposite sign are equal where two features mirror each other (a one-hot pair) or windows look the same
    read backwards. Their last bits must not decide about the sign.
    """
    size = np.abs(components)
    first_largest = (size >= (1.0 - _SAME_LOADING) * size.max(axis=1, keepdims=True)).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), first_largest])
    fixed: FloatArray = np.ascontiguousarray(components * np.where(signs == 0, 1.0, signs)[:, None])
    return fixed
