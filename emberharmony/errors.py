"""The errors that the library raises."""

from __future__ import annotations


class EmberharmonyError(Exception):
    """Base class; the message says what happened and what to do."""


class BackendUnavailableError(EmberharmonyError, ImportError):
    """The requested backend cannot be used on this machine."""


class DataError(EmberharmonyError, ValueError):
    """The table's data does not fit the job; the message names the column, the file or the value."""


class PlanError(EmberharmonyError, ValueError):
    """The job cannot run as configured; raised before rows are read."""


class TransientError(EmberharmonyError):
    """A failure of storage or a service that may pass; retried with backoff."""


class TerminalError(EmberharmonyError):
    """A failure that a retry cannot repair; never retried."""


class MissingLibraryError(TerminalError, ImportError):
    """The job needs an optional library that is not installed; the message says how to install it."""


class DamagedError(EmberharmonyError):
    """A staged file does not match its receipt; the job recomputes it."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message, name)  # both, because unpickling in another process rebuilds an error from its args
        self.name = name

    def __str__(self) -> str:
        """Return the message."""
        return str(self.args[0])


class ParityError(TerminalError):
    """A backend's results differ from NumPy's."""
