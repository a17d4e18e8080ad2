"""Which array library computes, and on which device.

The choice, in order: an argument, `using_backend`, `set_backend`, the environment variable EMBERHARMONY_BACKEND, automatic.
Importing this package imports no backend.
"""

from emberharmony.backend._loading import available_backends
from emberharmony.backend._selection import (
    Backend,
    BackendRow,
    backend_report,
    get_backend,
    select,
    set_backend,
    set_random_seed,
    using_backend,
)
from emberharmony.errors import BackendUnavailableError

__all__ = [
    "Backend",
    "BackendRow",
    "BackendUnavailableError",
    "available_backends",
    "backend_report",
    "get_backend",
    "select",
    "set_backend",
    "set_random_seed",
    "using_backend",
]
