"""Read and write torch tensors by every kind of index in the standard."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import torch

from emberharmony.backend._torch.arrays import STORED_ONLY, from_host, to_host, to_numpy

INDEX = frozenset((torch.bool, torch.int64, torch.int32))  # the data types that torch accepts as indices


def getitem(x: Any, key: Any, /) -> Any:
    """``x[key]``, including negative steps, which torch does not support."""
    if x.dtype in STORED_ONLY or _has_empty_mask(key):
        return from_host(to_numpy(x)[to_host(key)], x.device)
    if (type(key) is slice and key.step is None) or type(key) is int:
        return x[key]
    _check_bounds(x, key)
    key, reversed_axes, rest = _without_negative_steps(x, key)
    out = x[key]
    if reversed_axes:
        out = out.flip(reversed_axes)
    return out if rest is None else out[rest]


def setitem(x: Any, key: Any, value: Any, /) -> Any:
    """Write into `x` and return it."""
    if x.dtype in STORED_ONLY:
        changed = np.array(to_numpy(x))
        changed[to_host(key)] = to_host(value)
        return x.copy_(torch.from_numpy(changed))
    _check_bounds(x, key)
    key, reversed_axes, rest = _without_negative_steps(x, key)
    if reversed_axes:
        if rest is not None:
            raise IndexError("Cannot assign to a key that combines a negative step with index arrays; assign in two steps.")
        target = x[key]
        value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        target[...] = value.broadcast_to(target.shape).flip(reversed_axes)
    else:
        x[key] = value
    return x


def check_indices(indices: Any, length: int, /) -> None:
    """Raise an IndexError if an index is out of bounds. An accelerator ignores it, or fails all later work of the process."""
    if indices.device.type == "cpu" or not indices.numel():
        return
    low, high = (int(end) for end in torch.aminmax(indices.long()))
    if not -length <= low <= high < length:
        wrong = high if high >= length else low
        raise IndexError(f"Index {wrong} is out of bounds for an axis of length {length}.")


def _check_bounds(x: Any, key: Any) -> None:
    if x.device.type == "cpu":
        return
    parts, axis = key if isinstance(key, tuple) else (key,), 0
    for i, part in enumerate(parts):
        if part is Ellipsis:
            axis = x.ndim - builtins.sum(_axes_consumed(p) for p in parts[i + 1 :])
        elif isinstance(part, (torch.Tensor, np.ndarray, list)) and axis < x.ndim:
            indices = torch.as_tensor(part, device=x.device)
            if indices.dtype is not torch.bool:
                check_indices(indices, x.shape[axis])
        axis += _axes_consumed(part)


def _has_empty_mask(key: Any) -> bool:
    """Whether the key has an empty boolean mask, whose shape torch checks more strictly than NumPy."""
    parts = key if isinstance(key, tuple) else (key,)
    return builtins.any(isinstance(p, torch.Tensor) and p.dtype is torch.bool and p.numel() == 0 for p in parts)


def _without_negative_steps(x: Any, key: Any) -> tuple[Any, list[int], Any]:
    """Split a key into a key with positive steps, the axes to flip afterwards, and a key of the index arrays to apply last."""
    parts = key if isinstance(key, tuple) else (key,)
    parts = tuple(p.long() if isinstance(p, torch.Tensor) and p.dtype not in INDEX else p for p in parts)
    if not builtins.any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts):
        return (parts if isinstance(key, tuple) else parts[0]), [], None
    arrays = builtins.any(isinstance(p, (torch.Tensor, np.ndarray, list, bool)) for p in parts)
    consumed = builtins.sum(_axes_consumed(p) for p in parts)
    whole = (slice(None),) * (x.ndim - consumed)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    parts = (*parts[:at], *whole, *parts[at + 1 :])
    first: list[Any] = []
    rest: list[Any] = []
    flips: list[int] = []
    axis = out_axis = 0
    for part in parts:
        if isinstance(part, slice) and part.step is not None and part.step < 0:
            steps = range(*part.indices(x.shape[axis]))[::-1]
            first.append(slice(steps.start, builtins.max(steps.stop, 0), steps.step) if len(steps) else slice(0, 0))
            rest.append(slice(None))
            flips.append(axis if arrays else out_axis)
        elif arrays:
            first += [slice(None)] * _axes_consumed(part)
            rest.append(part)
        else:
            first.append(part)
        axis += _axes_consumed(part)
        out_axis += 0 if isinstance(part, int) else 1
    return tuple(first), flips, tuple(rest) if arrays else None


def _axes_consumed(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return int(part.ndim) if getattr(part, "dtype", None) is torch.bool else 1
