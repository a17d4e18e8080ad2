"""Backends and devices of the tests: every installed backend, on its CPU or on the device an environment variable names.

``EMBERHARMONY_TEST_DEVICES=torch:cuda`` runs the tests of torch on an NVIDIA GPU. The device has to know double precision, for
which the suite asks; so the CPU is the default also where there is a GPU, and Apple's GPUs are none of them.
"""

from __future__ import annotations

import os

import pytest

from emberharmony.backend import Backend, available_backends, select

BACKENDS = ("numpy", "torch", "mlx")
DEVICES = {"numpy": "numpy", "torch": "torch:cpu", "mlx": "mlx:cpu"} | {
    full.partition(":")[0]: full for full in os.environ.get("EMBERHARMONY_TEST_DEVICES", "").split()
}


def on_device(name: str) -> str:
    """Backend and device as `using_backend` takes them; skips the test if the backend is not installed."""
    if name not in available_backends():
        pytest.skip(f"{name} is not installed")
    return DEVICES[name]


def told(name: str) -> str:
    """Backend and device as recorded in a manifest, such as "torch:cuda:0"."""
    backend: Backend = select(DEVICES[name])
    return f"{backend.name}:{backend.device}"
