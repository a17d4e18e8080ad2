"""Backends and their devices are found, and what is missing is named with the remedy."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emberharmony.backend import _loading
from emberharmony.backend._loading import available_backends, load, placed
from emberharmony.errors import BackendUnavailableError


@pytest.fixture(autouse=True)
def _nothing_loaded():
    load.cache_clear()
    yield
    load.cache_clear()


def test_installed_backends(monkeypatch):
    assert set(available_backends()) <= {"numpy", "torch", "mlx"}
    monkeypatch.setattr(_loading, "PACKAGES", {"numpy": "numpy", "torch": "no_such_package"})
    assert available_backends() == ("numpy",)


def test_a_backend_is_loaded_once():
    assert load("numpy") is load("numpy")
    assert load("numpy").NAME == "numpy"


def test_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(_loading.PACKAGES, "torch", "no_such_package")
    said = r"'no_such_package' is not installed.*pip install 'emberharmony\[torch\]'"
    with pytest.raises(BackendUnavailableError, match=said):
        load("torch")


def test_a_package_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(_loading._MODULES, "torch", "._no_such_module")
    monkeypatch.setitem(_loading.PACKAGES, "torch", "numpy")
    with pytest.raises(BackendUnavailableError, match="_no_such_module"):
        load("torch")


def test_devices():
    xp = SimpleNamespace(NAME="torch", full_device=lambda d: "cuda:0" if d == "cuda" else d, devices=lambda: ["cpu", "cuda:0"])
    assert placed(xp, "cpu") == "cpu"
    assert placed(xp, "cuda") == "cuda:0"
    with pytest.raises(BackendUnavailableError, match=r"Device 'cuda:1' .* torch finds only cpu, cuda:0 here"):
        placed(xp, "cuda:1")
