"""The log of a flow run, as a newcomer reads it."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import pytest

from emberharmony.pipeline.events import ItemDone, StageEnded, StageStarted
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.stages import PROFILE, STAGES
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from flows.prefect.run_log import LogCallback, warnings_in
from tests.faults.victims import small_job

LOG = logging.getLogger("the-flow-run")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger=LOG.name)
    return lambda: [record.getMessage() for record in caplog.records if record.name == LOG.name]


def callback(**given):
    return LogCallback(LOG, **given)


class Stopping(LocalEngine):
    """Stops when two chunks are featurized."""

    def map(self, stage, ref, chunks):
        for number, chunk in enumerate(chunks, start=1):
            yield from super().map(stage, ref, [chunk])
            if stage.name == "featurize" and number == 2:
                raise KeyboardInterrupt


def test_a_run_tells_its_plan_its_stages_and_what_it_resumes(tmp_path, lines):
    job = parse_job(small_job(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, Stopping(), callback())
    first = lines()
    assert re.fullmatch(r"Planned: 1,500 rows in \d+ chunks of .*, arranged first; .*; \w+ chunks? at a time\.", first[0])
    assert any(re.fullmatch(r"Stage profile: \d+ chunks of 1,500 rows\.", line) for line in first)
    assert any(re.fullmatch(r"Stage profile: done in \d+\.\d s, \d+ chunks, .* rows/s, .* written\.", line) for line in first)
    assert any(re.fullmatch(r"Stage fit: done in \d+\.\d s, .* written\.", line) for line in first)
    run_job(job, LocalEngine(), callback())
    again = lines()[len(first) :]
    assert "Stage profile: done by an earlier run." in again
    assert "Stage fit: done by an earlier run." in again
    (resumed,) = [line for line in again if line.startswith("Stage featurize:") and "earlier" in line]
    assert re.fullmatch(r"Stage featurize: \d+ chunks of 1,500 rows, of which an earlier run has done 2\.", resumed)
    assert again[-1].startswith("Stage publish: done in ")
    assert len(again) < 30, "not a line for every chunk"


def test_a_long_stage_tells_its_progress_once_in_an_interval(lines):
    now = [0.0]
    progress = callback(interval_s=60.0, clock=lambda: now[0])
    progress.stage_started(StageStarted(STAGES["featurize"], n_items=100, n_rows=1000))
    for item in range(100):
        now[0] += 1.0
        progress.item_done(ItemDone(item, n_rows=10))
    progress.stage_ended(StageEnded(STAGES["featurize"]))
    assert lines()[1:] == [
        "Stage featurize: 60 of 100 chunks (60 %), about 40 s left, 10 rows/s.",
        "Stage featurize: done in 100.0 s, 100 chunks, 10 rows/s.",
    ]


def test_stages_without_rows_are_not_divided_by(lines):
    progress, empty = callback(clock=lambda: 0.0), replace(PROFILE, title="empty")
    progress.stage_started(StageStarted(empty, n_items=0, n_rows=0))
    progress.stage_ended(StageEnded(empty))
    assert lines() == ["Stage empty: done in 0.0 s, 0 chunks."]


def test_warnings_of_the_library_are_in_the_log(lines):
    with warnings_in(LOG):
        logging.getLogger("emberharmony.pipeline.retry").warning("%s is retried.", "It")
        logging.getLogger("emberharmony.pipeline.retry").info("A detail.")
    logging.getLogger("emberharmony.pipeline.retry").warning("Later.")
    assert lines() == ["It is retried."]
