"""The errors that the library raises, and errors as data for other processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar


class EmberharmonyError(Exception):
    """Base class; the message says what happened and what to do."""

    retryable: ClassVar[bool] = False
    """Whether the same work may succeed later, or on another host."""


class BackendUnavailableError(EmberharmonyError, ImportError):
    """The requested backend cannot be used on this machine."""


class DataError(EmberharmonyError, ValueError):
    """The table's data does not fit the job; the message names the column, the file or the value."""


class ValueRefusedError(DataError):
    """A value does not fit its column's kind; the message is a predicate, before which `about_column` puts the column."""


class PlanError(EmberharmonyError, ValueError):
    """The job cannot run as configured; raised before rows are read."""


class ExpectationError(EmberharmonyError):
    """The rows of a job are not what its section `expect` says; nothing was published.

    Parameters
    ----------
    message : str
        Each number that is out of bounds, with its bound.
    failed : sequence of mapping
        The first of the failed expectations as data: `emberharmony.expectations.checks.Verdict` as JSON.
    n_failed : int
        How many have failed.
    """

    def __init__(self, message: str, failed: Sequence[Mapping[str, Any]] = (), n_failed: int = 0) -> None:
        super().__init__(message)
        self.failed = list(failed)
        self.n_failed = n_failed


class TransientError(EmberharmonyError):
    """A failure of storage or a service that may pass; retried with backoff."""

    retryable = True


class TerminalError(EmberharmonyError):
    """A failure that a retry cannot repair; never retried."""


class MissingLibraryError(TerminalError, ImportError):
    """The job needs an optional library that is not installed; the message says how to install it."""


class DamagedError(EmberharmonyError):
    """A staged file does not match its receipt; the job recomputes it.

    Parameters
    ----------
    message : str
        What happened.
    file : str
        Name under which the receipt keeps the file; empty if no receipt names it.
    """

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.file = file


class ParityError(TerminalError):
    """A backend's results differ from NumPy's."""


class ForeignError(EmberharmonyError):
    """An error of another library, raised in another process; another host may not have it."""

    retryable = True


def to_json(error: BaseException) -> dict[str, Any]:
    """Return an error as data, from which another process makes the error again.

    The types are those of its classes, the most specific one first: the other process may not know that one.

    Examples
    --------
    >>> to_json(DamagedError("part-0 was changed.", "part-0"))["fields"]
    {'file': 'part-0'}
    """
    ours = isinstance(error, EmberharmonyError)
    message = str(error) if ours else f"{type(error).__name__}: {error}"
    return {
        "types": [cls.__name__ for cls in type(error).__mro__ if issubclass(cls, EmberharmonyError)] or ["ForeignError"],
        "message": message,
        "fields": dict(vars(error)) if ours else {},
    }


def from_json(data: Mapping[str, Any]) -> EmberharmonyError:
    """Make an error from what `to_json` returned, of the same type and with the same fields.

    Raises
    ------
    KeyError
        If the data is not that of an error.

    Examples
    --------
    >>> from_json(to_json(DamagedError("part-0 was changed.", "part-0")))
    DamagedError('part-0 was changed.')
    """
    known = {cls.__name__: cls for cls in _classes(EmberharmonyError)}
    cls = next(known[name] for name in [*data["types"], "EmberharmonyError"] if name in known)
    error = cls(data["message"])
    vars(error).update(data["fields"])
    return error


def in_context(error: EmberharmonyError, context: str) -> EmberharmonyError:
    """Return the same error with a message that says where it happened.

    Examples
    --------
    >>> in_context(DataError("x is empty."), "profile failed on h7")
    DataError('profile failed on h7: x is empty.')
    """
    data = to_json(error)
    return from_json({**data, "message": f"{context}: {data['message']}"})


@contextmanager
def about_column(name: str) -> Iterator[None]:
    """Name the column in errors about one of its values.

    Raises
    ------
    DataError
        In place of a `ValueRefusedError`.

    Examples
    --------
    >>> with about_column("x"):
    ...     raise ValueRefusedError("holds -1.")
    Traceback (most recent call last):
    emberharmony.errors.DataError: Column 'x' holds -1.
    """
    try:
        yield
    except ValueRefusedError as error:
        raise DataError(f"Column {name!r} {error}") from error


def _classes(cls: type[EmberharmonyError]) -> Iterator[type[EmberharmonyError]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _classes(subclass)
