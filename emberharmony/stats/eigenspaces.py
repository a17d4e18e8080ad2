"""Leading eigenvectors of a covariance matrix, independent of rounding.

Any orthonormal basis of an eigenspace consists of eigenvectors; if eigenvalues are equal, the last bits of the matrix decide
which basis an eigensolver returns. Only the eigenspace is well-defined, so a rule that depends on the space alone chooses its
basis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from emberharmony.threads import one_blas_thread
from emberharmony.typing import FloatArray

# Eigenvalues count as equal if they differ by less than this, relative to the larger one: rounding features to float32
# separates equal variances by about 1e-7, relative.
_SAME_RELATIVE = 1e-6
# Relative to the geometric mean of an eigenvalue and the largest one: below this gap, an error of 1e-15 of the largest
# eigenvalue rotates eigenvectors so far that scores change by 1e-7 of the largest standard deviation.
_SAME_SCORES = 1e-8
# Largest order of a matrix for NumPy's solver, which computes all eigenvectors: in the same time as SciPy's up to 225, in less
# than 0.03 s up to here. SciPy's computes the leading ones, but takes 0.15 s to import, a tenth of a small job.
_SMALL = 512
_DIVIDED = 4_096  # largest order of a matrix that is divided and conquered, which takes 0.4 GB more
# Structured data give ratios of small integers; the golden ratio is far from all of them.
_NEARLY_LONGEST = (math.sqrt(5.0) - 1.0) / 2.0


def leading_eigenvectors(
    matrix: FloatArray | Callable[[], FloatArray], /, *, k: int, rounding: float = 1e-12, scale: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return the largest eigenvalues and their eigenvectors, with a canonical basis for every eigenspace.

    Parameters
    ----------
    matrix : array of shape (n, n), or callable
        Symmetric and positive semidefinite, up to rounding. A callable makes the matrix, which is overwritten, and makes it
        again if it has to be solved again, so that it is in memory once.
    k : int
        Number of eigenvectors, at most `n`. The last eigenspace may be cut.
    rounding : float
        Bound on the rounding errors of the eigenvalues, relative to the largest eigenvalue or to `scale`.
    scale : float
        Largest magnitude of the numbers whose difference the matrix is.

    Returns
    -------
    values : array of shape (k,)
        Largest first.
    vectors : array of shape (k, n)
        Orthonormal rows; their signs are arbitrary.

    Examples
    --------
    >>> values, vectors = leading_eigenvectors(np.diag([2.0, 3.0, 2.0]), k=2)
    >>> values.round(9).tolist(), np.abs(vectors).round(9).tolist()
    ([3.0, 2.0], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    """
    make = matrix if callable(matrix) else matrix.copy
    values, vectors = _whole_eigenspaces(make, k, rounding, scale)
    basis = vectors.T[:k].copy()
    for begin, end in pairwise(_borders(values, rounding, scale)):
        if end - begin > 1 and begin < k:
            basis[begin:end] = canonical_basis(vectors[:, begin:end], n=min(end, k) - begin)
    return values[:k], basis


def canonical_basis(vectors: FloatArray, /, *, n: int) -> FloatArray:
    """Return the first `n` vectors of an orthonormal basis that depends on the space alone, not on the given basis.

    The coordinate axes are projected onto the space and orthogonalised one after the other, as in a pivoted Cholesky
    factorisation of the projector. The next pivot is the first axis whose remainder is nearly as long as the longest:
    symmetric data leave remainders of equal length, and rounding must not choose among them.

    Parameters
    ----------
    vectors : array of shape (n_axes, dimension)
        Orthonormal columns that span the space.
    n : int
        At most `dimension`.

    Returns
    -------
    array of shape (n, n_axes)

    Examples
    --------
    >>> turned = np.array([[0.6, 0.8], [0.8, -0.6], [0.0, 0.0]])
    >>> np.abs(canonical_basis(turned, n=2)).round(9).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    rest = vectors.copy()  # remainder of every axis, in the given basis
    chosen = np.empty((n, vectors.shape[1]))
    for i in range(n):
        squared = np.einsum("ij,ij->i", rest, rest)
        direction = rest[(squared >= _NEARLY_LONGEST * squared.max()).argmax()].copy()
        direction -= (chosen[:i] @ direction) @ chosen[:i]  # again: the first subtraction leaves rounding errors
        direction /= np.linalg.norm(direction)
        rest -= np.outer(rest @ direction, direction)
        chosen[i] = direction
    basis: FloatArray = chosen @ vectors.T
    return basis


def _whole_eigenspaces(make: Callable[[], FloatArray], k: int, rounding: float, scale: float) -> tuple[FloatArray, FloatArray]:
    """Return the leading eigenvalues and eigenvectors (as columns): at least `k`, and the rest of the last eigenspace."""
    matrix = make()
    n = len(matrix)
    if n <= _SMALL:
        values, vectors = np.linalg.eigh(matrix)
        return values[::-1], vectors[:, ::-1]
    del matrix
    values, vectors = _leading(make, min(k + 1, n))  # one more shows whether the last eigenspace ends at k
    if k + 1 >= n or k in _borders(values, rounding, scale):
        return values, vectors
    every = _solved(make(), "evr", eigvals_only=True)[::-1]
    return _leading(make, next(border for border in _borders(every, rounding, scale) if border >= k))


def _leading(make: Callable[[], FloatArray], k: int) -> tuple[FloatArray, FloatArray]:
    from scipy.linalg import LinAlgError

    matrix = make()
    n = len(matrix)
    try:
        values, vectors = _solved(matrix, "evr", subset_by_index=(n - k, n - 1) if k < n else None)
    except LinAlgError:
        # LAPACK's solvers of some eigenvectors, `evr` and `evx`, may give up where many eigenvalues are nearly equal and tiny,
        # as those of rare categories are. The ones that compute all vectors do not: the one that divides and conquers takes
        # the memory of three matrices, the other several times as long.
        del matrix
        values, vectors = _solved(make(), "evd" if n <= _DIVIDED else "ev")
        values, vectors = values[n - k :], vectors[:, n - k :].copy()
    return values[::-1], vectors[:, ::-1]


def _solved(matrix: FloatArray, driver: str, **options: Any) -> Any:
    """Return what SciPy's solver does; it overwrites the matrix, transposed, as LAPACK has columns where NumPy has rows."""
    from scipy.linalg import eigh  # loads a BLAS of its own

    with one_blas_thread():
        return eigh(matrix.T, driver=driver, overwrite_a=True, **options)


def _borders(values: FloatArray, rounding: float, scale: float) -> list[int]:
    """Return the index at which each eigenspace begins, and the number of eigenvalues; they are given largest first."""
    largest, above = max(float(values[0]), 0.0), np.maximum(values[:-1], 0.0)
    same = np.maximum(_SAME_RELATIVE * above, _SAME_SCORES * np.sqrt(above * largest))
    same = np.maximum(same, rounding * max(largest, scale))
    return [0, *(np.flatnonzero(above - values[1:] > same) + 1).tolist(), len(values)]
