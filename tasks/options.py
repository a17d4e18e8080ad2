"""Options of all tasks."""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE

from emberharmony.errors import TransientError
from emberharmony.pipeline.retry import RETRY_DELAYS_S, RETRY_JITTER

# Results stay in memory within a chunk, and in the store between chunks: Prefect has nothing to hash or persist.
STEP: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


def is_transient(_task: object, _run: object, state: Any) -> bool:
    """Whether a failure is transient: only these are retried."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError)


STAGE: dict[str, Any] = {
    **STEP,
    "retries": len(RETRY_DELAYS_S),
    "retry_delay_seconds": list(RETRY_DELAYS_S),
    "retry_jitter_factor": RETRY_JITTER,
    "retry_condition_fn": is_transient,
}
