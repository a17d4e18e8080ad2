"""Discrete Fourier transforms of the array API standard."""

from __future__ import annotations

from typing import Any, Literal

from emberharmony.backend import select
from emberharmony.ops._tensor import Tensor, wrap

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]

Norm = Literal["backward", "ortho", "forward"]


def _transform(name: str, x: Any, **keywords: Any) -> Tensor:
    x = wrap(x)
    if keywords.get("norm", "backward") not in ("backward", "ortho", "forward"):
        raise ValueError(f"norm must be 'backward', 'ortho' or 'forward', got {keywords['norm']!r}.")
    return Tensor(getattr(x._xp.fft, name)(x._array, **keywords), x._xp)


def fft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The Fourier transform along an axis."""
    return _transform("fft", x, n=n, axis=axis, norm=norm)


def ifft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of `fft`."""
    return _transform("ifft", x, n=n, axis=axis, norm=norm)


def rfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The non-negative frequencies of the Fourier transform of real values along an axis."""
    return _transform("rfft", x, n=n, axis=axis, norm=norm)


def irfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of `rfft`."""
    return _transform("irfft", x, n=n, axis=axis, norm=norm)


def hfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The Fourier transform of a signal with Hermitian symmetry, which is real."""
    return _transform("hfft", x, n=n, axis=axis, norm=norm)


def ihfft(x: Any, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of `hfft`."""
    return _transform("ihfft", x, n=n, axis=axis, norm=norm)


def fftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Norm = "backward") -> Tensor:
    """The Fourier transform over several axes."""
    return _transform("fftn", x, s=s, axes=axes, norm=norm)


def ifftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Norm = "backward") -> Tensor:
    """The inverse of `fftn`."""
    return _transform("ifftn", x, s=s, axes=axes, norm=norm)


def rfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Norm = "backward") -> Tensor:
    """The Fourier transform of real values over several axes."""
    return _transform("rfftn", x, s=s, axes=axes, norm=norm)


def irfftn(x: Any, /, *, s: Any = None, axes: Any = None, norm: Norm = "backward") -> Tensor:
    """The inverse of `rfftn`."""
    return _transform("irfftn", x, s=s, axes=axes, norm=norm)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of `fft` for a signal of `n` samples, `d` apart."""
    return _frequencies("fftfreq", n, d, dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of `rfft` for a signal of `n` samples, `d` apart."""
    return _frequencies("rfftfreq", n, d, dtype, device)


def _frequencies(name: str, n: int, d: float, dtype: Any, device: str | None) -> Tensor:
    backend = select()
    xp = backend.xp
    native = xp.native_dtype(xp.DEFAULT_FLOAT if dtype is None else dtype)
    return Tensor(getattr(xp.fft, name)(n, d=d, dtype=native, device=backend.place(device)), xp)


def fftshift(x: Any, /, *, axes: Any = None) -> Tensor:
    """Move the zero frequency to the middle."""
    return _transform("fftshift", x, axes=axes)


def ifftshift(x: Any, /, *, axes: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _transform("ifftshift", x, axes=axes)
