"""Frequencies of the NumPy backend have the dtype that is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.backend._numpy import fft


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_frequencies(dtype):
    whole, half = fft.fftfreq(5, d=0.5, dtype=dtype), fft.rfftfreq(4, d=0.5, dtype=dtype)
    assert whole.dtype == half.dtype == dtype
    np.testing.assert_allclose(whole, np.array([0, 1, 2, -2, -1]) / 2.5, rtol=1e-6)
    np.testing.assert_allclose(half, np.array([0, 1, 2]) / 2, rtol=1e-6)
