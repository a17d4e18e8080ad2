"""The Prefect server of a run: the configured one, after a health check, or a temporary one."""

from __future__ import annotations

import contextvars
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from emberharmony.errors import TerminalError, TransientError
from flows.prefect.private import drain_events
from flows.prefect.settings import changed_settings, load_prefect, may_name_server, prefect_home
from flows.prefect.temporary_server import STOP_TIMEOUT_S, ServerDiedError, TemporaryServer, temporary_server

REQUEST_TIMEOUT_S = 10.0
CHECK_TIMEOUT_S = 15.0
"""Time limit of the health check of a configured server. Prefect's own, longer limits apply during the run."""


@contextmanager
def server_if_needed(advice: str = "", meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Provide a Prefect server during the block: the configured one, or a temporary one.

    Parameters
    ----------
    advice : str
        What to do if the configured server does not answer.
    meanwhile : callable
        Called without arguments while a temporary server starts, which takes seconds.

    Raises
    ------
    TerminalError
        If Prefect's settings are wrong, the configured address is not that of a Prefect server, or the temporary one does not
        start.
    TransientError
        If the configured server does not answer.
    """
    if is_configured():
        check_server(advice)
        yield
        return
    try:
        with temporary_server(prefect_home()) as server, _using(server, meanwhile):
            yield
    except ServerDiedError as error:
        raise TerminalError(
            f"The temporary Prefect server of this run did not start: {error}. Run `prefect server start` and set "
            f"PREFECT_API_URL, or go on without Prefect: --set runtime.engine=local."
        ) from error


def is_configured() -> bool:
    """Whether a Prefect server is configured. Prefect is imported only if one of its files could name a server."""
    if url := os.environ.get("PREFECT_API_URL"):
        check_address(url)  # before Prefect is imported, which would fail with it
    elif "prefect" not in sys.modules and not may_name_server():
        return False
    load_prefect()
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def check_address(url: str) -> None:
    """Refuse text that is not the address of a server.

    Raises
    ------
    TerminalError
        The message shows the text without the credentials in it.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return
        reason = "an address begins with http:// or https://, and the name of a host follows"
    except ValueError as error:
        reason = str(error)
    shown = re.sub("//[^/]*@", "//", url)
    raise TerminalError(
        f"PREFECT_API_URL is {shown!r}, which is not the address of a Prefect server: {reason}. Write it like "
        f"http://HOST:4200/api, or unset it to have a temporary server."
    )


def check_server(advice: str = "") -> None:
    """Check that the configured address is that of a Prefect server, and that it answers.

    Raises
    ------
    TransientError
        If it does not answer within `CHECK_TIMEOUT_S`.
    TerminalError
        If it refuses the request, or is not a Prefect server.
    """
    from flows.prefect.outages import outages_told, shown_address

    answers = _answers_in_background()
    try:
        answer = answers.get(timeout=CHECK_TIMEOUT_S)
    except queue.Empty:
        message = f"The Prefect server at {shown_address()} does not answer (within {CHECK_TIMEOUT_S:.0f} s). {advice}"
        raise TransientError(message.strip()) from None
    if isinstance(answer, ValueError):  # not JSON
        raise TerminalError(
            f"What answers at {shown_address()} is not a Prefect server. Set PREFECT_API_URL to one, such as "
            f"http://HOST:4200/api, or go on without Prefect: --set runtime.engine=local."
        ) from answer
    if answer is not None:
        with outages_told(advice, at_end=True):
            raise answer


def _answers_in_background() -> queue.SimpleQueue[Exception | None]:
    """Ask in a thread that can be abandoned: a name lookup or a very slow answer has no time limit of its own."""
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    context = contextvars.copy_context()  # with the settings that hold here
    threading.Thread(target=lambda: answers.put(context.run(_ask)), name="prefect-check", daemon=True).start()
    return answers


def _ask() -> Exception | None:
    from prefect.client.base import ServerType
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    try:
        check_address(str(PREFECT_API_URL.value()))
        with (
            changed_settings("client", max_retries=0),
            get_client(sync_client=True, httpx_settings={"timeout": REQUEST_TIMEOUT_S}) as client,
        ):
            error = client.api_healthcheck()
            if error is None and client.server_type is not ServerType.CLOUD:
                client.api_version()  # asks for the password, and is JSON
            return error
    except Exception as error:  # noqa: BLE001 - raised by whoever asked
        return error


@contextmanager
def _using(server: TemporaryServer, meanwhile: Callable[[], object]) -> Iterator[None]:
    load_prefect()
    from prefect.settings import (
        PREFECT_API_SSL_CERT_FILE,
        PREFECT_API_URL,
        PREFECT_CLIENT_MAX_RETRIES,
        temporary_settings,
    )

    meanwhile()
    server.wait_until_ready()
    settings = {PREFECT_API_URL: server.url, PREFECT_API_SSL_CERT_FILE: str(server.certificate)}
    # A request that is lost with the server is repeated, and waits for the next one; 5 would take minutes if there is none.
    with temporary_settings(settings | {PREFECT_CLIENT_MAX_RETRIES: 2}):
        try:
            yield
        finally:
            drain_events(STOP_TIMEOUT_S)  # the last states of the run are on their way
