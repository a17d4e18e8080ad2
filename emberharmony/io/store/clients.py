"""Clients of buckets, by way of obstore: made once per process and bucket, with bounded retries and time limits.

https://developmentseed.org/obstore/
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from emberharmony.errors import MissingLibraryError, TerminalError, TransientError
from emberharmony.io.store.address import BucketAddress

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

CONNECT_TIMEOUT = timedelta(seconds=10)
REQUEST_TIMEOUT = timedelta(seconds=60)
"""For one request, with its answer: a part of 8 MB over a slow line."""
RETRY_TIMEOUT = timedelta(seconds=150)
"""For a request and its repetitions; credentials must live that long."""
MAX_RETRIES = 10

Config = dict[str, Any]

_STATUS = re.compile(r"status code(?::|(?:\s|\x1b\[\d+m|↳)+)\s*(\d{3})")  # of obstore, and of deltalake
_CODE = re.compile(r"<Code>(\w+)</Code>|\"code\": ?\"(\w+)\"")
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_NO_ANSWER = re.compile(
    r"error sending request|timed out|timeout|connection|dns error|decoding response body|body error", re.I
)
_CREDENTIALS = re.compile(
    r"ExpiredToken|InvalidToken|TokenRefreshRequired|RequestExpired|InvalidAccessKeyId|Signature|credential", re.I
)

_load_secret: Callable[[str], Any] | None = None
_forked = False


def use_secret_loader(load: Callable[[str], Any]) -> None:
    """Set the function that returns the content of a Prefect block of type Secret by its name: JSON, or its text."""
    global _load_secret
    _load_secret = load


def client_of(address: BucketAddress) -> Client:
    """Return the client of an address's bucket; keys are those of the whole bucket.

    Raises
    ------
    MissingLibraryError
        If obstore is not installed.
    TerminalError
        If the credentials cannot be found, or this process was forked from one that has a client.
    """
    if _forked:
        raise TerminalError(
            f"{address.shown} cannot be reached from a process that was forked from one that used a bucket: the client's "
            f"threads are missing in it. Start such processes by 'spawn', as in DataLoader(multiprocessing_context='spawn')."
        )
    return _made(str(address.root))


def settings_of(address: BucketAddress) -> dict[str, str]:
    """Return what a library with clients of its own, such as deltalake, needs to reach an address as `client_of` does.

    Examples
    --------
    >>> sorted(settings_of(BucketAddress.parse("s3://lake/out?endpoint=http://127.0.0.1:9000")).items())[:3]
    [('allow_http', 'true'), ('connect_timeout', '10s'), ('endpoint', 'http://127.0.0.1:9000')]
    """
    found = {
        "connect_timeout": f"{CONNECT_TIMEOUT.seconds}s",
        "timeout": f"{REQUEST_TIMEOUT.seconds}s",
        "max_retries": str(MAX_RETRIES),
        "retry_timeout": f"{RETRY_TIMEOUT.seconds}s",
    }
    if _is_unencrypted(address):
        found["allow_http"] = "true"
    return found | {name: str(value).lower() if value is True else str(value) for name, value in _config(address).items()}


@lru_cache(maxsize=64)
def _made(address: str) -> Client:
    try:
        import obstore.store
    except ImportError as error:
        raise MissingLibraryError(
            f"{address.partition('?')[0]} is in a bucket, which needs obstore ({error}). Install it with: pip install "
            f"'emberharmony[cloud]'"
        ) from error
    bucket = BucketAddress.parse(address)
    config = _config(bucket)
    client: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT, "timeout": REQUEST_TIMEOUT}
    if _is_unencrypted(bucket):
        client["allow_http"] = True
    retry: dict[str, Any] = {"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT}
    with translated(bucket.shown):
        made: Client = _VENDORS[bucket.scheme](
            obstore.store, bucket, config, {"client_options": client, "retry_config": retry}
        )
    _watch_forks()
    return made


def _config(bucket: BucketAddress) -> Config:
    """What the query of an address says, and the credentials of its block, in the words of its vendor's client."""
    options = dict(bucket.options)
    names = _OPTION_NAMES[bucket.scheme]
    config: Config = {names[option]: value for option, value in options.items() if option in names}
    if options.get("anonymous") == "true":
        config["skip_signature"] = True
    return config | _credentials(bucket, options.get("block"))


def _is_unencrypted(bucket: BucketAddress) -> bool:
    """Whether somebody has named a server that is reached by http://: in the address, or in this process's environment."""
    named = [dict(bucket.options).get("endpoint"), *map(os.environ.get, _ENDPOINT_VARIABLES[bucket.scheme])]
    return next(filter(None, named), "").startswith("http://")


_ENDPOINT_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": (),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Where the clients look for a server's address, the first one that is set."""

_OPTION_NAMES: Mapping[str, Mapping[str, str]] = {
    "s3": {"endpoint": "endpoint", "region": "region"},
    "gs": {"endpoint": "base_url"},  # a bucket's name is enough there
    "az": {"endpoint": "endpoint", "account": "account_name"},
}


def _s3(stores: Any, bucket: BucketAddress, config: Config, clients: Config) -> Any:
    if "access_key_id" not in config and not config.get("skip_signature") and "AWS_ACCESS_KEY_ID" not in os.environ:
        clients = clients | _boto3_credentials()
    return stores.S3Store(bucket.bucket, config=config, **clients)


def _boto3_credentials() -> dict[str, Any]:
    """Credentials by AWS's own chain, with profiles and single sign-on, where boto3 is installed.

    Else obstore looks for them: in the environment, then at the host's role.
    """
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return {"credential_provider": Boto3CredentialProvider()}
    except (ImportError, ValueError):  # no boto3, or it finds no credentials
        return {}


def _gs(stores: Any, bucket: BucketAddress, config: Config, clients: Config) -> Any:
    return stores.GCSStore(bucket.bucket, config=config, **clients)


def _az(stores: Any, bucket: BucketAddress, config: Config, clients: Config) -> Any:
    return stores.AzureStore(bucket.bucket, config=config, **clients)


_VENDORS: Mapping[str, Callable[[Any, BucketAddress, Config, Config], Any]] = {"s3": _s3, "gs": _gs, "az": _az}


def _credentials(bucket: BucketAddress, block: str | None) -> dict[str, Any]:
    if block is None:
        return {}
    if _load_secret is None:
        raise TerminalError(
            f"{bucket.shown} names the Prefect block {block!r}, and nothing here can load one. Use it in a job that the "
            f"`emberharmony` command or a flow runs, or call emberharmony.io.store.clients.use_secret_loader."
        )
    config = _load_secret(block)
    if isinstance(config, str):
        with suppress(ValueError):
            config = json.loads(config)
    if not isinstance(config, dict):
        raise TerminalError(
            f"The Prefect block {block!r} holds no JSON object. Give it the settings of the store's client, such as "
            f'{{"access_key_id": "...", "secret_access_key": "..."}}.'
        )
    return config


def _watch_forks() -> None:
    global _watching
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note_fork)
        _watching = True


_watching = False


def _note_fork() -> None:
    global _forked
    _forked = True


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Translate obstore's errors in the block into transient or terminal ones; conditions that fail keep their own type.

    The texts of obstore hold requests, whose queries may be signed: of them, only the status and the server's code are shown.

    Raises
    ------
    TransientError
        If trying again may help.
    TerminalError
        If it will not.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError, TransientError, TerminalError):
        raise
    except (BaseError, OSError) as error:
        raise translation(place, error) from None


def translation(place: str, error: Exception) -> TransientError | TerminalError:
    """Return the transient or terminal error to raise in place of one of the client of a bucket."""
    text = str(error).partition("Debug source")[0]
    status = int(found[1]) if (found := _STATUS.search(text)) else None
    code = next((group for group in found.groups() if group), "") if (found := _CODE.search(text)) else ""
    reason = " ".join(part for part in (f"status {status}" if status else "", code) if part) or type(error).__name__
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return TerminalError(f"{place} cannot be used: there is no such bucket. Create it, or correct its name.")
    if isinstance(error, FileNotFoundError):
        return TerminalError(f"{place} is missing.")
    if status in (401, 403) or _CREDENTIALS.search(code or ("" if status else text)):
        return TerminalError(
            f"{place} refused the credentials of this process ({reason}). Check that they are there, have not expired, and "
            f"may read and write this prefix; then run the same command again: it goes on where it stopped."
        )
    if status in _TRANSIENT_STATUS or (status is None and _NO_ANSWER.search(text)):
        what = f"answered {reason}" if status else "gave no answer"
        return TransientError(
            f"The store of {place} {what}, again and again. Check the network and the address; then run the same command "
            f"again: it goes on where it stopped."
        )
    if type(error).__name__ == "InvalidPathError":
        return TerminalError(
            f"{place} holds an object whose key has an empty part, '.' or '..' between its slashes, or a control character, "
            f"which cannot be read. Rename that object, or choose a prefix without it."
        )
    if "incorrectly configured region" in text:
        return TerminalError(f"{place} lies in another region. Name it in the address: {place}?region=NAME.")
    return TerminalError(
        f"{place} cannot be used ({reason}). Correct the address or the bucket, then run the same command again."
    )
