"""Fourier transforms on every backend, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony import ops

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(3, 8)).astype(np.float32)
COMPLEX = (REAL + 1j * RNG.normal(size=(3, 8))).astype(np.complex64)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize(
    ("name", "x"),
    [("fft", COMPLEX), ("ifft", COMPLEX), ("rfft", REAL), ("irfft", COMPLEX), ("hfft", COMPLEX), ("ihfft", REAL)],
)
@pytest.mark.parametrize("settings", [{}, {"axis": 0}, {"n": 5}, {"n": 11}], ids=str)
def test_along_an_axis(backend, name, x, settings, norm):
    got = getattr(ops.fft, name)(ops.asarray(x), norm=norm, **settings)
    expected = getattr(np.fft, name)(x, norm=norm, **settings)
    assert got.shape == expected.shape
    assert got.dtype in (ops.float32, ops.complex64)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "x"), [("fftn", COMPLEX), ("ifftn", COMPLEX), ("rfftn", REAL), ("irfftn", COMPLEX)])
def test_over_several_axes(backend, name, x):
    np.testing.assert_allclose(getattr(ops.fft, name)(ops.asarray(x)).numpy(), getattr(np.fft, name)(x), atol=1e-5)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies(backend, n):
    for name in ("fftfreq", "rfftfreq"):
        got = getattr(ops.fft, name)(n, d=0.25, dtype=ops.float32)
        assert got.dtype is ops.float32
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(n, d=0.25), rtol=1e-6)


def test_shifts_undo_each_other(backend):
    x = ops.asarray(REAL)
    np.testing.assert_array_equal(ops.fft.fftshift(x, axes=1).numpy(), np.fft.fftshift(REAL, axes=1))
    np.testing.assert_array_equal(ops.fft.ifftshift(ops.fft.fftshift(x)).numpy(), REAL)


def test_an_unknown_norm_is_refused(backend):
    with pytest.raises(ValueError, match="norm must be 'backward', 'ortho' or 'forward', got 'both'"):
        ops.fft.fft(ops.asarray(COMPLEX), norm="both")
