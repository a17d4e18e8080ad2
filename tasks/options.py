"""Options of all tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prefect.cache_policies import NO_CACHE

from emberharmony.errors import TransientError
from emberharmony.pipeline.retry import RETRY_DELAYS_S, RETRY_JITTER

# Results stay in memory within a chunk, and in the store between chunks: Prefect has nothing to hash or persist.
STEP: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


_chunk: ContextVar[int | None] = ContextVar("emberharmony_chunk", default=None)


@contextmanager
def steps_of(chunk: int) -> Iterator[None]:
    """Name the task runs of this context's steps after a chunk."""
    token = _chunk.set(chunk)
    try:
        yield
    finally:
        _chunk.reset(token)


def _current_chunk() -> int | None:
    # Clusters pickle the names of task runs by value: with this function, which is found by name, and not with its variable.
    return _chunk.get()


def step(name: str, detail: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    """Options of a step's task; its task runs are named after their chunk: `encode-7`, or `write-7-features-split-test`."""

    def title(parameters: dict[str, Any]) -> str:
        parts = [name, _current_chunk(), detail and detail(parameters)]
        return "-".join(str(part) for part in parts if part is not None)

    return {"name": name, "task_run_name": title, **STEP}


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
