"""Options of tasks: nothing is cached or persisted, and only failures that pass are retried."""

from __future__ import annotations

import pytest
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_RESULTS_PERSIST_BY_DEFAULT, temporary_settings
from prefect.states import Failed

from emberharmony.errors import DataError, TerminalError, TransientError
from emberharmony.pipeline.chunk_stages import PLAIN
from emberharmony.pipeline.retry import RETRY_DELAYS_S
from flows.apply import apply
from flows.extract import extract
from flows.fit import fit
from flows.plan import plan
from flows.shard import shard
from tasks.options import STAGE, STEP, is_transient
from tasks.stages import TASKS, WATCHED

ERRORS = [TransientError("away"), TerminalError("no"), DataError("no"), OSError("no")]


@pytest.mark.parametrize(("error", "retried"), [*zip(ERRORS, [True, False, False, False], strict=True)])
def test_only_failures_that_pass_are_retried(error, retried):
    assert is_transient(None, None, Failed(data=error)) is retried


def test_stages_are_retried_like_those_of_the_local_engine():
    stage, step = task(lambda: None, name="stage", **STAGE), task(lambda: None, name="step", **STEP)
    assert (stage.retries, stage.retry_delay_seconds) == (len(RETRY_DELAYS_S), list(RETRY_DELAYS_S))
    assert step.retries == 0  # the stage repeats its steps
    for made in (stage, step):
        assert made.cache_policy == NO_CACHE
        assert made.persist_result is False


WATCHED_STEPS = [step for name, step in vars(WATCHED).items() if step is not vars(PLAIN)[name]]
"""The steps that are task runs of their own: all but the one that is a stage by itself."""


@pytest.mark.parametrize(
    "work", [extract, fit, apply, plan, shard, *TASKS.values(), *WATCHED_STEPS], ids=lambda work: work.name
)
def test_no_result_is_kept_on_the_disk_of_a_worker(work):
    """Other hosts could not read it. The setting of a worker's own profile makes no difference."""
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        assert work.persist_result is False
