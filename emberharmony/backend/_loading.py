"""Find the installed backends and load a backend's module."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from emberharmony.errors import BackendUnavailableError

ENV_VAR = "EMBERHARMONY_BACKEND"

PACKAGES = {"numpy": "numpy", "torch": "torch", "mlx": "mlx"}
_MODULES = {"numpy": "._numpy", "torch": "._torch", "mlx": "._mlx"}
INSTALL = {
    "numpy": "pip install numpy",
    "torch": "pip install 'emberharmony[torch]'",
    "mlx": "pip install 'emberharmony[mlx]'",
}


def available_backends() -> tuple[str, ...]:
    """Names of the installed backends. Does not import them.

    Examples
    --------
    >>> "numpy" in available_backends()
    True
    """
    return tuple(name for name, package in PACKAGES.items() if find_spec(package) is not None)


@cache
def load(name: str) -> ModuleType:
    if find_spec(PACKAGES[name]) is None:
        raise BackendUnavailableError(_missing(name, f"the package {PACKAGES[name]!r} is not installed"))
    try:
        return import_module(_MODULES[name], __package__)
    except ImportError as error:
        raise BackendUnavailableError(_missing(name, str(error))) from error


def placed(xp: Any, device: str) -> str:
    """The full name of a backend's device; raises if the device is missing, and never falls back to another device."""
    name: str = xp.full_device(device)
    if name != "cpu" and name not in xp.devices():
        raise BackendUnavailableError(
            f"Device {name!r} was asked for, but {xp.NAME} finds only {', '.join(xp.devices())} here. Choose one of these."
        )
    return name


def _missing(name: str, why: str) -> str:
    return (
        f"Backend {name!r} was asked for but cannot be used here ({why}). Installed: {', '.join(available_backends())}. "
        f"Install it with: {INSTALL[name]}; or choose another with {ENV_VAR} or set_backend."
    )
