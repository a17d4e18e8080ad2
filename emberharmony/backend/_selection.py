"""Choose the backend: once, where a task begins, without fallback."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from emberharmony.backend._loading import ENV_VAR, INSTALL, PACKAGES, available_backends, load, placed
from emberharmony.backend._philox import default_stream
from emberharmony.errors import BackendUnavailableError

_process_choice: str | None = None
_context_choice: ContextVar[str | None] = ContextVar("emberharmony_backend", default=None)


@dataclass(frozen=True)
class Backend:
    """One backend on one device, as `select` returns it.

    Attributes
    ----------
    name : str
        "numpy", "torch" or "mlx".
    device : str
        The device of new arrays: "cpu", "cuda:0", "mps:0", "xpu:0", "gpu".
    float64 : bool
        Whether the device computes in double precision.
    xp : module
        The backend's functions on its native arrays, under the names of the array API standard.
    """

    name: str
    device: str
    float64: bool
    xp: Any = field(repr=False, compare=False)

    def place(self, device: str | None) -> str:
        """The full name of the requested device, which must exist here, or this backend's device by default."""
        return self.device if device is None else placed(self.xp, device)


@dataclass(frozen=True)
class BackendRow:
    """One row of `backend_report`."""

    name: str
    installed: bool
    version: str | None
    devices: tuple[str, ...]
    default_device: str | None
    float64: bool | None
    chosen: bool
    reason: str


def get_backend() -> str:
    """Name of the backend that creates arrays in the current context, with its device if one was requested.

    Examples
    --------
    >>> with using_backend("numpy"):
    ...     get_backend()
    'numpy'
    """
    return _choice()[0]


def set_backend(name: str | None) -> None:
    """Make `name` the default backend of this process; None restores the environment's or the automatic choice.

    Parameters
    ----------
    name : str or None
        "numpy", "torch" or "mlx", optionally with a device: "torch:cuda:1", "torch:cpu", "mlx:gpu".

    Raises
    ------
    ValueError
        If there is no such backend.
    BackendUnavailableError
        If its package or its device is missing here. There is no fallback.

    Notes
    -----
    The default backend creates new arrays. All other functions follow the backend of their arguments. `using_backend` takes
    precedence.
    """
    global _process_choice
    if name is not None:
        select(name)
    _process_choice = name


@contextmanager
def using_backend(name: str) -> Iterator[Backend]:
    """Make `name` the default backend inside a ``with`` block, for the current thread or async task only.

    Parameters
    ----------
    name : str
        As in `set_backend`.

    Notes
    -----
    Threads of a ThreadPoolExecutor do not inherit the choice: pass the name to them with the work.

    Examples
    --------
    >>> with using_backend("numpy") as backend:
    ...     backend.device
    'cpu'
    """
    backend = select(name)
    token = _context_choice.set(name)
    try:
        yield backend
    finally:
        _context_choice.reset(token)


def select(name: str | None = None) -> Backend:
    """Load one backend: `name`, or else the choice of the context, the process, the environment, or the automatic one.

    Parameters
    ----------
    name : str, optional
        As in `set_backend`.

    Returns
    -------
    Backend

    Raises
    ------
    ValueError
        If there is no such backend.
    BackendUnavailableError
        If its package or its device is missing here.

    Examples
    --------
    >>> select("numpy").float64
    True
    """
    full, reason = (name, "") if name is not None else _choice()
    try:
        backend = _load(full)
    except (ValueError, BackendUnavailableError) as error:
        if ENV_VAR not in reason:
            raise
        raise type(error)(f"{error} It was chosen by the {reason}.") from error
    backend.xp.use_device(backend.device)
    return backend


def backend_report(*, devices: bool = False) -> list[BackendRow]:
    """One row per supported backend: whether it is installed, its version, and whether it is chosen and why.

    Parameters
    ----------
    devices : bool
        Also report devices and double precision of every installed backend, which imports all of them. By default only the
        chosen backend is imported.
    """
    full, reason = _choice()
    chosen = _split(full)[0]
    rows = []
    for name, package in PACKAGES.items():
        if find_spec(package) is None:
            rows.append(BackendRow(name, False, None, (), None, None, name == chosen, f"not installed: {INSTALL[name]}"))
            continue
        backend = None
        if devices or name == chosen:
            backend = _load(full if name == chosen else name)
        rows.append(
            BackendRow(
                name=name,
                installed=True,
                version=metadata.version(package),
                devices=() if backend is None else tuple(backend.xp.devices()),
                default_device=None if backend is None else backend.device,
                float64=None if backend is None else backend.float64,
                chosen=name == chosen,
                reason=reason if name == chosen else "not chosen",
            )
        )
    return rows


def set_random_seed(seed: int) -> None:
    """Restart the default random stream of `emberharmony.ops.random` from `seed`, the same on every backend.

    Examples
    --------
    >>> from emberharmony import ops
    >>> set_random_seed(7)
    >>> a = ops.random.uniform(size=3).numpy()
    >>> set_random_seed(7)
    >>> bool((a == ops.random.uniform(size=3).numpy()).all())
    True
    """
    default_stream.seed(seed)


def _choice() -> tuple[str, str]:
    """The default backend's name and the reason for the choice."""
    name = _context_choice.get()
    if name is not None:
        return name, "using_backend"
    if _process_choice is not None:
        return _process_choice, "set_backend"
    name = os.environ.get(ENV_VAR)
    if name:
        return name, f"environment variable {ENV_VAR}"
    return _automatic()


@cache
def _automatic() -> tuple[str, str]:
    """Apple silicon with MLX, then torch with an accelerator, else NumPy.

    MLX on an x86 CPU is 10 to 30 times slower per element than NumPy, and torch without an accelerator is no faster, so
    neither is chosen automatically there. torch is imported to look for an accelerator only if the host seems to have one.
    """
    apple_silicon = sys.platform == "darwin" and platform.machine() == "arm64"
    if apple_silicon and find_spec("mlx") is not None:
        return "mlx", "automatic: Apple silicon with MLX"
    if find_spec("torch") is not None and (apple_silicon or _signs_of_accelerator()):
        accelerators = [d for d in load("torch").devices() if d != "cpu"]
        if accelerators:
            return "torch", f"automatic: torch with {accelerators[0]}"
    return "numpy", "automatic: no accelerator that an installed backend can use"


def _signs_of_accelerator() -> bool:
    """Whether device files of NVIDIA, AMD (ROCm), Intel or WSL GPUs exist; always true on Windows, which has no such files."""
    if sys.platform == "win32":
        return True
    return any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dri/renderD128", "/dev/dxg"))


def _split(full: str) -> tuple[str, str | None]:
    """Name and device of "torch:cuda:1"."""
    name, _, device = full.partition(":")
    if name not in PACKAGES:
        raise ValueError(
            f"Unknown backend {full!r}. Supported: {', '.join(PACKAGES)}; installed here: {', '.join(available_backends())}. "
            f"A device may follow the name, as in 'torch:cuda:1'."
        )
    return name, device or None


@cache
def _load(full: str) -> Backend:
    name, device = _split(full)
    xp = load(name)
    # No fallback: a worker that asked for a GPU must not quietly do a day's work on the CPU.
    device = xp.default_device() if device is None else placed(xp, device)
    return Backend(name, device, xp.has_float64(device), xp)
