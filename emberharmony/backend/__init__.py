"""The array library that computes, and its device.

The first of these that is set decides: an argument, `using_backend`, `set_backend`, the environment variable
EMBERHARMONY_BACKEND, the automatic choice. Importing this package imports no backend.
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
