"""Read and write MLX arrays by every kind of index in the standard."""

from __future__ import annotations

import builtins
from typing import Any

import mlx.core as mx
import numpy as np

from emberharmony.backend._mlx.arrays import from_host, to_host


def getitem(x: Any, key: Any, /) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    if builtins.any(_is_mask(p) for p in parts):
        return from_host(np.asarray(x)[to_host(key)])
    _check_bounds(x, parts)
    return x[_gatherable(key)]


def setitem(x: Any, key: Any, value: Any, /) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    if builtins.any(_is_mask(p) for p in parts):
        changed = np.array(x)
        changed[to_host(key)] = to_host(value)
        x[...] = from_host(changed)  # in place, because other tensors may share `x`
        return x
    _check_bounds(x, parts)
    # MLX converts a Python number to a float, which rounds large integers.
    x[_gatherable(key)] = value if isinstance(value, mx.array) else from_host(np.array(value), x.dtype)
    return x


def _gatherable(key: Any) -> Any:
    """The key with its uint64 index arrays as int64: MLX cannot combine uint64 with signed index arrays."""
    if isinstance(key, tuple):
        return tuple(_gatherable(k) for k in key)
    return key.astype(mx.int64) if isinstance(key, mx.array) and key.dtype == mx.uint64 else key


def _is_mask(part: Any) -> bool:
    return isinstance(part, (bool, np.ndarray, list)) or (isinstance(part, mx.array) and part.dtype == mx.bool_)


def _check_bounds(x: Any, parts: tuple[Any, ...]) -> None:
    """Raise an IndexError if an index is out of bounds; MLX would read or write beyond the array."""
    if not builtins.any(isinstance(p, mx.array) for p in parts):
        np.broadcast_to(np.empty((), np.bool_), x.shape)[parts]
        return
    indexed = [p for p in parts if p is not None and p is not Ellipsis]
    if len(indexed) > x.ndim:
        raise IndexError(f"{len(indexed)} indices are too many for an array with {x.ndim} axes.")
    axis = 0
    for part in parts:
        if part is Ellipsis:
            axis += x.ndim - len(indexed)
        elif part is not None:
            if not isinstance(part, slice):
                check_indices(part, x.shape[axis])
            axis += 1


def check_indices(indices: Any, length: int) -> None:
    places = np.asarray(indices)
    if places.size and not -length <= places.min() <= places.max() < length:
        wrong = places[(places < -length) | (places >= length)].flat[0]
        raise IndexError(f"Index {wrong} is out of bounds for an axis of length {length}.")
