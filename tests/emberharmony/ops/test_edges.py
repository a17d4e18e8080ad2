"""Edges at which backends are known to fall short: gaps_<backend>.py lists who fails which, and why."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from emberharmony import ops

GAPS = {name: import_module(f"tests.emberharmony.ops.gaps_{name}").GAPS for name in ("numpy", "torch", "mlx")}


@pytest.fixture(autouse=True)
def known_gap(request, backend):
    reason = GAPS[backend].get(request.node.originalname)
    if reason is not None:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def test_complex128(backend):
    assert ops.asarray([1j], dtype=ops.complex128).tolist() == [1j]


def test_spectrum_of_float64_is_complex128(backend):
    assert ops.fft.fft(ops.asarray([1.0, 2.0], dtype=ops.float64) + 0j).dtype is ops.complex128


def test_write_backwards_beside_index_arrays(backend):
    x = ops.zeros((3, 3))
    x[::-1, ops.asarray([0, 2])] = ops.asarray([[1.0, 2.0]] * 3)
    assert x.sum().item() == 9.0


def test_subnormal_numbers_survive(backend):
    tiny = np.float32(1e-44)
    assert (ops.asarray(np.array([tiny])) * 1.0).tolist() == [float(tiny)]


def test_float64_functions_are_accurate(backend):
    x = np.linspace(0.1, 5.0, 100)
    for name in ("sin", "cos", "exp", "log", "tanh"):
        np.testing.assert_allclose(getattr(ops, name)(ops.asarray(x)).numpy(), getattr(np, name)(x), rtol=1e-14)


def test_int64_is_exact(backend):
    x = ops.asarray([2**62 + 1, -(2**62) - 1])
    assert ((x // 3) * 3 + x % 3).tolist() == x.tolist()
    assert ops.sum(ops.asarray([2**53, 1])).item() == 2**53 + 1
    assert ops.take(x, ops.asarray([1])).tolist() == [-(2**62) - 1]


def test_mean_of_int64_does_not_overflow(backend):
    assert ops.mean(ops.asarray([2**62, 2**62])).item() == float(2**62)
