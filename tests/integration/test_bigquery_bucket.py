"""Files through Google's own client to a server of Cloud Storage, and from there into tables; none of them is left behind."""
# ruff: noqa: F401 - fixtures of the sink's tests

from __future__ import annotations

import dataclasses
import os

import pytest

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.sinks.bigquery.bucket import check_writable, remove_all, upload
from emberharmony.io.sinks.bigquery.publication import Publication
from emberharmony.io.sinks.bigquery.spec import BigQuerySinkSpec
from tests.integration.bigquery_tables import HttpFaults, Published, expected, make_run, open_with

pytestmark = pytest.mark.xdist_group("bigquery-sink")

BUCKET = "gs://staging"


@pytest.fixture
def staged(spec) -> BigQuerySinkSpec:
    return dataclasses.replace(spec, staging=f"{BUCKET}/nightly/")


@pytest.fixture
def http() -> HttpFaults:
    """What goes to Cloud Storage."""
    return HttpFaults()


@pytest.fixture
def clients(spec, http):
    with open_with(spec, HttpFaults()) as made:
        made.storage._http.mount("http://", http)
        yield made
        http.broken.clear()
        remove_all(made, f"{BUCKET}/")


def names(clients) -> list[str]:
    return sorted(blob.name for blob in clients.storage.list_blobs("staging"))


@pytest.mark.parametrize("megabytes", [1, 9], ids=["at once", "resumed"])
def test_a_file_arrives_whole(clients, http, tmp_path, megabytes):
    content = os.urandom(megabytes * 10**6)
    (tmp_path / "file").write_bytes(content)
    http.broken["POST", "/o"] = [503, 500]
    for _ in range(2):
        upload(clients, tmp_path / "file", f"{BUCKET}/a b/ü.parquet")
    assert clients.storage.bucket("staging").blob("a b/ü.parquet").download_as_bytes() == content
    assert remove_all(clients, f"{BUCKET}/a b/") == 1
    assert remove_all(clients, f"{BUCKET}/a b/") == 0


def test_what_was_staged_goes_and_what_others_have_stays(staged, table, published, clients, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    for name in ("nightly/notes.txt", "nightly/emberharmony-0123456789abcdef-features-load-0/00000.parquet"):
        upload(clients, tmp_path / "file", f"{BUCKET}/{name}")
    others = names(clients)
    tidy = Publication._tidy

    def dies(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Publication, "_tidy", dies)
    with pytest.raises(KeyboardInterrupt):
        Publication(staged, clients).publish([table], make_run(table))
    assert len(names(clients)) == len(others) + len(table.parts)
    monkeypatch.setattr(Publication, "_tidy", tidy)
    Publication(staged, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert names(clients) == others


def test_files_that_may_not_be_removed(staged, table, published, clients, http, caplog):
    http.broken["DELETE", ".parquet"] = [403] * 20
    Publication(staged, clients).publish([table], make_run(table))
    assert published.rows() == expected(table)
    assert "All is published, but files stay at gs://staging/nightly/emberharmony-" in caplog.text
    assert "storage.objects.delete is missing" in caplog.text
    assert len(names(clients)) == len(table.parts)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, TerminalError, r"permission storage\.objects\.create is missing.*on bucket 'staging'"),
        (404, TerminalError, r"Check that bucket 'staging' is there, and `sink\.staging`"),
        (503, TransientError, r"Writing gs://staging/nightly/.*status code 503"),
    ],
)
def test_a_bucket_that_refuses(staged, table, published, clients, http, status, error, said):
    http.broken["POST", "/o"] = [status] * 1_000
    quick = dataclasses.replace(staged.connection.retry, attempts=1, request_deadline_s=0.5)
    clients.connection = dataclasses.replace(clients.connection, retry=quick)
    with pytest.raises(error, match=said):
        Publication(staged, clients).publish([table], make_run(table))
    assert "features" not in published.tables()


def test_a_bucket_that_is_not_there(staged, table, clients):
    nowhere = dataclasses.replace(staged, staging="gs://nowhere")
    with pytest.raises(TerminalError, match="Check that bucket 'nowhere' is there"):
        Publication(nowhere, clients).publish([table], make_run(table))


def test_a_bucket_that_may_refuse_is_warned_of(clients, caplog, monkeypatch):
    check_writable(clients, f"{BUCKET}/nightly")
    assert not caplog.text
    monkeypatch.setattr(type(clients.storage.bucket("staging")), "test_iam_permissions", lambda *_, **__: [])
    check_writable(clients, f"{BUCKET}/nightly")
    assert "does not hold storage.objects.create on the whole of bucket 'staging'" in caplog.text
