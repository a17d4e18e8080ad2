"""Settings of the BigQuery sink: what cannot be meant is refused with the job."""

from __future__ import annotations

import dataclasses

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.slices import SlicesSpec, SliceTimes

SPEC = SlicesSpec()
NIGHT = SliceTimes(SPEC, SPEC.named("2026-11-28"), SPEC.named("2026-11-28").start)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dataset": "no dataset"}, "dataset"),
        ({"prefix": "a/b"}, "a/b"),
        ({"staging_dataset": "x.y.z"}, "x.y"),
        ({"staging": "s3://bucket/x"}, "gs://bucket/folder"),
        ({"staging": "gs://B"}, "gs://bucket/folder"),
        ({"staging": "gs://bucket/x", "method": "storage_write"}, "needs no `staging`"),
        ({"labels": {"Team": "x"}}, "Team"),
    ],
)
def test_what_cannot_be_meant(settings, said):
    with pytest.raises(ValueError, match=said):
        BigQuerySinkSpec(**{"dataset": "air", "path": "out"} | settings)


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, None),
        ({"staging": "gs://my-bucket/a/"}, "gs://my-bucket/a/"),
        ({"path": "gs://lake/out?block=keys"}, "gs://lake/out/.load"),
        ({"path": "gs://lake/out", "staging": "gs://my-bucket"}, "gs://my-bucket"),
        ({"path": "s3://lake/out"}, None),
        ({"path": "gs://lake/out", "method": "storage_write"}, None),
    ],
)
def test_workers_write_load_files_where_bigquery_reads_them(settings, address):
    assert BigQuerySinkSpec(**{"dataset": "air", "path": "out"} | settings).load_files == address


@pytest.mark.parametrize(
    "settings",
    [
        {"dataset": "my-project.air"},
        {"prefix": "nightly_"},
        {"staging": "gs://my-bucket"},
        {"staging": "gs://my-bucket/a/b"},
        {"labels": {"team": "air", "empty": ""}},
        {"method": "storage_write", "streams": 2},
    ],
)
def test_what_can(settings):
    spec = BigQuerySinkSpec(**{"dataset": "air", "path": "out"} | settings)
    assert (spec.type, spec.write_disposition, spec.partition_by) == ("bigquery", "replace", "auto")
    assert spec == BigQuerySinkSpec(**{"dataset": "air", "path": "out"} | settings)


def test_a_slice_has_a_folder_of_its_own_and_shares_the_tables():
    spec = BigQuerySinkSpec(dataset="air", path="gs://lake/out")
    night = spec.of_slice(NIGHT)
    assert night == dataclasses.replace(spec, path="gs://lake/out/slice=2026-11-28", slice="2026-11-28")
    assert (spec.disposition, night.disposition) == ("replace", "replace_slice")
    assert night.of_slice(NIGHT) is night


@pytest.mark.parametrize("disposition", ["append", "fail", "replace_partitions"])
def test_a_slice_does_nothing_but_replace(disposition):
    with pytest.raises(PlanError, match=f"'{disposition}', but a slice replaces its own rows"):
        BigQuerySinkSpec(dataset="air", path="out", write_disposition=disposition).of_slice(NIGHT)
