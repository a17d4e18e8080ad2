"""Linear algebra of the array API standard."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from emberharmony.ops._tensor import Axis, Tensor, operands, wrap
from emberharmony.ops.manipulation import matrix_transpose

__all__ = [
    "EigResult",
    "EighResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class EigResult(NamedTuple):
    """The result of `eig`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EighResult(NamedTuple):
    """The result of `eigh`."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """The result of `qr`."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """The result of `slogdet`."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """The result of `svd`: ``x = U @ diag(S) @ Vh``."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _one(name: str, x: Any, **keywords: Any) -> Tensor:
    x = wrap(x)
    return Tensor(getattr(x._xp.linalg, name)(x._array, **keywords), x._xp)


def _two(name: str, x1: Any, x2: Any, **keywords: Any) -> Tensor:
    xp, a, b = operands(wrap(x1), wrap(x2))
    return Tensor(getattr(xp.linalg, name)(a, b, **keywords), xp)


def _several(name: str, x: Any, **keywords: Any) -> tuple[Tensor, ...]:
    x = wrap(x)
    return tuple(Tensor(a, x._xp) for a in getattr(x._xp.linalg, name)(x._array, **keywords))


def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """The Cholesky factor of positive definite matrices, lower unless `upper`."""
    return _one("cholesky", x, upper=upper)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of three-element vectors along an axis."""
    x1, x2 = wrap(x1), wrap(x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ValueError(f"cross needs 3 elements along axis {axis}, got shapes {x1.shape} and {x2.shape}.")
    return _two("cross", x1, x2, axis=axis)


def det(x: Any, /) -> Tensor:
    """The determinant of square matrices."""
    return _one("det", x)


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The elements on a diagonal of matrices."""
    return _one("diagonal", x, offset=offset)


def eig(x: Any, /) -> EigResult:
    """The eigenvalues and eigenvectors (columns of unit length) of square matrices, always complex and unordered."""
    return EigResult(*_several("eig", x))


def eigvals(x: Any, /) -> Tensor:
    """The eigenvalues of square matrices, always complex and unordered."""
    return _one("eigvals", x)


def eigh(x: Any, /) -> EighResult:
    """The eigenvalues (ascending) and eigenvectors of symmetric or Hermitian matrices."""
    return EighResult(*_several("eigh", x))


def eigvalsh(x: Any, /) -> Tensor:
    """The eigenvalues (ascending) of symmetric or Hermitian matrices."""
    return _one("eigvalsh", x)


def inv(x: Any, /) -> Tensor:
    """The inverse of square matrices."""
    return _one("inv", x)


def matmul(x1: Any, x2: Any, /) -> Tensor:
    """The matrix product; the ``@`` operator."""
    xp, a, b = operands(wrap(x1), wrap(x2))
    return Tensor(xp.matmul(a, b), xp)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: float | Literal["fro", "nuc"] | None = "fro") -> Tensor:
    """The norm of matrices (the last two axes)."""
    return _one("matrix_norm", x, keepdims=keepdims, ord=ord)


def matrix_power(x: Any, n: int, /) -> Tensor:
    """Square matrices to the power of an integer."""
    x = wrap(x)
    return Tensor(x._xp.linalg.matrix_power(x._array, n), x._xp)


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """The number of singular values greater than ``rtol`` times the largest."""
    return _one("matrix_rank", x, rtol=_tolerance(rtol))


def outer(x1: Any, x2: Any, /) -> Tensor:
    """The outer product of two vectors."""
    return _two("outer", x1, x2)


def pinv(x: Any, /, *, rtol: Any = None) -> Tensor:
    """The Moore-Penrose inverse of matrices."""
    return _one("pinv", x, rtol=_tolerance(rtol))


def _tolerance(rtol: Any) -> Any:
    return rtol if rtol is None or isinstance(rtol, (int, float)) else wrap(rtol)._array


def qr(x: Any, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """The QR decomposition ``x = Q @ R``: Q orthonormal, R upper triangular."""
    return QRResult(*_several("qr", x, mode=mode))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign and the logarithm of the absolute determinant."""
    return SlogdetResult(*_several("slogdet", x))


def solve(x1: Any, x2: Any, /) -> Tensor:
    """The solution of ``x1 @ y = x2``."""
    return _two("solve", x1, x2)


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """The singular value decomposition; U and Vh are square if `full_matrices`."""
    return SVDResult(*_several("svd", x, full_matrices=full_matrices))


def svdvals(x: Any, /) -> Tensor:
    """The singular values, descending."""
    return _one("svdvals", x)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Tensor:
    """The sum of products over the last `axes` axes of `x1` and the first of `x2`, or over two lists of axes."""
    xp, a, b = operands(wrap(x1), wrap(x2))
    return Tensor(xp.tensordot(a, b, axes=axes), xp)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum over a diagonal of matrices."""
    x = wrap(x)
    native = None if dtype is None else x._xp.native_dtype(dtype)
    return _one("trace", x, offset=offset, dtype=native)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The dot product of vectors along an axis; `x1` is conjugated."""
    xp, a, b = operands(wrap(x1), wrap(x2))
    return Tensor(xp.vecdot(a, b, axis=axis), xp)


def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of vectors along axes."""
    return _one("vector_norm", x, axis=axis, keepdims=keepdims, ord=ord)
