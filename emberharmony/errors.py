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
