"""Exact principal components of windows, fitted on their Gram matrix and applied without building a window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from emberharmony import ops
from emberharmony.errors import PlanError
from emberharmony.projection import Directions, project
from emberharmony.settings import Section
from emberharmony.stats.eigenspaces import leading_eigenvectors
from emberharmony.stats.explained import ExplainedSquares
from emberharmony.stats.rows import compute_dtype
from emberharmony.stats.window_gram import WindowGram
from emberharmony.threads import one_blas_thread
from emberharmony.typing import Arrays, BoolArray, FeatureBlock, FloatArray, IntArray

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

MAX_DEFAULT_COMPONENTS = 32

_FLOAT32_LENGTHS = 1e-5 / (2.5 * 2**-24)
"""Windows up to this many times as long as the smallest deviation of a score are projected in float32."""
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
                f"A PCA needs two windows of {state.size} rows at stride {state.stride} to train on, and has {count}. Lower "
                f"`windows.size` or the stride, or train on more rows."
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
        return project_strides({self.stride: self}, rows, {self.stride: starts})[self.stride]

    @property
    def _directions(self) -> Directions:
        deviation = math.sqrt(float(self.explained_variance.min()))
        longest = _FLOAT32_LENGTHS * deviation
        typical = math.sqrt(self.total_variance + float(self.mean @ self.mean))
        offset = self.components @ self.mean
        return Directions(self.components, offset, self.size, self.stride, longest if typical <= longest else 0.0)

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


def project_strides(
    pcas: Mapping[int, WindowPCA], rows: FeatureBlock, starts: Mapping[int, IntArray]
) -> dict[int, FeatureBlock]:
    """Return the scores of several strides' windows, as `WindowPCA.project` does, from rows that are transposed once.

    Parameters
    ----------
    pcas : mapping of stride to WindowPCA
        Principal components of windows of one size.
    rows : array of shape (n_features, n_rows)
        Adjacent rows, which hold all of the windows.
    starts : mapping of stride to int64 array of shape (n_windows,)
        Strides to project, and the places in `rows`, ascending, where their windows begin.

    Returns
    -------
    dict of stride to float32 array of shape (n_components, n_windows)
        Scores beyond float32 are clipped to its range.
    """
    directions = [pcas[stride]._directions for stride in starts]
    return dict(zip(starts, project(directions, rows, list(starts.values())), strict=True))


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
