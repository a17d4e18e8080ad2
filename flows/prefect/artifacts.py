"""Artifacts of a job in the Prefect UI: progress while it runs, a summary and tables when it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from emberharmony.errors import TransientError
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import ItemDone, JobPlanned, StageStarted
from emberharmony.pipeline.execute import RunResult
from emberharmony.pipeline.stages import stages_of_plan
from emberharmony.report.drift_rows import drift_rows
from emberharmony.report.stage_progress import StageProgress
from emberharmony.report.summary import explained_rows, summary_markdown
from flows.prefect.names import ResultName, uri_of
from flows.prefect.outages import outages_told
from flows.prefect.settings import changed_settings

SHOWN_STEP = 5.0
"""Percentage points of progress between two updates, at least."""
SHOWN_EVERY_S = 1.0
"""Seconds between two updates, at least: each takes the run and the server 12 ms of CPU time."""

_log = logging.getLogger(__name__)


class ArtifactCallback(Callback):
    """Updates a progress artifact."""

    def __init__(self, name: ResultName) -> None:
        self._key = name.artifact_key("progress")
        self._artifact: Any = None
        self._before = self._weight = self._shown = self._shown_at = 0.0
        self._stage: StageProgress | None = None
        self._outage_told = False
        self._whole = 100.0  # weight of all stages of this kind of job

    def planned(self, event: JobPlanned) -> None:
        """Create the artifact."""
        plan = event.plan
        self._whole = float(sum(stage.weight for stage in stages_of_plan(plan)))
        with self._at_once():
            self._artifact = create_progress_artifact(
                0.0, key=self._key, description=f"{plan.n_rows:,} rows on {event.backend}"
            )
        self._shown_at = monotonic()

    def stage_started(self, event: StageStarted) -> None:
        """Begin a stage."""
        self._before += self._weight
        self._weight, self._stage = event.stage.weight, StageProgress(event)
        self._show(self._stage)

    def item_done(self, event: ItemDone) -> None:
        """Move on."""
        if self._stage is not None:
            self._stage.add(event)
            self._show(self._stage)

    def _show(self, stage: StageProgress) -> None:
        progress = min(100.0, 100.0 * (self._before + self._weight * stage.share) / self._whole)
        now = monotonic()
        # An update is a request to the server.
        is_due = progress >= self._shown + SHOWN_STEP and now >= self._shown_at + SHOWN_EVERY_S
        if self._artifact and (is_due or progress == 100):
            self._shown, self._shown_at = progress, now
            with self._at_once():
                update_progress_artifact(self._artifact, progress=round(progress, 1))

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Make one attempt without retries: the work needs no server and must not wait for one."""
        try:
            with outages_told(), changed_settings("client", max_retries=0):
                yield
        except TransientError as outage:
            if not self._outage_told:
                _log.warning("%s The work goes on; its progress is not shown there until the server is back.", outage)
            self._outage_told = True


def publish_summary(result: RunResult, name: ResultName) -> None:
    """Attach the summary, the explained variance and the drift of the columns to the flow run.

    The result is already published. If the server does not answer, only the artifacts are missing.
    """
    try:
        with outages_told():
            _publish_summary(result, name)
    except TransientError as outage:
        _log.warning("%s It has no summary of this run.", outage)


def _publish_summary(result: RunResult, name: ResultName) -> None:
    key = name.artifact_key("summary")
    if result.report:
        create_link_artifact(
            uri_of(result.report), link_text="report.html", key=name.artifact_key("report"), description="The run"
        )
    create_markdown_artifact(summary_markdown(result), key=key, description="What was read and written")
    if result.manifest.strides:
        create_table_artifact(
            explained_rows(result),
            key=name.artifact_key("explained-variance"),
            description="Explained variance of the training windows by stride",
        )
    if result.manifest.drift:
        description = "How far each column has moved from the training rows"
        rows = drift_rows(result.manifest.drift)
        create_table_artifact(rows, key=name.artifact_key("drift"), description=description)
