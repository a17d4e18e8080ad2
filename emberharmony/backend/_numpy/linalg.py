"""NumPy's linear algebra, with results of the dtype that the array API standard wants."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy.linalg import (  # isort: skip
    cholesky, cross, det, diagonal, eigh, eigvalsh, inv, matrix_norm, matrix_power, matrix_rank, matrix_transpose, outer, qr,
    slogdet, solve, svd, svdvals, trace, vector_norm,
)  # fmt: skip

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "trace", "vector_norm",
]  # fmt: skip


def eig(x: Any, /) -> tuple[Any, Any]:
    """Complex in every case; NumPy returns real numbers if all imaginary parts are zero."""
    values, vectors = np.linalg.eig(x)
    return _as_complex(values), _as_complex(vectors)


def eigvals(x: Any, /) -> Any:
    """Complex in every case, see `eig`."""
    return _as_complex(np.linalg.eigvals(x))


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """By default the tolerance depends on shape and dtype, as in the standard; without ``rtol``, NumPy's is 1e-15."""
    return np.linalg.pinv(x, rtol=rtol)


def _as_complex(x: Any) -> Any:
    return x.astype(np.result_type(x, np.complex64), copy=False)
