"""Which errors are tried again, and what the others tell the user."""

from __future__ import annotations

import pytest
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.bigquery.failures import RetrySpec, explained, is_transient, retried

QUICK = RetrySpec(attempts=3, first_wait_s=1.0, max_wait_s=60.0)


@pytest.mark.parametrize(
    "error",
    [
        api.ServiceUnavailable("x"),
        api.InternalServerError("x"),
        api.TooManyRequests("x"),
        api.ResourceExhausted("x"),
        api.DeadlineExceeded("x"),
        api.Aborted("x"),
        api.Unknown("x"),
        api.Forbidden("x", errors=[{"reason": "rateLimitExceeded"}]),
        requests.ConnectionError("x"),
        requests.Timeout("x"),
        ConnectionResetError(),
        auth.TransportError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_transient(error):
    assert is_transient(error)
    assert isinstance(explained(error, doing="Reading", permission="p"), TransientError)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (api.Forbidden("Access Denied: Permission bigquery.tables.getData denied on table x"), "bigquery.tables.getData"),
        (api.Forbidden("no"), "permission the.usual is missing"),
        (api.Forbidden("no", errors=[{"reason": "quotaExceeded"}]), "quota"),
        (api.NotFound("no table"), "Check project, dataset and table"),
        (api.BadRequest("Syntax error at [1:2]"), r"Syntax error at \[1:2\]"),
        (auth.RefreshError("invalid_grant", {"token": "secret"}), "application-default login"),
        (requests.exceptions.SSLError("certificate"), "certificate"),
        (requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0), "not BigQuery.*endpoints"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_will_not_pass_says_what_to_do(error, said):
    assert not is_transient(error)
    told = explained(error, doing="Reading p.d.t", permission="the.usual")
    assert isinstance(told, TerminalError)
    with pytest.raises(TerminalError, match=said):
        raise told
    assert "Reading p.d.t" in str(told)
    assert "secret" not in str(told)


def test_attempts_are_bounded_and_waits_grow():
    calls, waits = [], []

    def fail():
        calls.append(1)
        raise api.ServiceUnavailable("x")

    with pytest.raises(TransientError, match="every attempt"):
        retried(fail, retry=QUICK, doing="Reading", permission="p", sleep=waits.append)
    assert len(calls) == 3
    assert 0.5 <= waits[0] <= 1.0 <= waits[1] <= 2.0


def test_waits_have_jitter_and_a_ceiling():
    assert QUICK.wait_s(1, jitter=lambda: 0.0) == 0.5
    assert QUICK.wait_s(50, jitter=lambda: 1.0) == 60.0


def test_what_is_refused_is_asked_once():
    calls = []

    def fail():
        calls.append(1)
        raise api.Forbidden("x")

    with pytest.raises(TerminalError):
        retried(fail, retry=QUICK, doing="Reading", permission="p", sleep=lambda seconds: None)
    assert len(calls) == 1
