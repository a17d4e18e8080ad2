"""Delta tables in buckets, on servers of S3 and Azure: parts are uploaded once, and commits are conditional."""

from __future__ import annotations

import polars as pl
import pytest
from deltalake import DeltaTable

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.sinks.delta.log import Change, DeltaLog
from emberharmony.io.sinks.delta.parts import TablePart
from emberharmony.io.sinks.delta.tables import delta_schema
from emberharmony.io.store.address import BucketAddress, child_address, without_query
from emberharmony.io.store.clients import settings_of
from emberharmony.io.store.object_store import ObjectStore
from emberharmony.io.store.opening import open_files
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.emberharmony.io.store.test_clients import answering
from tests.faults.test_killed_delta import TABLES, rows
from tests.faults.victims import small_job
from tests.jobs import small_table, write_table
from tests.servers.s3 import CREDENTIALS

pytestmark = pytest.mark.xdist_group("stores")


def job_of(folder, sink, table="t.parquet", **settings):
    if not (folder / table).exists():
        write_table(small_table(160, seed=len(table)), folder / table, group_rows=40)
    return parse_job(
        small_job(folder)
        | {
            "source": {"path": str(folder / table)},
            "sink": {"path": sink, "type": "delta"} | settings,
            "runtime": {"engine": "local", "workers": 1, "backend": "numpy", "chunk_rows": 80},
        }
    )


def table_in(sink, name):
    address = BucketAddress.parse(child_address(sink, name))
    return address.shown, settings_of(address)


def test_a_job_publishes_what_it_publishes_to_a_disk(s3, tmp_path, monkeypatch):
    out, uploads = child_address(s3, "out"), []
    keeping = ObjectStore.keeping
    monkeypatch.setattr(ObjectStore, "keeping", lambda self, name: uploads.append(name) or keeping(self, name))
    outputs = run_job(job_of(tmp_path, out), LocalEngine(1)).outputs
    assert outputs[:3] == tuple(f"{without_query(out)}/{name}" for name in sorted(TABLES)), "as readers name them"
    assert not any("?" in output for output in outputs)
    assert len(uploads) == len(set(uploads)), "each part is uploaded once"
    run_job(job_of(tmp_path, str(tmp_path / "disk")), LocalEngine(1))
    for name in TABLES:
        url, options = table_in(out, name)
        found = DeltaTable(url, storage_options=options).to_pyarrow_table()
        key = "row_number" if name == "features" else "first_row"
        assert found.sort_by([("y", "ascending"), (key, "ascending")]).equals(rows(tmp_path / "disk" / name))
        place = {name: options[name] for name in ("endpoint", "region", "allow_http")}
        assert pl.scan_delta(url, storage_options=place).collect().height == found.num_rows
    assert not run_job(job_of(tmp_path, out), LocalEngine(1)).did_work
    second = run_job(job_of(tmp_path, out, "second.parquet"), LocalEngine(1), overwrite=True)
    url, options = table_in(out, "features")
    assert DeltaTable(url, storage_options=options).history(1)[0]["emberharmony.run"] == second.manifest.fingerprint
    assert DeltaTable(url, storage_options=options, version=0).to_pyarrow_table().num_rows == 160
    parts = [name for name in open_files(out).list("") if name.endswith(".parquet")]
    assert not any(name.startswith(".versions") for name in parts)


def change(run):
    schema = delta_schema([])
    part = TablePart(f"{run}/split=train/part-0.parquet", 1, {"split": "train"}, None, {"numRecords": 1})
    fields = [*schema.fields, *delta_schema([pl.Series("split", ["a"]).to_frame().to_arrow().schema.field(0)]).fields]
    return Change(f"app-{run}", run, type(schema)(fields), ["split"], [part])


@pytest.mark.parametrize("bucket", ["s3", "azure"])
def test_of_two_commits_to_one_version_one_fails_and_is_tried_again(bucket, request):
    log = DeltaLog(child_address(request.getfixturevalue(bucket), "table"))
    assert log.table() is None
    assert log.commit(change("a"))
    stale = log.table()
    assert log.commit(change("b"))
    assert not log._try(stale, change("c")), "another was faster"
    assert log.commit(change("c"))
    table = log.table()
    assert table.version() == 2
    assert len(table.file_uris()) == 3
    assert not log._try(None, change("d")), "the table was made meanwhile"


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (503, "SlowDown", TransientError, "answered status 503 SlowDown"),
        (403, "AccessDenied", TerminalError, r"refused the credentials of this process \(status 403 AccessDenied\)"),
    ],
)
def test_errors_of_the_bucket_are_those_of_its_other_files(monkeypatch, status, code, kind, said):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("emberharmony.io.store.clients.MAX_RETRIES", 0)
    body = f"<Error><Code>{code}</Code><Message>secret</Message></Error>"
    with answering(status, body) as address, pytest.raises(kind, match=said) as error:
        DeltaLog(str(address)).commit(change("a"))
    assert "secret" not in str(error.value)


def test_a_bucket_that_cannot_be_used_is_named_without_its_query(s3):
    missing = BucketAddress.parse(s3)
    there = f"s3://no-such-bucket-here/out?{str(missing).partition('?')[2]}"
    with pytest.raises(TerminalError, match=r"^s3://no-such-bucket-here/table ") as error:
        DeltaLog(there.replace("/out", "/table")).commit(change("a"))
    assert "endpoint" not in str(error.value)
