"""Linear algebra on every backend: what each result has to satisfy, and NumPy's values."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

RNG = np.random.default_rng(1)
SQUARE = RNG.normal(size=(2, 4, 4)).astype(np.float32)
TALL = RNG.normal(size=(2, 5, 3)).astype(np.float32)
POSITIVE = SQUARE @ SQUARE.swapaxes(-1, -2) + np.eye(4, dtype=np.float32)
close = {"atol": 2e-4, "rtol": 2e-4}


def on(x):
    return ops.asarray(x)


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(backend, upper):
    factor = ops.linalg.cholesky(on(POSITIVE), upper=upper).numpy()
    np.testing.assert_array_equal(factor, np.triu(factor) if upper else np.tril(factor))
    product = factor.swapaxes(-1, -2) @ factor if upper else factor @ factor.swapaxes(-1, -2)
    np.testing.assert_allclose(product, POSITIVE, **close)


@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(backend, mode):
    q, r = (part.numpy() for part in ops.linalg.qr(on(TALL), mode=mode))
    assert q.shape == (2, 5, 3 if mode == "reduced" else 5)
    np.testing.assert_allclose(q @ r, TALL, **close)
    np.testing.assert_allclose(q.swapaxes(-1, -2) @ q, np.broadcast_to(np.eye(q.shape[-1]), (2,) + q.shape[-1:] * 2), **close)
    np.testing.assert_array_equal(r, np.triu(r))


@pytest.mark.parametrize("full", [False, True])
def test_svd(backend, full):
    u, s, vh = (part.numpy() for part in ops.linalg.svd(on(TALL), full_matrices=full))
    assert u.shape == (2, 5, 5 if full else 3)
    np.testing.assert_allclose(u[..., :3] * s[:, None, :] @ vh, TALL, **close)
    np.testing.assert_allclose(s, np.linalg.svd(TALL, compute_uv=False), **close)
    np.testing.assert_allclose(ops.linalg.svdvals(on(TALL)).numpy(), s, **close)


def test_eigenvalues_of_symmetric_matrices(backend):
    values, vectors = (part.numpy() for part in ops.linalg.eigh(on(POSITIVE)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(POSITIVE), **close)
    np.testing.assert_allclose(POSITIVE @ vectors, vectors * values[:, None, :], atol=2e-3)
    np.testing.assert_allclose(ops.linalg.eigvalsh(on(POSITIVE)).numpy(), values, **close)


def test_solutions_and_inverses(backend):
    b = RNG.normal(size=(2, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(POSITIVE @ ops.linalg.solve(on(POSITIVE), on(b)).numpy(), b, **close)
    np.testing.assert_allclose(ops.linalg.inv(on(POSITIVE)).numpy(), np.linalg.inv(POSITIVE), **close)
    np.testing.assert_allclose(ops.linalg.pinv(on(TALL)).numpy(), np.linalg.pinv(TALL), **close)


def test_determinants_and_norms(backend):
    np.testing.assert_allclose(ops.linalg.det(on(SQUARE)).numpy(), np.linalg.det(SQUARE), **close)
    sign, logarithm = (part.numpy() for part in ops.linalg.slogdet(on(SQUARE)))
    np.testing.assert_allclose(sign * np.exp(logarithm), np.linalg.det(SQUARE), **close)
    np.testing.assert_allclose(ops.linalg.matrix_norm(on(SQUARE)).numpy(), np.linalg.norm(SQUARE, axis=(-2, -1)), **close)
    np.testing.assert_allclose(ops.linalg.vector_norm(on(TALL), axis=1).numpy(), np.linalg.norm(TALL, axis=1), **close)
    assert ops.linalg.matrix_rank(on(np.outer([1, 2, 3], [1, 0, 1]).astype(np.float32))).item() == 1


def test_products(backend):
    np.testing.assert_allclose(ops.matmul(on(SQUARE), on(POSITIVE)).numpy(), SQUARE @ POSITIVE, **close)
    axes = ([0, 1], [0, 1])
    np.testing.assert_allclose(ops.tensordot(on(TALL), on(TALL), axes=axes).numpy(), np.tensordot(TALL, TALL, axes), **close)
    np.testing.assert_allclose(ops.vecdot(on(TALL), on(TALL)).numpy(), (TALL * TALL).sum(axis=-1), **close)
    np.testing.assert_allclose(ops.linalg.cross(on(TALL), on(TALL[::-1].copy())).numpy(), np.cross(TALL, TALL[::-1]), **close)
    a, b = TALL[0, 0], TALL[0, 1]
    np.testing.assert_allclose(ops.linalg.outer(on(a), on(b)).numpy(), np.outer(a, b), **close)
    np.testing.assert_array_equal(ops.linalg.diagonal(on(SQUARE), offset=1).numpy(), SQUARE.diagonal(1, -2, -1))
    np.testing.assert_allclose(ops.linalg.trace(on(SQUARE)).numpy(), SQUARE.trace(axis1=-2, axis2=-1), **close)


def test_three_elements_make_a_cross_product(backend):
    with pytest.raises(ValueError, match="cross needs 3 elements"):
        ops.linalg.cross(on(SQUARE), on(SQUARE))
