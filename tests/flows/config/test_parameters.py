"""The job of a flow run: what its parameters leave open, the job's own file and the scheduled start time say."""

from __future__ import annotations

import datetime as dt
from functools import partial

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import PlanError
from emberharmony.slices import PERIODS, SlicesSpec
from flows.config.job import ApplyJob, Job, load_any, load_job, parse_job
from flows.config.parameters import check_config_is_found, job_of_parameters, slice_at, uses_slices

JOB = {"source": {"path": "/data/a.parquet"}, "sink": {"path": "/data/out"}, "columns": {"time": "t"}}
NIGHT = dt.datetime(2026, 11, 29, 2, 30, tzinfo=dt.UTC)
READ = partial(load_job, model=Job)


@pytest.fixture
def config(tmp_path):
    """Writes a job file, and returns its path."""

    def written(**sections):
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(JOB | sections))
        return str(path)

    return written


def test_a_file_with_overrides_is_the_job_that_the_command_reads(config):
    found = job_of_parameters(READ, None, config(), ["windows.size=8", "runtime.workers=1"], None, NIGHT)
    assert found == parse_job(JOB | {"windows": {"size": 8}, "runtime": {"workers": 1}})


def test_a_whole_job_stays_as_it_is():
    job = parse_job(JOB)
    assert job_of_parameters(READ, job, None, None, None, NIGHT) is job


@pytest.mark.parametrize("both", [True, False])
def test_exactly_one_of_job_and_file(config, both):
    with pytest.raises(PlanError, match=rf"one of two parameters: .*{'Both are' if both else 'Neither is'} given"):
        job_of_parameters(READ, parse_job(JOB) if both else None, config() if both else None, None, None, NIGHT)


def test_overrides_need_a_file():
    with pytest.raises(PlanError, match=r"'windows\.size=8' into `job` itself"):
        job_of_parameters(READ, parse_job(JOB), None, ["windows.size=8"], None, NIGHT)


def test_a_file_of_another_flow_is_refused_as_by_the_command(config):
    with pytest.raises(PlanError, match="not a job of `emberharmony run`"):
        job_of_parameters(READ, None, config(state="/data/state"), None, None, NIGHT)


@pytest.mark.parametrize(
    ("slices", "asked", "expected"),
    [
        ({}, None, "2026-11-29"),
        ({"time_zone": "America/New_York"}, None, "2026-11-28"),
        ({"time_zone": "America/New_York"}, "previous", "2026-11-27"),
        ({"every": "week"}, None, "2026-11-23"),
        ({"every": "week"}, "previous", "2026-11-16"),
        ({"every": "month"}, "previous", "2026-10"),
        ({"every": "hour"}, "previous", "2026-11-29T01"),
        ({"every": "hour"}, "current", "2026-11-29T02"),
        ({}, "2024-02-29", "2024-02-29"),
    ],
)
def test_the_slice_of_a_scheduled_run(config, slices, asked, expected):
    assert job_of_parameters(READ, None, config(slices=slices), None, asked, NIGHT).slice == expected
    assert job_of_parameters(READ, parse_job(JOB | {"slices": slices}), None, None, asked, NIGHT).slice == expected


def test_a_slice_that_the_job_names_counts_before_the_schedule_and_after_the_parameter(config):
    own = config(slices={}, slice="2026-01-02")
    assert job_of_parameters(READ, None, own, None, None, NIGHT).slice == "2026-01-02"
    assert job_of_parameters(READ, None, own, None, "2026-01-03", NIGHT).slice == "2026-01-03"


def test_a_job_without_slices_has_none_unless_one_is_asked_for(config):
    assert job_of_parameters(READ, None, config(), None, None, NIGHT).slice is None
    assert job_of_parameters(READ, None, config(), None, "2026-11-28", NIGHT).slice == "2026-11-28"
    with pytest.raises(PlanError, match="'28 November' is no slice of a day"):
        job_of_parameters(READ, None, config(), None, "28 November", NIGHT)
    with pytest.raises(
        PlanError, match=r"a flow run makes one slice. `emberharmony apply CONFIG --slice 2026-11-01\.\.2026-11-02`"
    ):
        job_of_parameters(READ, None, config(), None, "2026-11-01..2026-11-02", NIGHT)


@pytest.mark.parametrize(
    "sections",
    [{"slices": {"every": "week"}}, {"source": {"path": "/data/day={slice}"}}, {"sink": {"path": "/out/{slice:%Y%m%d}"}}],
)
def test_jobs_that_use_slices(sections):
    assert uses_slices(parse_job(JOB | sections))
    assert not uses_slices(parse_job(JOB))
    assert uses_slices(parse_job({**JOB, "columns": {}, "state": "/s", **sections}, model=ApplyJob))


@given(
    moment=st.integers(1_577_836_800, 1_893_456_000).map(partial(dt.datetime.fromtimestamp, tz=dt.UTC)),  # 2020 to 2030
    every=st.sampled_from(sorted(PERIODS)),
    zone=st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Pacific/Apia", "Asia/Kolkata"]),
)
def test_the_previous_slice_ends_where_the_current_one_begins(moment, every, zone):
    slices = SlicesSpec(every=every, time_zone="UTC" if every == "hour" else zone)
    current, previous = (slices.named(slice_at(moment, wanted, slices)) for wanted in ("current", "previous"))
    assert current.start <= moment < current.stop
    assert previous.stop == current.start


@pytest.mark.parametrize("config", ["s3://lake/job.yaml", "file:///data/job.yaml", "/data/job.yaml", "configs/flights.yaml"])
def test_a_file_that_a_deployment_finds(config):
    check_config_is_found(config)


@pytest.mark.parametrize("config", ["job.yaml", "./job.yaml", "jobs/configs/flights.yaml"])
def test_a_file_that_a_deployment_does_not_find(config):
    with pytest.raises(PlanError, match=r"give an address, such as s3://BUCKET/job\.yaml, or an absolute path"):
        check_config_is_found(config)


def test_an_example_is_found_wherever_the_package_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_any("configs/flights-apply.yaml").state == "data/flights-features"
    with pytest.raises(PlanError, match=r"configs/nights.yaml cannot be read: no such file"):
        load_any("configs/nights.yaml")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/flights-apply.yaml").write_text(yaml.safe_dump(JOB | {"state": "/own"}))
    with pytest.raises(PlanError, match="columns"):  # the user's own file comes first
        load_any("configs/flights-apply.yaml")
