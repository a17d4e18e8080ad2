"""Compare the job's kernels on NumPy and on another backend's device: times, and the largest difference of the results.

Run ``python -m benchmarks.accelerator torch``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import named, print_machine
from benchmarks.workbench import Measurement, SkippedError, Workbench
from emberharmony.backend import select, using_backend
from emberharmony.features.kinds.categorical import one_hot
from emberharmony.features.kinds.datetime import cyclical_features
from emberharmony.features.kinds.numeric import Scaling, scale
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.window_gram import WindowGram


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield the kernels on a GPU beside NumPy on all cores.

    Raises
    ------
    SkippedError
        If torch finds no GPU.
    """
    try:
        import torch
    except ImportError as error:
        raise SkippedError("torch is not installed") from error
    if not torch.cuda.is_available():
        raise SkippedError("torch finds no CUDA device")
    for kernel in kernels(bench.pick(500_000, 1_000), 64, 24):
        with using_backend("numpy"):
            host_s, _ = best_of(kernel.work)
        with using_backend("torch:cuda"):
            device_s, _ = best_of(kernel.work)
        sides = f"{device_s * 1e3:.1f} ms", named("numpy"), f"{host_s * 1e3:.1f} ms"
        yield Measurement(f"{kernel.name} on {torch.cuda.get_device_name()}", *sides, host_s / device_s)


class Kernel(NamedTuple):
    """A computation, and a function that returns the part of its result to compare."""

    name: str
    work: Callable[[], Any]
    result: Callable[[Any], np.ndarray[Any, Any]]


def kernels(n_rows: int, n_features: int, size: int) -> list[Kernel]:
    """The kernels on synthetic rows."""
    rng = np.random.default_rng(0)
    ticks = rng.integers(0, 3 * 365 * 86_400, n_rows) * 1_000_000
    x = rng.normal(1e6, 3.0, n_rows)
    codes = rng.integers(0, 100, n_rows).astype(np.int32)
    mixing = rng.normal(size=(n_features, n_features)) * np.linspace(2.0, 0.1, n_features)
    rows = np.ascontiguousarray((rng.normal(size=(n_rows, n_features)) @ mixing).T.astype(np.float32))
    state = WindowGram.of(rows, start=0, size=size, stride=1)
    pca = WindowPCA.fit(state, PCASpec())
    return [
        Kernel("datetime features", lambda: cyclical_features(ticks, unit="us", cycle="inclusive"), np.asarray),
        Kernel("scale", lambda: scale(x, Scaling(1e6, 1e6, 3.0)), np.asarray),
        Kernel("one-hot of 100", lambda: one_hot(codes, 100), np.asarray),
        Kernel("windows' Gram", lambda: WindowGram.of(rows, start=0, size=size, stride=1), lambda s: s.gram / s.n_windows),
        Kernel("project", lambda: pca.project(rows, np.arange(n_rows - size + 1)), np.asarray),
    ]


def best_of(work: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Shortest time in seconds after one warm-up call, and the result; each call copies its result to the host."""
    result = work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return min(times), result


def main() -> None:
    """Print one line for each kernel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", help="the other backend, optionally with a device: torch, torch:cpu, mlx")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--size", type=int, default=24)
    options = parser.parse_args()
    print_machine(["numpy", "torch", "pyarrow"])
    with using_backend(options.backend) as other:
        print(f"{other.name} on {other.device}, float64 {'yes' if select().float64 else 'no'}")
    print(f"{options.rows:,} rows, {options.features} features, windows of {options.size}; host to host, copies included")
    for kernel in kernels(options.rows, options.features, options.size):
        with using_backend("numpy"):
            host_s, expected = best_of(kernel.work)
        with using_backend(options.backend):
            device_s, result = best_of(kernel.work)
        difference = np.abs(kernel.result(expected) - kernel.result(result)).max()
        print(
            f"{kernel.name:<18} numpy {host_s * 1e3:8.1f} ms   {other.name} {device_s * 1e3:8.1f} ms   "
            f"{host_s / device_s:5.1f} x   largest difference {difference:.1e}"
        )


if __name__ == "__main__":
    main()
