"""Retries: transient errors pass, all others are raised at once."""

from __future__ import annotations

import pytest

from emberharmony.errors import DataError, TransientError
from emberharmony.pipeline.retry import RETRY_DELAYS_S, RETRY_JITTER, waits, with_retries


def failing(times, error):
    calls = []

    def work():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work


def test_a_transient_error_is_retried_with_growing_waits():
    slept = []
    assert with_retries(failing(3, TransientError("away")), sleep=slept.append) == 4
    assert len(slept) == len(RETRY_DELAYS_S)
    for wait, delay in zip(slept, RETRY_DELAYS_S, strict=True):
        assert delay <= wait <= delay * (1 + RETRY_JITTER)


def test_after_the_last_wait_the_error_is_raised():
    with pytest.raises(TransientError, match="away"):
        with_retries(failing(4, TransientError("away")), sleep=lambda _: None)


def test_other_errors_are_not_retried():
    slept = []
    with pytest.raises(DataError):
        with_retries(failing(1, DataError("bad")), sleep=slept.append)
    assert slept == []


def test_workers_do_not_wait_alike():
    assert len({tuple(waits()) for _ in range(10)}) > 1
