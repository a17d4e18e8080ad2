"""Every error the library raises on purpose."""

from __future__ import annotations


class EmberharmonyError(Exception):
    """Base of all errors that tell the user what happened and what to do."""


class BackendUnavailableError(EmberharmonyError, ImportError):
    """A backend that was asked for cannot be used on this machine."""


class DataError(EmberharmonyError, ValueError):
    """The table does not hold what the job needs; the message names column, file or value."""


class PlanError(EmberharmonyError, ValueError):
    """The job cannot be carried out as configured; raised before rows are read."""


class TransientError(EmberharmonyError):
    """The outside world failed in a way that may pass; retried with backoff."""


class TerminalError(EmberharmonyError):
    """The outside world refused for good; never retried."""


class MissingLibraryError(TerminalError, ImportError):
    """An optional library that the job needs is not installed; the message says how to install it."""


class DamagedError(EmberharmonyError):
    """A file in staging is not what its record says; whoever runs the job makes it again."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message, name)  # both: an error that crosses processes is made again from its arguments
        self.name = name

    def __str__(self) -> str:
        """Tell what happened."""
        return str(self.args[0])


class ParityError(TerminalError):
    """A backend computed something else than NumPy does."""
