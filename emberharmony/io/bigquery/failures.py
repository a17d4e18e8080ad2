"""Translate the errors of BigQuery, once: transient or terminal, and what the user can do."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from emberharmony.errors import EmberharmonyError, TerminalError, TransientError
from emberharmony.settings import Section

T = TypeVar("T")

_LOGGER = logging.getLogger(__name__)
_PERMISSION = re.compile(r"(?:[Pp]ermission|does not have)\s+'?(bigquery\.[\w.]+|storage\.[\w.]+|resourcemanager\.[\w.]+)")
_TRANSIENT_REASONS: Final = frozenset(
    [
        "rateLimitExceeded",
        "backendError",
        "internalError",
        "badGateway",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "tableUnavailable",
    ]
)
_TRANSIENT_CODES: Final = frozenset([408, 429, 500, 502, 503, 504])
_MAX_TEXT: Final = 1_000
_SECRET: Final = re.compile(
    r"-----BEGIN [^-]*-----.*?(?:-----END [^-]*-----|$)|eyJ[\w-]{8,}(?:\.[\w-]+)*|ya29\.[\w.-]+|(?<=[Bb]earer )\S+", re.DOTALL
)
"""Private keys, signed assertions, access tokens: no answer should repeat them, but a proxy's may."""


@dataclass(frozen=True)
class RetrySpec(Section):
    """How often a transient failure is retried, and how long to wait between attempts.

    `attempts` counts failures in a row: a stream that made progress in between starts counting again. Waits double from
    `first_wait_s` to `max_wait_s`, and each is drawn from its upper half, so that workers do not come back in step.
    """

    attempts: int = 8
    """Failures in a row that end the job."""
    first_wait_s: float = 0.5
    """Seconds before the second attempt; the wait doubles each time."""
    max_wait_s: float = 60.0
    """Longest wait in seconds."""
    request_deadline_s: float = 600.0
    """Seconds for one REST call, its own repetitions included."""
    silence_s: float = 120.0
    """Seconds for one attempt of it: a server that sends nothing for so long is given up, and asked again."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_wait_s < 0 or self.max_wait_s < self.first_wait_s:
            raise ValueError(f"{self} makes no sense: attempts >= 1 and 0 <= first_wait_s <= max_wait_s.")
        if self.request_deadline_s <= 0 or self.silence_s <= 0:
            raise ValueError(f"{self} makes no sense: request_deadline_s > 0 and silence_s > 0.")

    def wait_s(self, failures: int, *, jitter: Callable[[], float] = random.random) -> float:
        """Return how long to wait after so many failures in a row."""
        most = min(self.max_wait_s, self.first_wait_s * 2.0 ** (failures - 1))
        return most * (0.5 + 0.5 * jitter())


def is_transient(error: BaseException, /) -> bool:
    """Whether the same request may succeed a little later."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as http

    if isinstance(error, TransientError):
        return True
    if isinstance(error, api.GoogleAPICallError):
        if _reason(error) == "quotaExceeded":
            return False  # a daily quota: no wait that a job can afford
        if isinstance(error, (api.Aborted, api.Unknown, api.Cancelled)) or _reason(error) in _TRANSIENT_REASONS:
            return True
        return error.code in _TRANSIENT_CODES
    if isinstance(error, http.SSLError):
        return False
    broken = (http.ConnectionError, http.Timeout, http.ChunkedEncodingError, ConnectionError)
    return isinstance(error, (*broken, api.RetryError, auth.TransportError, FutureTimeoutError))


def explained(error: BaseException, /, *, doing: str, permission: str, bucket: str | None = None) -> EmberharmonyError:
    """Return the error to raise in place of a library's own.

    Parameters
    ----------
    error : BaseException
        What google's libraries raised.
    doing : str
        What was being done, with the table's name: "Reading my-project.flights.raw".
    permission : str
        What this needs in IAM; used where the answer does not name the missing one.
    bucket : str, optional
        What was spoken to, if it was Cloud Storage.
    """
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as http

    if isinstance(error, EmberharmonyError):
        return error
    text = _text(error)
    says = f"{'BigQuery' if bucket is None else 'Cloud Storage'} says: {text}"
    if is_transient(error):
        return TransientError(f"{doing} failed for the moment, after every attempt allowed: {text}")
    if isinstance(error, api.Forbidden) and _reason(error) == "quotaExceeded":
        return TerminalError(f"{doing} is over a quota of the project: {text}. Wait, or have the quota raised.")
    if isinstance(error, (api.Forbidden, api.PermissionDenied)):
        named = _PERMISSION.search(text)
        missing = named.group(1) if named else permission
        where = "the table, dataset or project" if bucket is None else f"bucket {bucket!r} (role Storage Object User)"
        return TerminalError(
            f"{doing} was refused: permission {missing} is missing. Grant it to the account that the job runs as, "
            f"on {where}. {says}"
        )
    if isinstance(error, api.NotFound):
        check = "project, dataset and table, and that `location` is the dataset's own"
        if bucket is not None:
            check = f"that bucket {bucket!r} is there, and `sink.staging`"
        return TerminalError(f"{doing}: not found. Check {check}. {says}")
    if isinstance(error, (api.Unauthenticated, auth.GoogleAuthError)):
        return TerminalError(
            f"{doing}: Google did not accept the credentials ({text}). Renew them with "
            "`gcloud auth application-default login`, or check the service account's key file or impersonation."
        )
    if isinstance(error, http.JSONDecodeError):
        return TerminalError(
            f"{doing}: what answered is not {'BigQuery' if bucket is None else 'Cloud Storage'}. Check the endpoints in "
            f"`connection`, and whether a proxy stands in the way."
        )
    if isinstance(error, (api.BadRequest, api.InvalidArgument)):
        return TerminalError(f"{doing} is not a valid request: {text}")
    return TerminalError(f"{doing} failed: {text}")


def raise_explained(error: BaseException, /, *, doing: str, permission: str, bucket: str | None = None) -> NoReturn:
    """Raise what `explained` returns, with the library's own error as its cause unless that would show a credential."""
    from google.auth import exceptions as auth

    hides = False
    cause: BaseException | None = error
    translated = explained(error, doing=doing, permission=permission, bucket=bucket)
    while cause is not None and not hides:
        # An authentication error carries the server's whole answer, and a traceback shows causes in full.
        hides = isinstance(cause, auth.GoogleAuthError) or bool(_SECRET.search(str(cause)))
        cause = cause.__cause__ or cause.__context__
    raise translated from None if hides else error


def retried(
    call: Callable[[], T],
    /,
    *,
    retry: RetrySpec,
    doing: str,
    permission: str,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call until it succeeds, is refused for good, or has failed `retry.attempts` times; the error is an explained one.

    A call that has used up the time that google's own repetitions of it are given is not begun again.
    """
    from google.api_core import exceptions as api

    for failures in range(1, retry.attempts + 1):
        try:
            return call()
        except google_errors() as error:
            if failures == retry.attempts or not is_transient(error) or isinstance(error, api.RetryError):
                raise_explained(error, doing=doing, permission=permission)
            _LOGGER.warning("%s failed (%s); attempt %d of %d follows", doing, _text(error), failures + 1, retry.attempts)
            sleep(max(retry.wait_s(failures), asked_wait_s(error)))
    raise AssertionError("unreachable: the last attempt returns or raises")


def google_errors() -> tuple[type[BaseException], ...]:
    """Every error that google's libraries raise when the outside world fails."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.resumable_media import common as media
    from requests import exceptions as http

    return (
        api.GoogleAPIError,
        auth.GoogleAuthError,
        media.InvalidResponse,
        media.DataCorruption,
        http.RequestException,
        ConnectionError,
        FutureTimeoutError,
    )


def asked_wait_s(error: BaseException, /) -> float:
    """Return how long the server asked to be left alone; zero where it did not say."""
    from google.rpc import error_details_pb2

    details: list[Any] = list(getattr(error, "details", None) or [])
    delays = [detail.retry_delay for detail in details if isinstance(detail, error_details_pb2.RetryInfo)]
    return max((float(delay.seconds) + delay.nanos / 1e9 for delay in delays), default=0.0)


def _reason(error: BaseException) -> str:
    errors = getattr(error, "errors", None) or []
    return str(errors[0].get("reason", "")) if errors and isinstance(errors[0], dict) else ""


def _text(error: BaseException) -> str:
    # A second argument may be a server's whole answer; where it is a number, it is the status.
    words = [word for word in error.args[:2] if word is error.args[0] or isinstance(word, int)]
    message = getattr(error, "message", None) or " ".join(map(str, words))
    cause = getattr(error, "cause", None)  # what the last of google's own repetitions met
    last = f" ({_text(cause)})" if isinstance(cause, Exception) else ""
    return _SECRET.sub("***", f"{type(error).__name__}: {message}{last}")[:_MAX_TEXT]
