"""The slice of a job file."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from flows.config.job import parse_job

JOB = {"source": {"path": "events"}, "sink": {"path": "out"}, "columns": {"time": "t"}}


def test_a_slice_has_a_folder_of_its_own():
    job = parse_job({**JOB, "slice": "2026-11-28"}).resolved()
    assert job.sink.path == "out/slice=2026-11-28"
    assert job.resolved() == job
    assert type(job).model_validate(job.model_dump()).resolved() == job


def test_a_path_may_name_the_slice():
    job = parse_job({**JOB, "sink": {"path": "states/{slice}"}, "slice": "2026-11-28"}).resolved()
    assert job.sink.path == job.resolved().sink.path == "states/2026-11-28"


def test_yaml_reads_a_date(tmp_path):
    from flows.config.job import load_job

    (tmp_path / "job.yaml").write_text("source: {path: a}\nsink: {path: b}\ncolumns: {time: t}\nslice: 2026-11-28\n")
    assert load_job(tmp_path / "job.yaml").slice == "2026-11-28"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slices": {}}, "section `slices`"),
        ({"source": {"path": "day={slice}"}}, r"source\.path is 'day={slice}'"),
        ({"sink": {"path": "out/{slice_end}"}}, r"sink\.path is 'out/{slice_end}'"),
        ({"slice": "yesterday"}, "'yesterday' is no slice of a day"),
    ],
)
def test_refused(given, message):
    with pytest.raises(PlanError, match=message):
        parse_job({**JOB, **given}).resolved()
