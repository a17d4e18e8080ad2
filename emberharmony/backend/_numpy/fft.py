"""NumPy's Fourier transforms, with frequencies of the dtype that is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.fft import fft, fftn, fftshift, hfft, ifft, ifftn, ifftshift, ihfft, irfft, irfftn, rfft, rfftn

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn",
]  # fmt: skip


def fftfreq(n: int, /, *, d: float, dtype: Any, device: str | None = None) -> Any:
    return np.fft.fftfreq(n, d).astype(dtype, copy=False)


def rfftfreq(n: int, /, *, d: float, dtype: Any, device: str | None = None) -> Any:
    return np.fft.rfftfreq(n, d).astype(dtype, copy=False)
