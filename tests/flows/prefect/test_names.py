"""Names of results in Prefect: what its server takes, the same for the same result, and different for another one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.config.job import parse_job
from flows.prefect.names import ResultName, slice_of, uri_of
from tests.faults.victims import small_job

LONG = "gs://lake/" + "/".join(["a-folder-with-a-long-name"] * 20)
SINKS = [
    "s3://lake/out/features?endpoint=http://127.0.0.1:9", "gs://b", "/data/Ünïcode name/out", "/data/x/a_b", "/data/x/a-b",
    "/data/x/A-B", "/elsewhere/x/a-b", "relative/out", LONG, LONG + "2",
]  # fmt: skip


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("slice_name", ["", "2026-11-28", "2026-11-28T14"])
def test_the_server_takes_a_key_and_people_can_read_it(sink, slice_name):
    from prefect.client.schemas.actions import ArtifactCreate

    key = ResultName(uri_of(sink), slice_name).artifact_key("explained-variance")
    assert ArtifactCreate(key=key, type="markdown").key == key
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", key)
    assert len(key) <= 100
    assert key.endswith(slice_name.lower())


def test_every_result_and_kind_has_a_key_of_its_own():
    names = [ResultName(uri_of(sink), slice_name) for sink in SINKS for slice_name in ("", "2026-11-28", "2026-11-29")]
    keys = {name.artifact_key(kind) for name in names for kind in ("summary", "progress", "drift")}
    assert len(keys) == 3 * len(names)


def test_options_of_the_address_and_the_way_to_write_it_do_not_matter(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert uri_of("s3://lake/out/?region=eu-west-1") == uri_of("s3://lake/out")
    assert uri_of("out") == uri_of(str(tmp_path / "out")) == f"file://{tmp_path}/out"


def test_a_job_without_slices_has_none_and_a_sliced_one_names_it(tmp_path):
    job = parse_job(small_job(tmp_path, sink="features"))
    assert (slice_of(job), ResultName.of(job).title("extract")) == ("", "extract features")
    for sink in ("features", "features/night={slice}"):
        sliced = parse_job(small_job(tmp_path, sink=sink, slice="2026-11-28"))
        assert ResultName.of(sliced).title("apply") == "apply features 2026-11-28"
        assert ResultName.of(sliced).uri == f"file://{Path(tmp_path, 'features')}"
