"""The choice of a backend: who decides, and what is refused."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from emberharmony import ops
from emberharmony.backend import (
    BackendUnavailableError,
    _loading,
    _selection,
    available_backends,
    backend_report,
    get_backend,
    select,
    set_backend,
    using_backend,
)


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    """Each test starts without a choice, and as on a host without an accelerator."""
    monkeypatch.delenv("EMBERHARMONY_BACKEND", raising=False)
    monkeypatch.setattr(_selection, "_signs_of_accelerator", lambda: False)
    monkeypatch.setattr(_selection.sys, "platform", "linux")
    _selection._automatic.cache_clear()
    set_backend(None)
    yield
    set_backend(None)
    _selection._automatic.cache_clear()


def test_order_of_choices(monkeypatch):
    assert get_backend() == "numpy"
    monkeypatch.setenv("EMBERHARMONY_BACKEND", "mlx:cpu")
    assert get_backend() == "mlx:cpu"
    set_backend("torch:cpu")
    assert get_backend() == "torch:cpu"
    with using_backend("numpy") as chosen:
        assert get_backend() == "numpy"
        assert chosen.name == select().name == "numpy"
        assert select("mlx").name == "mlx"
    assert ops.zeros(1).backend == "torch"
    set_backend(None)
    assert ops.zeros(1).backend == "mlx"


def test_choice_does_not_leak_into_other_threads():
    with using_backend("torch:cpu"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_backend).result() == "numpy"


def test_choice_does_not_leak_into_other_async_tasks():
    async def task(name):
        seen = []
        with using_backend(name):
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append((get_backend(), ops.zeros(1).backend))
        return seen, get_backend()

    async def tasks():
        return await asyncio.gather(*map(task, ("numpy", "torch:cpu", "mlx:cpu")))

    for name, (seen, after) in zip(("numpy", "torch:cpu", "mlx:cpu"), asyncio.run(tasks()), strict=True):
        assert seen == [(name, name.partition(":")[0])] * 3
        assert after == "numpy"


def test_choice_ends_with_an_error():
    with pytest.raises(RuntimeError), using_backend("torch:cpu"):
        raise RuntimeError
    assert get_backend() == "numpy"


def test_wrong_choice_by_the_environment_is_told(monkeypatch):
    monkeypatch.setenv("EMBERHARMONY_BACKEND", "jax")
    with pytest.raises(ValueError, match=r"'jax'.*environment variable EMBERHARMONY_BACKEND"):
        ops.zeros(1)
    monkeypatch.setenv("EMBERHARMONY_BACKEND", "numpy:gpu")
    with pytest.raises(BackendUnavailableError, match=r"'gpu'.*environment variable EMBERHARMONY_BACKEND"):
        ops.zeros(1)


AWAY = {"numpy": "cuda:0", "torch:cpu": "xpu:7", "mlx:cpu": "gpu"}


@pytest.mark.skipif("select('mlx').device != 'cpu'", reason="this host has an accelerator")
@pytest.mark.parametrize("name", sorted(AWAY))
def test_nothing_is_put_on_another_device_than_was_asked_for(name):
    device = AWAY[name]
    with using_backend(name):
        x = ops.asarray([1.0])
        for put in (
            lambda: x.to_device(device),
            lambda: ops.asarray([1.0], device=device),
            lambda: ops.asarray(x, device=device),
            lambda: ops.zeros(1, device=device),
            lambda: ops.full_like(x, 1, device=device),
            lambda: ops.arange(3, device=device),
            lambda: ops.from_dlpack(x, device=device),
            lambda: ops.astype(x, ops.float32, device=device),
            lambda: ops.fft.fftfreq(3, device=device),
            lambda: ops.random.uniform(size=1, device=device),
            lambda: ops.convert_to_tensor([1.0], device=device),
            lambda: ops.convert_to_tensor(x, device=device),
        ):
            with pytest.raises(BackendUnavailableError, match=f"'{device}'.*only cpu"):
                put()


def test_importing_a_function_pins_nothing():
    from emberharmony.ops import sin, zeros

    with using_backend("torch:cpu"):
        assert zeros(1).backend == "torch"
    with using_backend("mlx:cpu"):
        assert sin(zeros(1)).backend == "mlx"


def test_unknown_backend():
    for choose in (set_backend, select, lambda name: using_backend(name).__enter__()):
        with pytest.raises(ValueError, match=r"'jax'.*numpy, torch, mlx"):
            choose("jax")
    assert get_backend() == "numpy"


def test_unknown_device():
    with pytest.raises(ValueError, match="warp"):
        select("torch:warp")
    with pytest.raises(ValueError, match="tpu"):
        select("mlx:tpu")


@pytest.mark.skipif("select('torch').device != 'cpu'", reason="this host has an accelerator")
def test_missing_device():
    with pytest.raises(BackendUnavailableError, match=r"'cuda:3'.*only cpu"):
        set_backend("torch:cuda:3")
    with pytest.raises(BackendUnavailableError, match="gpu"):
        select("mlx:gpu")
    assert get_backend() == "numpy"


def test_missing_package(monkeypatch):
    found = _loading.find_spec
    monkeypatch.setattr(_loading, "find_spec", lambda name: None if name == "torch" else found(name))
    _loading.load.cache_clear()
    _selection._load.cache_clear()
    assert available_backends() == ("numpy", "mlx")
    with pytest.raises(BackendUnavailableError, match=r"numpy, mlx.*pip install 'emberharmony\[torch\]'"):
        select("torch:cpu")
    # The modules stay loaded: another load would give other objects than the tensors that live.


def test_automatic_choice(monkeypatch):
    def chosen(**what):
        for name, value in what.items():
            monkeypatch.setattr(_selection, name, value)
        _selection._automatic.cache_clear()
        return get_backend()

    class Torch:
        @staticmethod
        def devices():
            return ["cuda:0", "cpu"]

    assert chosen() == "numpy"
    assert chosen(_signs_of_accelerator=lambda: True) == "numpy"  # signs, but torch finds none
    assert chosen(load=lambda name: Torch) == "torch"
    monkeypatch.setattr(_selection.sys, "platform", "darwin")
    monkeypatch.setattr(_selection.platform, "machine", lambda: "arm64")
    assert chosen() == "mlx"
    assert chosen(find_spec=lambda name: None) == "numpy"


def test_report():
    rows = {row.name: row for row in backend_report()}
    assert rows["numpy"].chosen
    assert rows["numpy"].reason.startswith("automatic")
    assert rows["numpy"].version == np.__version__
    assert not rows["torch"].devices
    with using_backend("torch:cpu"):
        rows = {row.name: row for row in backend_report(devices=True)}
    assert (rows["torch"].chosen, rows["torch"].default_device, rows["torch"].reason) == (True, "cpu", "using_backend")
    assert all(row.installed and "cpu" in row.devices for row in rows.values())


def test_backend_object():
    for name in available_backends():
        backend = select(f"{name}:cpu" if name != "numpy" else name)
        assert backend.float64
        assert backend.place(None) == backend.device
        assert name == backend.xp.NAME
        with pytest.raises(AttributeError):
            backend.name = "other"
