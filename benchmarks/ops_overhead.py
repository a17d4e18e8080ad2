"""Measure the overhead of a call through `emberharmony.ops` over the native call: 10 elements and 1e6, three backends.

    python -m benchmarks.ops_overhead

Both sides take turns in one process; the figures are medians of the best half of the rounds, in microseconds. MLX is lazy, so
each call evaluates its result.
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.machine import named, print_machine
from benchmarks.workbench import Measurement, Workbench
from emberharmony import ops
from emberharmony.backend import available_backends, using_backend

ROUNDS = 15
FUNCTIONS = ("sin", "sqrt", "negative", "isfinite", "add", "multiply by 2.0", "sum")


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield a call on ten elements beside the native call, for each backend."""
    for backend in available_backends():
        with using_backend(backend if backend == "numpy" else f"{backend}:cpu"):
            x = ops.asarray(np.linspace(0.1, 0.9, 10, dtype=np.float32))
            sides = [calls("sqrt", native_namespace(backend), x._array), calls("sqrt", ops, x)]
            native, ours = microseconds([evaluated(side, backend) for side in sides], bench.pick(20_000, 20))
            beside = f"{named(backend)}, natively"
            yield Measurement("ops.sqrt of 10 numbers", f"{ours:.2f} µs", beside, f"{native:.2f} µs", ours / native)


def calls(name: str, xp: Any, x: Any) -> Callable[[], Any]:
    """One call of a function of the namespace `xp`."""
    if name == "add":
        return lambda: x + x
    if name == "multiply by 2.0":
        return lambda: x * 2.0
    function = getattr(xp, name)
    return lambda: function(x)


def microseconds(sides: list[Callable[[], Any]], number: int) -> list[float]:
    """Median time of one call of each side; the sides take turns."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        for side, record in zip(sides, times, strict=True):
            record.append(timeit.timeit(side, number=number) / number * 1e6)
    return [statistics.median(sorted(record)[: ROUNDS // 2 + 1]) for record in times]


def native_namespace(backend: str) -> Any:
    if backend == "numpy":
        return np
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
        return torch
    import mlx.core

    return mlx.core


def evaluated(call: Callable[[], Any], backend: str) -> Callable[[], Any]:
    if backend != "mlx":
        return call
    from mlx.core import eval as evaluate

    return lambda: evaluate(getattr(result := call(), "_array", result))


def main() -> None:
    print_machine(["numpy", "torch", "mlx"])
    print("one thread")
    print(f"{'backend':8} {'elements':>9} {'function':16} {'native µs':>10} {'ours µs':>10} {'over µs':>9}")
    for backend in available_backends():
        with using_backend(backend if backend == "numpy" else f"{backend}:cpu"):
            for size, number in ((10, 20_000), (1_000_000, 10)):
                x = ops.asarray(np.linspace(0.1, 0.9, size, dtype=np.float32))
                for name in FUNCTIONS:
                    sides = [calls(name, native_namespace(backend), x._array), calls(name, ops, x)]
                    native, ours = microseconds([evaluated(side, backend) for side in sides], number)
                    print(f"{backend:8} {size:9} {name:16} {native:10.2f} {ours:10.2f} {ours - native:9.2f}")


if __name__ == "__main__":
    main()
