"""Credentials from Prefect blocks, loaded in the process that connects."""

from __future__ import annotations

from typing import Any

from emberharmony.errors import TerminalError, TransientError


def load_gcp_credentials(name: str) -> Any:
    """Return the credentials of the prefect-gcp `GcpCredentials` block called `name`.

    Raises
    ------
    TerminalError
        If prefect-gcp is not installed, or there is no such block.
    TransientError
        If Prefect does not answer.
    """
    try:
        from prefect_gcp import GcpCredentials
    except ImportError as error:
        raise TerminalError(
            f"The credentials block {name!r} needs prefect-gcp, which cannot be imported ({error}). Install it with: "
            "pip install prefect-gcp"
        ) from error
    from httpx import HTTPError

    try:
        block = GcpCredentials.load(name)
    except HTTPError as error:
        raise TransientError(
            f"Prefect did not return the credentials block {name!r} ({type(error).__name__}). Check that PREFECT_API_URL is "
            f"the address of a running server."
        ) from error
    except ValueError as error:
        raise TerminalError(
            f"Prefect has no GcpCredentials block {name!r}. Create it in Prefect's UI under Blocks, or name another one in "
            "`connection.credentials_block`."
        ) from error
    return block.get_credentials_from_service_account()


def load_secret(name: str) -> Any:
    """Return the content of the Prefect block of type Secret called `name`: the settings of a bucket's client.

    Raises
    ------
    TerminalError
        If there is no such block.
    TransientError
        If Prefect does not answer.
    """
    from httpx import HTTPError
    from prefect.blocks.system import Secret

    try:
        return Secret.load(name).get()
    except HTTPError as error:
        raise TransientError(
            f"Prefect did not return the block {name!r} ({type(error).__name__}). Check that PREFECT_API_URL is the address "
            f"of a running server."
        ) from error
    except ValueError as error:
        raise TerminalError(
            f"Prefect has no block {name!r} of type Secret. Create it in Prefect's UI under Blocks, with a JSON object of the "
            f"client's settings, or name another one in the address (block=NAME)."
        ) from error
