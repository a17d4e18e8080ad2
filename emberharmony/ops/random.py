"""Random numbers that depend only on the seed and the position in the stream, not on backend, chunking or thread.

The generator is counter-based (Philox 4x64-10 [1]_). Numbers are drawn on the host and then copied to the backend's device:
MLX's generator gave two new threads the same numbers, and torch's gives different numbers on a GPU and on a CPU.

References
----------
.. [1] J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from emberharmony.backend import _dtypes, select
from emberharmony.backend._dtypes import DType
from emberharmony.backend._philox import Stream, default_stream, words_at
from emberharmony.ops._tensor import Tensor, wrap

__all__ = ["Generator", "integers", "normal", "permutation", "seed", "uniform", "uniform_at"]

Size = int | tuple[int, ...] | None


def uniform_at(rows: np.ndarray[Any, np.dtype[np.int64]], *, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One uniform number in [0, 1) per row number, a function of the row number and the seed only.

    Parameters
    ----------
    rows : int64 array
        Row numbers, from 0 to 2**63 - 1, in any order. Runs without large gaps are fastest (3 ns a row).
    seed : int
        From 0 to 2**128 - 1.

    Returns
    -------
    float64 array
        Multiples of 2**-24, so that a cast to float32 is exact and never gives 1.0.

    Examples
    --------
    >>> import numpy as np
    >>> whole = uniform_at(np.arange(10), seed=7)
    >>> bool((uniform_at(np.array([9, 3]), seed=7) == whole[[9, 3]]).all())
    True
    """
    return (words_at(np.asarray(rows), seed) >> np.uint64(40)).astype(np.float64) * 2.0**-24


class Generator:
    """An independent stream of random numbers, safe to share between threads.

    Parameters
    ----------
    seed : int, optional
        From 0 to 2**128 - 1. Defaults to a seed from the operating system's entropy.

    Notes
    -----
    Each draw takes the next words of the stream, one for a uniform number and two for a normal one, so ten numbers at once are
    the same as three and then seven. Results are float32 by default, so that they are equal on all backends.

    Examples
    --------
    >>> g = Generator(7)
    >>> first = g.uniform(size=10).numpy()
    >>> g = Generator(7)
    >>> bool((g.uniform(size=3).numpy() == first[:3]).all() and (g.uniform(size=7).numpy() == first[3:]).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._stream = Stream(seed)

    def seed(self, seed: int | None = None) -> None:
        """Restart the stream from a seed."""
        self._stream.seed(seed)

    def uniform(
        self, low: float = 0.0, high: float = 1.0, size: Size = None, *, dtype: Any = None, device: str | None = None
    ) -> Tensor:
        """Numbers in ``[low, high)``, with 24 random bits each."""
        wanted, shape = _floating(dtype), _shape(size)
        low, high = _finite("low", low, wanted), _finite("high", high, wanted)
        if not 0 < high - low < math.inf:
            raise ValueError(f"`low` must be less than `high` and their difference finite, got low={low:g} and high={high:g}.")
        unit = (self._stream.words(math.prod(shape)) >> np.uint64(40)) * 2.0**-24
        values = (low + (high - low) * unit).astype(wanted.dtype)
        # Rounding can reach `high`, which the interval excludes.
        values = np.minimum(values, np.nextafter(wanted.dtype.type(high), wanted.dtype.type(-np.inf)))
        return _tensor(values.reshape(shape), device)

    def normal(
        self, loc: float = 0.0, scale: float = 1.0, size: Size = None, *, dtype: Any = None, device: str | None = None
    ) -> Tensor:
        """Normally distributed numbers with mean `loc` and standard deviation `scale`."""
        wanted, shape = _floating(dtype), _shape(size)
        loc, scale = _finite("loc", loc, wanted), _finite("scale", scale, wanted)
        if scale < 0:
            raise ValueError(f"`scale` is a standard deviation and must not be negative, got {scale:g}.")
        pairs = ((self._stream.words(2 * math.prod(shape)) >> np.uint64(11)) * 2.0**-53).reshape(-1, 2)
        # Box-Muller takes exactly two words per number; rejection methods take a varying count.
        unit = np.sqrt(-2.0 * np.log1p(-pairs[:, 0])) * np.cos(2.0 * np.pi * pairs[:, 1])
        return _tensor((loc + scale * unit).astype(wanted.dtype).reshape(shape), device)

    def integers(self, low: int, high: int | None = None, size: Size = None, *, device: str | None = None) -> Tensor:
        """Integers (int64) in ``[low, high)``, or in ``[0, low)`` without `high`; the range holds at most 2**32 integers."""
        low, high = (0, _whole("low", low)) if high is None else (_whole("low", low), _whole("high", high))
        if low < -(2**63) or high > 2**63:
            raise OverflowError(f"The range [{low}, {high}) does not fit in int64.")
        if not 0 < high - low <= 2**32:
            raise ValueError(f"The range [{low}, {high}) must hold 1 to 2**32 integers.")
        shape = _shape(size)
        words = (self._stream.words(math.prod(shape)) >> np.uint64(32)) * np.uint64(high - low) >> np.uint64(32)
        return _tensor(words.astype(np.int64).reshape(shape) + low, device)

    def permutation(self, x: Any, /, *, device: str | None = None) -> Tensor:
        """The numbers from 0 to ``x - 1`` in random order, or the rows of a tensor in random order."""
        if isinstance(x, (int, np.integer)):
            return _tensor(self._order(_length("x", x)), device)
        x = wrap(x)
        if not x.ndim:
            raise ValueError("A tensor without axes has no rows to permute.")
        order = x._xp.asarray(self._order(len(x)), device=x.device)
        return Tensor(x._xp.take(x._array, order, axis=0), x._xp)

    def _order(self, n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.argsort(self._stream.words(n), kind="stable").astype(np.int64, copy=False)


def _shape(size: Size) -> tuple[int, ...]:
    if size is None:
        return ()
    return tuple(_length("size", n) for n in size) if isinstance(size, (tuple, list)) else (_length("size", size),)


def _length(name: str, n: Any) -> int:
    length = _whole(name, n)
    if length < 0:
        raise ValueError(f"`{name}` must not be negative, got {length}.")
    return length


def _whole(name: str, n: Any) -> int:
    try:
        if not isinstance(n, (bool, np.bool_)):
            return operator.index(n)
    except TypeError:
        pass
    raise TypeError(f"`{name}` must be an integer, got {n!r}.")


def _floating(dtype: Any) -> DType:
    wanted = _dtypes.float32 if dtype is None else _dtypes.as_dtype(dtype)
    if wanted.kind != "real floating":
        raise TypeError(f"Random numbers are float32 or float64, not {wanted.name}; use `integers` to draw integers.")
    return wanted


def _finite(name: str, x: Any, dtype: DType) -> float:
    try:
        number = math.nan if isinstance(x, str) else float(x)
    except TypeError as error:
        raise TypeError(f"`{name}` must be one number, got {x!r}.") from error
    if not abs(number) <= float(np.finfo(dtype.dtype).max):
        raise ValueError(f"`{name}` must be a finite number within {dtype.name}, got {x!r}.")
    return number


def _tensor(values: np.ndarray[Any, Any], device: str | None) -> Tensor:
    backend = select()
    xp = backend.xp
    native = xp.native_dtype(values.dtype)
    return Tensor(xp.asarray(values, dtype=native, device=backend.place(device)), xp)


_default = Generator()
_default._stream = default_stream


def seed(seed: int | None = None) -> None:
    """Restart the default stream from a seed; same as `emberharmony.backend.set_random_seed`."""
    _default.seed(seed)


def uniform(low: float = 0.0, high: float = 1.0, size: Size = None, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Numbers in ``[low, high)`` from the default stream, float32 by default.

    Examples
    --------
    >>> uniform(size=(2, 3)).shape
    (2, 3)
    """
    return _default.uniform(low, high, size, dtype=dtype, device=device)


def normal(loc: float = 0.0, scale: float = 1.0, size: Size = None, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Normally distributed numbers from the default stream, float32 by default."""
    return _default.normal(loc, scale, size, dtype=dtype, device=device)


def integers(low: int, high: int | None = None, size: Size = None, *, device: str | None = None) -> Tensor:
    """Integers (int64) in ``[low, high)`` from the default stream."""
    return _default.integers(low, high, size, device=device)


def permutation(x: Any, /, *, device: str | None = None) -> Tensor:
    """The numbers from 0 to ``x - 1``, or the rows of a tensor, in random order, from the default stream."""
    return _default.permutation(x, device=device)
