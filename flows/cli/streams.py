"""The standard streams, which can be a terminal, a pipe, a file on a full disk, or closed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from emberharmony.errors import EmberharmonyError
from flows.prefect.descriptors import occupy_descriptors


class OutputError(EmberharmonyError):
    """Standard output cannot be written."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        """Say what is wrong with the stream."""
        return f"Standard output cannot be written: {self.reason}."


def prepare_streams() -> None:
    """Make the standard streams usable, in whatever state the shell left them. Called once, when a command begins.

    A closed stream becomes the null device. Otherwise the next file that is opened would get its number, and output would go
    into that file. Characters that a stream cannot encode are escaped. Some shells set ``COLUMNS=0`` without a terminal, which
    means no width.
    """
    occupy_descriptors()
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("COLUMNS", "").strip().lstrip("0") == "":
        os.environ.pop("COLUMNS", None)


@contextmanager
def output_errors() -> Iterator[None]:
    """Translate the errors of a stream that is printed to; nothing else may be done in the block.

    Raises
    ------
    OutputError
        If the stream is full or closed; what is printed to it later is lost without an error. Its cause is a
        ``BrokenPipeError`` where a pipe's reader has ended.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the stream object is closed
        discard(sys.stdout)
        raise OutputError((getattr(error, "strerror", None) or str(error)).lower()) from error


def discard(stream: TextIO | None) -> None:
    """Redirect a stream to the null device, including what the interpreter flushes at exit."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr] - None has no fileno
        os.close(null)


class StandardError(io.TextIOBase):
    """Standard error, looked up at each write. Output that cannot be written is lost: no run fails because of it."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's encoding."""
        return getattr(_standard_error(), "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write a text, if it can be written."""
        with self._tried():
            _standard_error().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written, if it can be."""
        with self._tried():
            _standard_error().flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return sys.stderr is not None and _standard_error().isatty()

    def fileno(self) -> int:
        """The stream's descriptor."""
        return _standard_error().fileno()

    @contextmanager
    def _tried(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, AttributeError):  # full, closed, or None
            discard(sys.stderr)


def _standard_error() -> TextIO:
    """Return standard error itself: while bars are shown, `sys.stderr` is a proxy for the console that writes here."""
    return getattr(sys.stderr, "rich_proxied_file", sys.stderr)
