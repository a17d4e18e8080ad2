"""What `emberharmony deploy` makes of a job: flow, schedule, slice and parameters, or an error that says what to change."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from emberharmony.errors import PlanError
from flows.cli.app import app
from flows.cli.deploy import Wanted, deployment_of, read_job, schedule_of
from flows.prefect.deployments import Deployment

JOB = {"source": {"path": "/data/a.parquet"}, "sink": {"path": "/data/out"}}
NIGHTLY = {
    "state": "s3://lake/states/latest",
    "source": {"path": "s3://lake/events/day={slice}"},
    "sink": {"path": "s3://lake/features"},
    "slices": {"every": "day", "time_zone": "America/New_York"},
}
NIGHT = "0 4 * * *"


@pytest.fixture
def written(tmp_path):
    """Writes a job file, and returns its path."""

    def written(job):
        path = tmp_path / "orders.yaml"
        path.write_text(yaml.safe_dump(job))
        return str(path)

    return written


def printed(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["deploy", *arguments], env={"COLUMNS": "40"})
    assert result.exit_code == 0, result.output
    (found,) = yaml.safe_load(result.output)["deployments"]
    return found


def deployed(config: str, overrides: list[str], wanted: Wanted) -> Deployment:
    return deployment_of(read_job(config, overrides, wanted.flow), config, overrides, wanted)


def test_a_nightly_job_by_slice(written):
    config = written(NIGHTLY)
    overrides = ["windows.lookback=3d", "source.path=s3://lake/with a space/day={slice:%Y%m%d}"]
    found = printed(config, "--nightly", "--set", overrides[0], "--set", overrides[1], "--job-variable", "image=ember:1")
    assert found == {
        "name": "orders",
        "entrypoint": "flows.apply:apply",
        "description": f"apply of {config}, for s3://lake/features",
        "tags": ["emberharmony", "control"],
        "work_pool": {
            "name": "control",
            "job_variables": {"image": "ember:1", "env": found["work_pool"]["job_variables"]["env"]},
        },
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "parameters": {"config": config, "overrides": overrides, "slice": "previous", "overwrite": False},
        "schedules": [{"cron": NIGHT, "timezone": "America/New_York", "active": True}],
    }


def test_a_job_without_schedule_or_slices(written):
    config = written(JOB)
    found = printed(config, "--name", "all", "--pool", "cpu", "--job-variable", "gpus=2")
    assert (found["name"], found["entrypoint"], found["work_pool"]["name"]) == ("all", "flows.extract:extract", "cpu")
    assert found["work_pool"]["job_variables"]["gpus"] == 2
    assert (found["parameters"], found["schedules"]) == ({"config": config, "overwrite": False}, [])


@pytest.mark.parametrize(
    ("job", "wanted", "expected"),
    [
        (JOB, Wanted(cron=NIGHT), {"overwrite": True}),  # or the second night would be refused
        (JOB, Wanted(overwrite=True), {"overwrite": True}),
        (NIGHTLY, Wanted(), {"overwrite": False}),  # current, when it is started
        (NIGHTLY, Wanted(cron=NIGHT, slice="current"), {"slice": "current", "overwrite": False}),
        (NIGHTLY | {"slice": "2026-11-28"}, Wanted(cron=NIGHT), {"overwrite": False}),
        (JOB, Wanted(flow="plan"), {}),
        (NIGHTLY, Wanted(flow="plan", slice="2026-11-28"), {"slice": "2026-11-28"}),
    ],
)
def test_parameters(written, job, wanted, expected):
    config = written(job)
    assert deployed(config, [], wanted).parameters == {"config": config, **expected}


@pytest.mark.parametrize(
    ("job", "flow", "expected"),
    [
        (JOB, None, "extract"),
        (JOB, "fit", "fit"),
        (NIGHTLY, None, "apply"),
        (NIGHTLY, "apply", "apply"),
        (JOB, "plan", "plan"),
    ],
)
def test_the_flow_is_that_of_the_kind_of_job(written, job, flow, expected):
    assert deployed(written(job), [], Wanted(flow=flow)).full_name == f"{expected}/orders"


@pytest.mark.parametrize(
    ("zone", "job", "expected"),
    [(None, NIGHTLY, "America/New_York"), (None, JOB, "UTC"), ("Asia/Tokyo", NIGHTLY, "Asia/Tokyo")],
)
def test_the_time_zone_of_a_schedule(written, zone, job, expected):
    assert deployed(written(job), [], Wanted(cron=NIGHT, time_zone=zone)).cron.time_zone == expected


@pytest.mark.parametrize(
    ("job", "wanted", "message"),
    [
        (
            {"source": {"path": ["a.parquet", "/b"]}, "sink": {"path": "out"}},
            Wanted(),
            "source.path a.parquet, sink.path out. Give",
        ),
        (NIGHTLY | {"state": "states/latest"}, Wanted(), "lead nowhere: state states/latest. Give addresses"),
        (JOB, Wanted(flow="shard"), "--flow is 'shard'; allowed: extract, fit, apply, plan"),
        (JOB, Wanted(flow="apply"), "state is missing"),
        (NIGHTLY, Wanted(flow="fit"), "names a `state` to apply, so it is not a job of `emberharmony fit`"),
        (JOB, Wanted(cron="every day"), "'every day' is no cron expression. It has five fields: minute, hour,"),
        (JOB, Wanted(cron=NIGHT, time_zone="Mars"), "'Mars' is no time zone, such as America/New_York"),
        (JOB, Wanted(time_zone="UTC"), "give --nightly, --weekly or --cron as well"),
        (NIGHTLY, Wanted(slice="yesterday"), "'yesterday' is no slice of a day"),
        (
            JOB,
            Wanted(job_variables=("image",)),
            "--job-variable takes NAME=VALUE, such as image=emberharmony:1.0; got 'image'",
        ),
    ],
)
def test_what_cannot_be_deployed(written, job, wanted, message):
    with pytest.raises(PlanError) as told:
        deployed(written(job), [], wanted)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("source", "absolute"), [("my data/a.parquet", "{}/my data/a.parquet"), (["a", "s3://lake/b"], '["{}/a", "s3://lake/b"]')]
)
def test_the_remedy_for_relative_paths_can_be_pasted(written, monkeypatch, tmp_path, source, absolute):
    config = written({"source": {"path": source}, "sink": {"path": "out"}})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError) as told:
        deployed(config, [], Wanted())
    words = shlex.split(str(told.value).partition("workers on this host: ")[2])
    assert words == ["--set", f"source.path={absolute.format(tmp_path)}", "--set", f"sink.path={tmp_path}/out"]
    assert deployed(config, words[1::2], Wanted()).parameters["overrides"] == words[1::2]


def test_one_schedule():
    assert schedule_of(nightly=False, weekly=True, cron=None) == "0 5 * * 1"
    assert schedule_of(nightly=False, weekly=False, cron=None) is None
    with pytest.raises(PlanError, match="one of --nightly, --weekly and --cron"):
        schedule_of(nightly=True, weekly=False, cron=NIGHT)


def test_files_are_named_so_that_workers_find_them(written, monkeypatch, tmp_path):
    path = written(JOB)
    monkeypatch.chdir(tmp_path)
    assert deployed("orders.yaml", [], Wanted()).parameters["config"] == path
    places = ["state=/data/state", "source.path=/data/a", "sink.path=/data/b"]
    assert deployed("configs/flights-apply.yaml", places, Wanted()).parameters["config"] == "configs/flights-apply.yaml"
    output = CliRunner().invoke(app, ["deploy", path]).output
    assert output.startswith(f"# Workers read {path} on their own hosts. Unless these share it, copy it into a bucket")
