"""Retry work after transient errors."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from emberharmony.errors import TransientError

T = TypeVar("T")

RETRY_DELAYS_S = (1.0, 4.0, 16.0)
RETRY_JITTER = 0.5
"""Waits are up to this share longer, at random, so that many workers do not retry at the same moment."""

_log = logging.getLogger(__name__)


def with_retries(work: Callable[[], T], *, sleep: Callable[[float], None] = time.sleep) -> T:
    """Call `work`; after a `TransientError` retry it up to three times, with growing waits in between."""
    for wait in waits():
        try:
            return work()
        except TransientError as error:
            _log.warning("%s It is retried in %.0f s.", error, wait)
            sleep(wait)
    return work()


def waits() -> Iterator[float]:
    """Seconds to wait before each retry."""
    for delay in RETRY_DELAYS_S:
        yield delay * (1 + RETRY_JITTER * random.random())
