"""Addresses of the Dask and Ray clusters that a job may use."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from emberharmony.errors import TerminalError

TIMEOUT_S = 8.0
"""In which a cluster answers, or is refused; its own client would try for half a minute, or without an end."""

_SCHEMES = {"dask": ("tcp", "tls", "ws", "wss", "ucx"), "ray": ("ray",)}
_WITHOUT_PORT = {"dask": ("inproc://",), "ray": ("auto", "local")}
_EXAMPLES = {"dask": "tcp://HOST:8786", "ray": "ray://HOST:10001, HOST:6379 or auto"}


def check_form(engine: str, address: str) -> None:
    """Refuse a text that cannot be an address of the engine's clusters.

    Raises
    ------
    ValueError
        The message says how such an address is written.
    """
    if engine not in _SCHEMES or address.startswith(_WITHOUT_PORT[engine]):
        return
    try:
        scheme, host, port = _parts(address)
    except ValueError as error:
        reason = str(error)
    else:
        if scheme and scheme not in _SCHEMES[engine]:
            reason = f"its scheme {scheme!r} is none of {', '.join(_SCHEMES[engine])}"
        elif not host or not port:
            reason = "it needs a host and a port"
        else:
            return
    raise ValueError(
        f"The address {address!r} is not one of `engine: {engine}`: {reason}. Write it like {_EXAMPLES[engine]}, or leave it "
        f"out to have a cluster started here."
    )


def check_reachable(engine: str, address: str) -> None:
    """Refuse an address at which nobody listens.

    Raises
    ------
    TerminalError
        The message names the address.
    """
    if engine not in _SCHEMES or address.startswith(_WITHOUT_PORT[engine]):
        return
    _, host, port = _parts(address)
    try:
        socket.create_connection((host or "", port or 0), timeout=TIMEOUT_S).close()
    except OSError as error:
        raise unreachable(engine, address, f"nothing answers there: {str(error).lower()}") from error


def check_dask(address: str) -> None:
    """Refuse what listens at an address and is no Dask scheduler.

    Raises
    ------
    TerminalError
        The message names the address.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from distributed.core import connect
    from distributed.security import Security

    async def ask() -> None:
        arguments = Security().get_connection_args("client")
        comm = await asyncio.wait_for(connect(address, timeout=TIMEOUT_S, **arguments), TIMEOUT_S)
        comm.abort()

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has a loop that runs
            thread.submit(asyncio.run, ask()).result()
    except Exception as error:
        raise unreachable("dask", address, f"what answers there is no Dask scheduler{_reason(error)}") from error


def check_ray(address: str) -> None:
    """Refuse what listens at an address and is no Ray cluster; Ray talks gRPC at both kinds of its ports.

    Raises
    ------
    TerminalError
        The message names the address.
    """
    try:
        import grpc
    except ImportError:
        return  # Ray itself can do without, at one of them
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    with grpc.insecure_channel(address.removeprefix("ray://")) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=TIMEOUT_S)
        except grpc.FutureTimeoutError as error:
            raise unreachable("ray", address, "what answers there is no Ray cluster") from error


def unreachable(engine: str, address: str, reason: str) -> TerminalError:
    """The error of a cluster that cannot be used."""
    return TerminalError(
        f"runtime.address is {address!r}, and {reason}. Start what `engine: {engine}` is to use, or leave the address out to "
        f"have it started here."
    )


def _reason(error: Exception) -> str:
    return f" ({error})" if str(error) else ""


def _parts(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    return parts.scheme, parts.hostname, parts.port
