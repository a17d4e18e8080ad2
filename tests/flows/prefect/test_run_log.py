"""The log of a flow run, as a newcomer reads it."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import pytest

from emberharmony.pipeline.callback import NullCallback
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.stages import PROFILE, STAGES
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from flows.prefect import run_log
from flows.prefect.run_log import LogCallback, warnings_in
from tests.faults.victims import small_job

LOG = logging.getLogger("the-flow-run")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger=LOG.name)
    return lambda: [record.getMessage() for record in caplog.records if record.name == LOG.name]


def callback(**given):
    return LogCallback(NullCallback(), LOG, **given)


class Stopping(LocalEngine):
    """Stops when two chunks are featurized."""

    def map(self, stage, ref, chunks):
        for done, chunk in enumerate(super().map(stage, ref, chunks), start=1):
            yield chunk
            if stage.name == "featurize" and done == 2:
                raise KeyboardInterrupt


def test_a_run_tells_its_plan_its_stages_and_what_it_resumes(tmp_path, lines):
    job = parse_job(small_job(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, Stopping(), callback())
    first = lines()
    assert re.fullmatch(r"Planned: 1,500 rows in \d+ chunks of .*, arranged first; .*; \w+ chunks? at a time\.", first[0])
    assert "Stage profile begins: 1,500 rows." in first
    assert any(re.fullmatch(r"Stage profile took \d+\.\d s \([\d,]+ rows/s\)\.", line) for line in first)
    assert any(re.fullmatch(r"Stage fit took \d+\.\d s\.", line) for line in first)
    progress = callback()
    run_job(job, LocalEngine(), progress)
    progress.end()
    again = lines()[len(first) :]
    assert "Stage profile: an earlier run has done it." in again
    assert "Stage fit: an earlier run has done it." in again
    (resumed,) = [line for line in again if line.startswith("Stage featurize begins")]
    assert re.fullmatch(r"Stage featurize begins: 1,500 rows, of which an earlier run has done \d+\.", resumed)
    assert again[-1].startswith("Stage publish took ")
    assert len(again) < 30, "not a line for every chunk"


def test_a_long_stage_tells_its_progress_once_in_an_interval(monkeypatch, lines):
    now = [0.0]
    monkeypatch.setattr(run_log.time, "monotonic", lambda: now[0])
    progress = callback(interval_s=60.0)
    progress.stage(STAGES["featurize"], done_rows=0, total_rows=1000)
    for _ in range(100):
        now[0] += 1.0
        progress.advance(10)
    progress.end()
    assert lines()[1:] == ["Stage featurize: 60 % of the rows after 60 s.", "Stage featurize took 100.0 s (10 rows/s)."]


def test_stages_without_rows_are_not_divided_by(lines):
    progress = callback()
    progress.stage(replace(PROFILE, title="empty"), done_rows=0, total_rows=0)
    progress.end()
    assert lines() == ["Stage empty took 0.0 s (0 rows/s)."]


def test_warnings_of_the_library_are_in_the_log(lines):
    with warnings_in(LOG):
        logging.getLogger("emberharmony.pipeline.retry").warning("%s is retried.", "It")
        logging.getLogger("emberharmony.pipeline.retry").info("A detail.")
    logging.getLogger("emberharmony.pipeline.retry").warning("Later.")
    assert lines() == ["It is retried."]
