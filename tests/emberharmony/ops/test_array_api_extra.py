"""array-api-extra computes with tensors, on every backend."""

from __future__ import annotations

import array_api_extra as xpx
import numpy as np
import pytest

from emberharmony import ops
from emberharmony.ops import Tensor


@pytest.fixture
def x(backend) -> Tensor:
    return ops.asarray(np.random.default_rng(0).normal(size=(40, 6)))


EXTRA = {
    "atleast_nd": lambda xp, x: xpx.atleast_nd(x, ndim=3, xp=xp),
    "cov": lambda xp, x: xpx.cov(x.T, xp=xp),
    "create_diagonal": lambda xp, x: xpx.create_diagonal(x[0, :], xp=xp),
    "isclose": lambda xp, x: xpx.isclose(x, x + 1e-9, xp=xp),
    "kron": lambda xp, x: xpx.kron(x[:2, :2], x[:2, :2], xp=xp),
    "nunique": lambda xp, x: xpx.nunique(xp.round(x), xp=xp),
    "one_hot": lambda xp, x: xpx.one_hot(xp.asarray([0, 2]), 3, xp=xp),
    "pad": lambda xp, x: xpx.pad(x, 2, xp=xp),
    "setdiff1d": lambda xp, x: xpx.setdiff1d(xp.asarray([1, 2, 3]), xp.asarray([2]), xp=xp),
    "sinc": lambda xp, x: xpx.sinc(x, xp=xp),
    "at": lambda xp, x: xpx.at(xp.asarray(x, copy=True))[0, :].set(7.0, xp=xp),
    "apply_where": lambda xp, x: xpx.apply_where(x > 0, x, lambda a: a * 2, lambda a: -a, xp=xp),
}


@pytest.mark.parametrize("name", sorted(EXTRA))
def test_array_api_extra(name, x):
    got = EXTRA[name](ops, x)
    assert got.backend == x.backend
    np.testing.assert_allclose(got.numpy(), EXTRA[name](np, np.array(x)), rtol=1e-6, atol=1e-9)
