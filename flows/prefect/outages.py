"""Outages of the Prefect server: retries while they last, and a clear error if they do not end.

Prefect's client itself retries for a minute once it has reached its server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx
from prefect.settings import PREFECT_API_URL

from emberharmony.errors import TerminalError, TransientError
from emberharmony.pipeline.retry import waits
from flows.prefect.private import drop_waiting

T = TypeVar("T")

_log = logging.getLogger(__name__)


class OutageError(TransientError):
    """The Prefect server does not answer."""


def is_outage(error: httpx.HTTPError) -> bool:
    """Whether the server is unreachable or fails, so that a retry can help; a refusal is final."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


async def through_outages(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the server; if it does not answer, retry with the same delays as for storage.

    Raises
    ------
    OutageError
        If it does not answer the last attempt either.
    """
    for wait in waits():
        try:
            return await ask()
        except httpx.HTTPError as error:
            if not is_outage(error):
                raise
            _log.warning("%s It is asked again in %.0f s.", _told(error), wait)
            await asyncio.sleep(wait)
    with outages_told():
        return await ask()


@contextmanager
def outages_told(advice: str = "", *, at_end: bool = False) -> Iterator[None]:
    """Translate the client's errors into one that says what happened and how to go on.

    Parameters
    ----------
    advice : str
        What to do about it.
    at_end : bool
        Whether the run ends here; events that still wait for the server are then dropped.

    Raises
    ------
    OutageError, TerminalError
        In place of the client's error.
    """
    try:
        yield
    except (httpx.HTTPError, RuntimeError) as raised:
        # A client that compares versions first says in a RuntimeError what kept it from that.
        error = raised if isinstance(raised, httpx.HTTPError) else raised.__cause__
        if isinstance(error, httpx.HTTPError) and is_outage(error):
            if at_end:
                drop_waiting()
            raise OutageError(f"{_told(error)} {advice}".strip()) from error
        if isinstance(error, httpx.HTTPStatusError):
            raise TerminalError(_refusal(error)) from error
        raise


def _told(error: httpx.HTTPError) -> str:
    reason = (
        f"status {error.response.status_code}"
        if isinstance(error, httpx.HTTPStatusError)
        else str(error) or type(error).__name__
    )
    return f"The Prefect server at {shown_address()} does not answer ({reason})."


def _refusal(error: httpx.HTTPStatusError) -> str:
    request, status = error.request, error.response.status_code
    advice = {
        401: "Set PREFECT_API_KEY for Prefect Cloud, or PREFECT_API_AUTH_STRING for a server with a password.",
        403: "Its key, PREFECT_API_KEY, does not allow this in this workspace.",
        404: "Is that its API? A server's own PREFECT_API_URL ends in /api.",
    }.get(status, "Are client and server of the same version? See prefect version.")
    return (
        f"The Prefect server at {shown_address()} refuses {request.method} {request.url.path} (status {status}). {advice} "
        f"Or go on without Prefect: --set runtime.engine=local."
    )


def shown_address() -> httpx.URL:
    """The address of the server, without credentials."""
    return httpx.URL(str(PREFECT_API_URL.value())).copy_with(userinfo=b"")
