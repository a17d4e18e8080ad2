"""Quantiles of one column, from a sketch that is the same for every chunking and order of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberharmony.typing import Arrays, FloatArray, IntArray

MAX_EXACT_VALUES = 16_384
"""Up to this many distinct values, a column is counted exactly."""

MAX_BUCKETS = 65_536
"""If there are more buckets, neighbours are joined, so that a state never exceeds 1 MiB."""

_LOOKED_AT = 20_000
"""If these rows alone hold more than `MAX_EXACT_VALUES` distinct values, the whole is counted in buckets at once."""
_FEW = 2  # rows for each distinct value, of those that are looked at: a table of hashes is faster than a sort then
_BLOCK_VALUES = 32_768  # so many values and what is made of them stay in cache
_SLOT_BITS = 17  # bits of a hash: with this many slots, few of those rows collide

# Numbers that agree in sign, exponent and the first 10 bits of the mantissa share a bucket. Its relative width is 2**-10, so
# that its middle is within 2**-11 = 0.05 % of every number in it.
_SHIFT = 52 - 10
_SIGN_BIT = 63
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio, for hashes by multiplication


@dataclass(frozen=True)
class Quantiles:
    """Counts of distinct values; past `MAX_EXACT_VALUES` of them, counts of buckets of equal relative width.

    The number of distinct values alone decides which. Counts are integers and buckets are fixed, so merging is exact,
    associative and commutative. Columns of few distinct values (most integers, prices, delays) have exact quantiles; others
    have a relative error of at most 0.05 %, or twice that if the numbers span more than 64 powers of two.

    Examples
    --------
    >>> Quantiles.of(np.array([3.0, 1.0])).merge(Quantiles.of(np.array([2.0, 10.0]))).median()
    2.5
    """

    keys: FloatArray | IntArray  # sorted: float64 values where exact, int64 bucket numbers where not
    counts: IntArray
    halvings: int = 0  # how often neighbouring buckets were joined

    @classmethod
    def empty(cls) -> Self:
        """Return the state of no rows."""
        return cls(np.empty(0), np.empty(0, np.int64))

    @classmethod
    def of(cls, x: FloatArray, /) -> Self:
        """Return the state of float64 `x` of shape ``(n_rows,)``, all of it finite.

        Costs a sort, or less if the first rows alone hold too many distinct values, or few.
        """
        if len(x) > _LOOKED_AT:
            n_distinct = _surely_distinct(x[:_LOOKED_AT])
            if n_distinct > MAX_EXACT_VALUES:
                return cls(*_counted_in_buckets(x))._bounded()
            if n_distinct <= _LOOKED_AT // _FEW:
                return cls(*_counted_by_hash(x))._bounded()
        return cls._sorted(x)

    @classmethod
    def _sorted(cls, x: FloatArray) -> Self:
        ordered = np.sort(x) + 0.0  # + 0.0 turns -0.0 into 0.0
        starts = _run_starts(ordered)
        return cls(ordered[starts], np.diff(starts, append=len(ordered)))._bounded()

    def merge(self, other: Self, /) -> Self:
        """Return the state of both states' rows together."""
        if not len(self.keys) or not len(other.keys):
            return self if len(self.keys) else other
        if self.exact and other.exact:
            return type(self)(*_added(self, other))._bounded()
        halvings = max(self.halvings, other.halvings)
        pair = (state._in_buckets()._joined(halvings) for state in (self, other))
        return type(self)(*_added(*pair), halvings)._bounded()

    @property
    def exact(self) -> bool:
        """Whether every distinct value is kept."""
        return self.keys.dtype == np.float64

    @property
    def count(self) -> int:
        """Number of rows seen."""
        return int(self.counts.sum())

    @property
    def values(self) -> FloatArray:
        """The distinct values, or the middle of every bucket; `counts` are their counts."""
        return np.asarray(self.keys, np.float64) if self.exact else _bucket_middles(self.keys, self.halvings)

    def quantile(self, q: float, /) -> float:
        """Return the `q`-quantile, interpolated linearly between its two neighbouring rows.

        Raises
        ------
        ValueError
            If no row was seen, or `q` is outside [0, 1].
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"A quantile's order lies between 0 and 1, got {q}.")
        if self.count == 0:
            raise ValueError("No row was seen: there is no quantile.")
        position = q * (self.count - 1)
        rank = int(position)
        low, high = self._at_rank(rank), self._at_rank(min(rank + 1, self.count - 1))
        weight = position - rank
        # Not low + weight * (high - low): that difference can be more than a float64 holds.
        return low if low == high else (1.0 - weight) * low + weight * high

    def median(self) -> float:
        """Return the median: the middle row, or the mean of the two middle ones."""
        return self.quantile(0.5)

    def _at_rank(self, rank: int) -> float:
        place = int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))
        key = self.keys[place : place + 1]
        return float((key if self.exact else _bucket_middles(key, self.halvings))[0])

    def _bounded(self) -> Self:
        if self.exact:
            return self if len(self.keys) <= MAX_EXACT_VALUES else self._in_buckets()._bounded()
        state = self
        while len(state.keys) > MAX_BUCKETS:
            state = state._joined(state.halvings + 1)
        return state

    def _in_buckets(self) -> Self:
        if not self.exact:
            return self
        return type(self)(*_summed(_buckets(self.keys), self.counts))

    def _joined(self, halvings: int) -> Self:
        by = halvings - self.halvings
        return type(self)(*_summed(np.asarray(self.keys, np.int64) >> by, self.counts), halvings) if by else self

    def to_arrays(self) -> Arrays:
        """Return the state as named arrays of the narrowest types: a fifth of the bytes of int64."""
        keys = self.keys if self.exact else self.keys.astype(np.int32)  # sign, exponent and mantissa bits: 22 in all
        counts = self.counts.astype(np.min_scalar_type(self.counts.max(initial=0)))
        return {"keys": keys, "counts": counts, "halvings": np.array([self.halvings], np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays, /) -> Self:
        """Return the state that `to_arrays` wrote."""
        keys, counts = arrays["keys"], arrays["counts"].astype(np.int64)
        return cls(keys if keys.dtype == np.float64 else keys.astype(np.int64), counts, int(arrays["halvings"][0]))


class QuantileSum:
    """The sum of many states: the result of merging them one by one, many times faster.

    Counts are added in place, in a table of all buckets between the extremes, as long as the table is no larger than a state
    of that many rows may be. States of few distinct values, and of numbers of too many magnitudes, are merged.

    Examples
    --------
    >>> total = QuantileSum()
    >>> for x in ([3.0, 1.0], [2.0, 10.0]):
    ...     total.add(Quantiles.of(np.array(x)))
    >>> total.state().median()
    2.5
    """

    def __init__(self) -> None:
        self._merged = Quantiles.empty()
        self._below, self._above = _BucketTable(), _BucketTable()
        self._n_rows = 0  # in the tables
        self._fits = True

    def add(self, state: Quantiles, /) -> None:
        """Add one more state."""
        if self._fits and not state.exact and not state.halvings:
            n_rows, zero = self._n_rows + state.count, int(np.searchsorted(state.keys, 0))
            below, above = state.keys[:zero], state.keys[zero:]
            if self._below.span_with(below) + self._above.span_with(above) <= 2 * min(n_rows, MAX_BUCKETS):
                self._below.add(below, state.counts[:zero])
                self._above.add(above, state.counts[zero:])
                self._n_rows = n_rows
                return
            self._merged, self._fits = self.state(), False
            self._below, self._above, self._n_rows = _BucketTable(), _BucketTable(), 0
        self._merged = self._merged.merge(state)

    def state(self) -> Quantiles:
        """Return the sum of the states."""
        if not self._n_rows:
            return self._merged
        (below, fewer), (above, more) = self._below.counted(), self._above.counted()
        return self._merged.merge(Quantiles(np.concatenate([below, above]), np.concatenate([fewer, more]))._bounded())


class _BucketTable:
    """Counts of all buckets of one sign, from the lowest to the highest that occurs."""

    def __init__(self) -> None:
        self._low, self._counts = 0, np.empty(0, np.int64)

    def span_with(self, keys: IntArray | FloatArray) -> int:
        """Return the number of buckets after adding these, which are sorted."""
        low, stop = self._range_with(keys)
        return stop - low

    def add(self, keys: IntArray | FloatArray, counts: IntArray) -> None:
        """Add the counts of distinct, sorted buckets."""
        low, stop = self._range_with(keys)
        if stop - low > len(self._counts):
            grown = np.zeros(stop - low, np.int64)
            begin = self._low - low if len(self._counts) else 0
            grown[begin : begin + len(self._counts)] = self._counts
            self._low, self._counts = low, grown
        self._counts[np.asarray(keys, np.int64) - low] += counts

    def counted(self) -> tuple[IntArray, IntArray]:
        """Return the buckets that occur, sorted, and their counts."""
        found = np.flatnonzero(self._counts)
        return found + self._low, self._counts[found]

    def _range_with(self, keys: IntArray | FloatArray) -> tuple[int, int]:
        ends = [self._low, self._low + len(self._counts)] if len(self._counts) else []
        ends += [int(keys[0]), int(keys[-1]) + 1] if len(keys) else []
        return (min(ends), max(ends)) if ends else (0, 0)


def _run_starts(ordered: FloatArray | IntArray) -> IntArray:
    """Return the position at which each run of equal values begins; values are sorted."""
    return np.flatnonzero(np.concatenate([np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1]]))


def _summed(keys: FloatArray | IntArray, counts: IntArray) -> tuple[FloatArray | IntArray, IntArray]:
    """Return each of the sorted keys once, with the sum of its counts."""
    starts = _run_starts(keys)
    return keys[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def _added(a: Quantiles, b: Quantiles) -> tuple[FloatArray | IntArray, IntArray]:
    keys = np.concatenate([a.keys, b.keys])
    order = np.argsort(keys, kind="stable")  # two sorted runs: merged in linear time
    return _summed(keys[order], np.concatenate([a.counts, b.counts])[order])


def _magnitudes(values: FloatArray | IntArray) -> IntArray:
    magnitudes: IntArray = np.abs(np.asarray(values, np.float64)).view(np.int64)
    magnitudes >>= _SHIFT
    return magnitudes


def _buckets(values: FloatArray | IntArray) -> IntArray:
    """Return the bucket numbers of sorted values, sorted too: buckets of negative values count down from -1."""
    magnitudes = _magnitudes(values)
    return np.where(values < 0, ~magnitudes, magnitudes)


def _counted_in_buckets(x: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the sorted buckets of values in any order, and their counts."""
    lowest, highest = _extreme_magnitudes(x)
    n = highest - lowest + 1  # few exponents occur, so a table of all buckets between the extremes is small
    counts, step = np.zeros(0, np.int64), max(_BLOCK_VALUES, 2 * n)  # a large table is filled once
    for begin in range(0, len(x), step):
        some = x[begin : begin + step]
        signs, places = (some + 0.0).view(np.int64), np.abs(some).view(np.int64)  # + 0.0 turns -0.0 into 0.0
        places >>= _SHIFT  # in place, here and below: fresh memory costs more than the arithmetic
        places -= lowest
        signs >>= _SIGN_BIT
        signs &= n
        places += signs  # negative values go behind the positive ones; separating them takes three times as long
        found = np.bincount(places, minlength=2 * n)
        counts = counts + found if begin else found
    above, below = counts[:n], counts[n:]
    down, up = np.flatnonzero(below)[::-1], np.flatnonzero(above)
    return np.concatenate([~(down + lowest), up + lowest]), np.concatenate([below[down], above[up]])


def _extreme_magnitudes(x: FloatArray) -> tuple[int, int]:
    """Return the numbers of the buckets of the smallest and the largest absolute value."""
    extremes = np.empty((2, -(-len(x) // _BLOCK_VALUES)))
    for i, begin in enumerate(range(0, len(x), _BLOCK_VALUES)):
        absolute = np.abs(x[begin : begin + _BLOCK_VALUES])
        extremes[:, i] = absolute.min(), absolute.max()
    lowest, highest = _magnitudes(np.array([extremes[0].min(), extremes[1].max()])).tolist()
    return lowest, highest


def _counted_by_hash(x: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the sorted distinct values, and their counts; where they are few, in a fraction of the time of a sort."""
    found = pc.value_counts(pa.array(x + 0.0))  # + 0.0 turns -0.0 into 0.0
    keys, counts = found.field("values").to_numpy(), found.field("counts").to_numpy()
    order = np.argsort(keys)
    return keys[order], counts[order]


def _surely_distinct(x: FloatArray) -> int:
    """Return a lower bound of the number of distinct values: the number of hashes. Takes a twentieth of the time of a sort."""
    hashes = (x + 0.0).view(np.uint64) * _GOLDEN  # the high bits of the product depend on all bits
    occurs = np.zeros(1 << _SLOT_BITS, bool)
    occurs[(hashes >> np.uint64(64 - _SLOT_BITS)).view(np.int64)] = True
    return int(np.count_nonzero(occurs))


def _bucket_middles(buckets: FloatArray | IntArray, halvings: int) -> FloatArray:
    numbers, shift = np.asarray(buckets, np.int64), _SHIFT + halvings
    magnitudes = np.where(numbers < 0, ~numbers, numbers)
    middles: FloatArray = ((magnitudes << shift) + (1 << (shift - 1))).view(np.float64)
    middles[magnitudes == 0] = 0.0  # zero and numbers below 1e-310 share this bucket
    return np.where(buckets < 0, -middles, middles)
