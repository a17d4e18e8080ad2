"""The `backend` fixture: one suite, every installed backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emberharmony.backend import available_backends, using_backend


@pytest.fixture(params=["numpy", "torch", "mlx"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a backend, which is the default one inside the test."""
    name = request.param
    if name not in available_backends():
        pytest.skip(f"{name} is not installed")
    # The CPU, also where there is a GPU: the suite asks for double precision.
    with using_backend(name if name == "numpy" else f"{name}:cpu"):
        yield name
