"""Files that workers write to Cloud Storage by Google's own client are loaded from there, and none is left behind."""

from __future__ import annotations

import dataclasses
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.bigquery.column_types import converted
from emberharmony.io.sinks.bigquery.bucket import CloudObjects, check_writable, remove_all
from emberharmony.io.sinks.bigquery.load import load_by_bucket
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from emberharmony.io.store.objects import ABSENT
from emberharmony.pipeline.execute import run_job
from flows.config.job import FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.integration.bigquery_tables import HttpFaults, expected, in_bucket, make_run, make_table, open_with
from tests.jobs import small_table, write_table

pytestmark = pytest.mark.xdist_group("bigquery-sink")

BUCKET = "gs://staging"
RUN = f"{BUCKET}/nightly/0123456789abcdef/"


@pytest.fixture
def http() -> HttpFaults:
    """What goes to Cloud Storage."""
    return HttpFaults()


@pytest.fixture
def staged(spec) -> BigQuerySinkSpec:
    return dataclasses.replace(spec, staging=f"{BUCKET}/nightly/")


@pytest.fixture
def clients(spec, http, monkeypatch):
    with open_with(spec, HttpFaults()) as made:
        made.storage._http.mount("http://", http)
        monkeypatch.setattr("emberharmony.io.sinks.bigquery.bucket.shared_clients", lambda _: made)
        yield made
        http.broken.clear()
        remove_all(made, f"{BUCKET}/")


@pytest.fixture
def objects(spec, clients) -> CloudObjects:
    return CloudObjects(spec.connection, "staging")


@pytest.fixture
def table(tmp_path, staged, clients):
    return in_bucket(make_table(tmp_path / "features"), staged)


def names(clients) -> list[str]:
    return sorted(blob.name for blob in clients.storage.list_blobs("staging"))


@pytest.mark.parametrize("megabytes", [1, 9], ids=["at once", "resumed"])
def test_an_object_arrives_whole(objects, clients, http, megabytes):
    content = os.urandom(megabytes * 10**6)
    http.broken["POST", "/o"] = [503, 500]
    for written in (content, io.BytesIO(content)):
        revision = objects.put("a b/ü.parquet", written)
        assert objects.get("a b/ü.parquet") == (content, revision)
        assert objects.get_range("a b/ü.parquet", 5, 9) == content[5:9]
    (info,) = objects.list("a b")
    assert (info.key, info.n_bytes, info.revision) == ("a b/ü.parquet", len(content), revision)
    assert objects.info("a b/ü.parquet").n_bytes == len(content)
    assert objects.folders("a b") == []
    objects.delete(["a b/ü.parquet", "none"])
    assert objects.info("a b/ü.parquet") is None
    assert objects.get("a b/ü.parquet") is None


def test_conditions_are_sent_to_the_server(objects, http):
    """This server ignores them."""
    objects.put("x", b"1", only_if=ABSENT)
    assert any("ifGenerationMatch=0" in url for url in http.urls)


def test_everything_below_an_address_is_removed(objects, clients):
    for name in ("a/b/1", "a/b/2", "a/c"):
        objects.put(name, b"x")
    assert (remove_all(clients, f"{BUCKET}/a/b/"), names(clients)) == (2, ["a/c"])
    assert remove_all(clients, f"{BUCKET}/a/b/") == 0


def test_load_jobs_name_the_files_of_the_workers(staged, table, published, clients, http):
    rows, sent = expected(table), len(http.urls)
    Publication(staged, clients).publish([table], make_run(table), files=RUN)
    assert published.rows() == rows
    assert not any("upload" in url for url in http.urls[sent:]), "no byte of a row goes through this process"
    assert names(clients) == []


def test_many_files_take_several_jobs(staged, table, published, clients):
    http = HttpFaults()
    clients.jobs._http.mount("http://", http)
    rows, sink = expected(table), Publication(staged, clients)
    into = sink._staging_table(table, "many", 0)
    sink._create_staging(table, into)
    for _ in range(2):
        load_by_bucket(clients, table, into, key="many", location="US", max_uris=4)
    jobs = {job["jobReference"]["jobId"]: job["configuration"]["load"]["sourceUris"] for job in http.jobs("load")}
    assert [len(uris) for uris in jobs.values()] == [4, 2]
    assert published.rows(into.table) == rows


def test_what_was_staged_goes_and_what_others_have_stays(staged, table, published, clients, objects, monkeypatch):
    for name in ("nightly/notes.txt", "nightly/fedcba9876543210/features/split=train/part-00000.parquet"):
        objects.put(name, b"x")
    rows, others = expected(table), [name for name in names(clients) if not name.startswith(RUN.removeprefix(f"{BUCKET}/"))]
    tidy = Publication._tidy

    def dies(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Publication, "_tidy", dies)
    with pytest.raises(KeyboardInterrupt):
        Publication(staged, clients).publish([table], make_run(table), files=RUN)
    assert len(names(clients)) == len(others) + len(table.parts)
    monkeypatch.setattr(Publication, "_tidy", tidy)
    Publication(staged, clients).publish([table], make_run(table), files=RUN)
    assert published.rows() == rows
    assert names(clients) == others


def test_files_that_may_not_be_removed(staged, table, published, clients, http, caplog):
    http.broken["DELETE", ".parquet"] = [403] * 20
    Publication(staged, clients).publish([table], make_run(table), files=RUN)
    assert published.rows() == expected(table)
    assert f"All is published, but files stay at {RUN}" in caplog.text
    assert "storage.objects.delete is missing" in caplog.text
    assert len(names(clients)) == len(table.parts)


@pytest.fixture
def small(tmp_path):
    """A table whose carried columns BigQuery holds under other names or as other types."""
    rows = small_table(90, nulls=False)
    odd = {
        "first name": rows["name"],
        "First Name": rows["color"].dictionary_encode(),
        "number": pa.array(range(90), pa.uint64()),
        "when": rows["t"].cast(pa.timestamp("ns", "UTC")),
    }
    rows = rows.drop_columns(["name", "t"])
    return write_table(pa.table({**{name: rows[name] for name in rows.column_names}, **odd}), tmp_path / "t.parquet")


def job_of(source, sink, **settings):
    return parse_job(
        {
            "source": {"path": str(source)},
            "sink": {"path": str(sink)} | settings,
            "columns": {"time": "when", "target": "y", "passthrough": ["first name", "First Name", "number"]},
            "windows": {"size": 3, "strides": [2]},
            "runtime": {"engine": "local", "workers": 2, "backend": "numpy", "chunk_rows": 40},
        }
    )


def as_bigquery(table: pa.Table) -> list[tuple]:
    """Rows of a published table of files as BigQuery holds them, sorted; without the run's id."""
    columns = [name for name in table.column_names if name not in ("split", "stride")]
    values = [converted(table[name], name).to_pylist() for name in columns]
    return sorted(zip(*values, table["split"].to_pylist(), strict=True))


def run_until(job, step, monkeypatch):
    """Run a job that dies at a step of its publication."""

    def dies(self, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publication, step, dies)
        with pytest.raises(KeyboardInterrupt):
            run_job(job, LocalEngine(2))


@pytest.mark.parametrize("died", [None, "_publish"])
def test_a_job_whose_workers_write_the_load_files(spec, staged, small, published, clients, tmp_path, monkeypatch, died, http):
    sink = dataclasses.asdict(staged) | {"path": str(tmp_path / "out")}
    job = job_of(small, tmp_path / "out", **sink)
    if died:
        run_until(job, died, monkeypatch)
        assert names(clients)
    assert run_job(job, LocalEngine(2)).did_work
    assert names(clients) == []
    run_job(job_of(small, tmp_path / "parquet"), LocalEngine(2))
    uploads = [url for url in http.urls if "uploadType" in url]
    assert len(uploads) == len(list((tmp_path / "parquet").rglob("*.parquet"))), "each part is encoded and uploaded once"
    for table, folder in {"features": "features", "windows_stride_2": "windows/stride=2"}.items():
        assert [row[:-1] for row in published.rows(table)] == as_bigquery(pq.read_table(tmp_path / "parquet" / folder))
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    expected = json.loads((tmp_path / "parquet/manifest.json").read_text())
    assert list(manifest["schema"]) == list(expected["schema"])
    assert not (tmp_path / "out/features").exists()
    assert not run_job(job, LocalEngine(2)).did_work


def test_a_load_file_that_was_lost_is_written_again(staged, small, published, clients, tmp_path, monkeypatch, objects):
    sink = dataclasses.asdict(staged) | {"path": str(tmp_path / "out")}
    run_until(job_of(small, tmp_path / "out", **sink), "_fill", monkeypatch)
    objects.delete([next(name for name in names(clients) if "features" in name)])
    assert run_job(job_of(small, tmp_path / "out", **sink), LocalEngine(1)).did_work
    assert len(published.rows()) == 90


def test_a_job_that_only_fits_writes_no_load_files(staged, small, clients, tmp_path):
    sink = dataclasses.asdict(staged) | {"path": str(tmp_path / "out")}
    job = job_of(small, tmp_path / "out", **sink).model_dump(mode="json")
    run_job(parse_job(job, model=FitJob), LocalEngine(1))
    assert names(clients) == []


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, TerminalError, r"permission storage\.objects\.create is missing.*on bucket 'staging'"),
        (404, TerminalError, r"Check that bucket 'staging' is there, and `sink\.staging`"),
        (503, TransientError, r"Writing gs://staging/part.*status code 503"),
    ],
)
def test_a_bucket_that_refuses(objects, clients, http, status, error, said):
    http.broken["POST", "/o"] = [status] * 1_000
    quick = dataclasses.replace(clients.connection.retry, attempts=1, request_deadline_s=0.5)
    clients.connection = dataclasses.replace(clients.connection, retry=quick)
    with pytest.raises(error, match=said):
        objects.put("part.parquet", b"rows")


def test_a_bucket_that_is_not_there(spec, clients):
    with pytest.raises(TerminalError, match="Check that bucket 'nowhere' is there"):
        CloudObjects(spec.connection, "nowhere").put("x", b"")


def test_a_bucket_that_may_refuse_is_warned_of(clients, caplog, monkeypatch):
    check_writable(clients, f"{BUCKET}/nightly")
    assert not caplog.text
    monkeypatch.setattr(type(clients.storage.bucket("staging")), "test_iam_permissions", lambda *_, **__: [])
    check_writable(clients, f"{BUCKET}/nightly")
    assert "does not hold storage.objects.create on the whole of bucket 'staging'" in caplog.text
