"""Tables in a bucket equal the same tables on a disk: planned, read and made features of, with few requests."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, TransientError
from emberharmony.features import TerabyteFeatureExtractor
from emberharmony.io.sources.parquet import ranged_file
from emberharmony.io.sources.parquet.local_files import LocalFile
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store import clients
from emberharmony.io.store.address import BucketAddress, child_address
from emberharmony.io.store.bucket import Bucket
from emberharmony.planning.chunks import Chunk, cut_rows, cut_times, time_buckets
from tests.jobs import run_small, small_table, write_table
from tests.servers.distant import distant_server
from tests.servers.s3 import CREDENTIALS
from tests.stores import uploader

pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture
def upload(s3):
    """Uploads to the S3 server."""
    return uploader(s3)


@pytest.fixture
def requests(monkeypatch):
    """Counts the requests that the client makes, by kind."""
    counts, lock = Counter(), threading.Lock()

    def counted(name, method):
        def counting(*args, **options):
            with lock:
                counts[name] += 1
            return method(*args, **options)

        return counting

    for name in ("get", "get_range", "info", "list"):
        monkeypatch.setattr(Bucket, name, counted(name, getattr(Bucket, name)))
    return counts


def sources(upload, path: Path, place: str = "", **spec) -> tuple[ParquetSource, ParquetSource]:
    """The table on the disk, and in the bucket."""
    addresses = str(path / place) if place else str(path), upload(path, "in/table")
    bucket = child_address(addresses[1], place) if place else addresses[1]
    return ParquetSource(ParquetSourceSpec(addresses[0], **spec)), ParquetSource(ParquetSourceSpec(bucket, **spec))


def chunks_of(source: ParquetSource, chunk_rows: int):
    span = source.time_range("t")
    buckets = time_buckets(lambda *a: source.count_times("t", *a), span.first, span.last, max_rows=chunk_rows // 2)
    return cut_times(list(buckets), chunk_rows)


@pytest.mark.parametrize(("order", "files", "group_rows"), [("shuffled", 5, 40), ("sorted", 1, 1000), ("ties", 12, 7)])
def test_a_table_is_the_same_in_a_bucket(tmp_path, upload, order, files, group_rows):
    table = small_table(400, order=order)
    local, bucket = sources(upload, write_table(table, tmp_path / "t", files=files, group_rows=group_rows))
    here, there = local.describe(), bucket.describe()
    assert there.schema.equals(here.schema, check_metadata=True)
    assert (there.n_rows, there.bytes_per_row, there.stored_bytes_per_row) == (
        here.n_rows,
        here.bytes_per_row,
        here.stored_bytes_per_row,
    )
    assert 0 < there.in_flight_bytes <= ranged_file.MOST_BYTES
    assert bucket.is_sorted_within("t", 3) == local.is_sorted_within("t", 3)
    for chunk in [*chunks_of(local, 90), *cut_rows(local.row_groups(None), 110)]:
        time = "t" if chunk.times else None
        rows = [source.read(chunk, table.column_names, time=time) for source in (local, bucket)]
        assert rows[0].equals(rows[1])


@pytest.mark.parametrize("budget", [0, 2_000, 10**8])
def test_memory_for_reading_ahead_changes_nothing(tmp_path, upload, monkeypatch, budget):
    monkeypatch.setattr(ranged_file, "READ_AHEAD_BYTES", budget)
    table = small_table(60_000, order="sorted")
    local, bucket = sources(upload, write_table(table, tmp_path / "t.parquet", group_rows=50_000))
    for chunk in cut_rows(local.row_groups(None), 20_000):
        assert local.read(chunk, table.column_names, time="t").equals(bucket.read(chunk, table.column_names, time="t"))


@pytest.mark.parametrize("place", ["", "city=S%C3%A3o%20Paulo", "city=*/**/*.parquet", "city=Rome/year=2023/p0.parquet"])
def test_folders_are_columns_whose_names_are_escaped(tmp_path, upload, place):
    table = small_table(200, order="sorted")
    table = table.append_column("city", pa.array(["São Paulo" if i < 100 else "Rome" for i in range(200)]))
    table = table.append_column("year", pa.array([2020 + i // 50 for i in range(200)]))
    pq.write_to_dataset(table, tmp_path / "t", partition_cols=["city", "year"], basename_template="p{i}.parquet")
    (tmp_path / "t/_SUCCESS").touch()
    assert (tmp_path / "t/city=S%C3%A3o%20Paulo").is_dir(), "the case is not what it should be"
    local, bucket = sources(upload, tmp_path / "t", place)
    columns = ["t", "city", "year", "walk"]
    for chunk in chunks_of(local, 70):
        rows = bucket.read(chunk, columns, time="t")
        assert rows.equals(local.read(chunk, columns, time="t"))
    assert set(rows["city"].to_pylist()) <= {"São Paulo", "Rome"}


def test_planning_and_reading_take_few_requests(tmp_path, upload, requests):
    """One listing, one read of each footer; of a row group, one read of the columns that lie side by side."""
    table = small_table(600, order="sorted").drop_columns(["color", "name"])
    _, source = sources(upload, write_table(table, tmp_path / "t", files=30, group_rows=20))
    requests.clear()
    source.describe()
    assert source.row_groups("t") is not None
    assert requests == {"info": 1, "list": 1, "get_range": 30}
    requests.clear()
    (chunk,) = cut_rows(source.row_groups("t"), 600)
    source.read(chunk, ["t", "walk"], time="t")
    assert requests == {"get_range": 30}


def test_of_a_large_row_group_only_what_is_before_the_chunks_end_is_read(tmp_path, upload, monkeypatch):
    table = pa.table({f"x{i}": np.random.default_rng(i).normal(size=400_000) for i in range(3)})
    _, source = sources(upload, write_table(table, tmp_path / "t.parquet", group_rows=400_000))
    source.describe()
    n_bytes, get_range = [], Bucket.get_range

    def counting(self, key, start, stop, **options):
        n_bytes.append(stop - start)
        return get_range(self, key, start, stop, **options)

    monkeypatch.setattr(Bucket, "get_range", counting)
    read = []
    for chunk in (Chunk(0, 0, 20_000), Chunk(0, 0, 100_000), Chunk(0, 300_000, 100_000)):
        n_bytes.clear()
        rows = source.read(chunk, ["x0", "x2"], time=None)
        assert rows["x2"].equals(table["x2"].slice(chunk.first_row, chunk.n_rows))
        read.append(sum(n_bytes) / (2 * 8 * 400_000))
    assert read[0] < 0.55  # a third of these chunks is their dictionaries
    assert read[1] < 0.75
    assert 0.9 < read[2] < 1.1


def test_texts_are_probed_by_a_bounded_number_of_requests(tmp_path, upload, requests, monkeypatch):
    table = small_table(600, order="sorted")
    local, source = sources(upload, write_table(table, tmp_path / "t", files=30, group_rows=10))
    monkeypatch.setattr("emberharmony.io.sources.parquet.object_files.ObjectFile.most_probes", 10)
    _ = source.row_groups("t")
    requests.clear()
    widths = source.describe().bytes_per_row
    assert requests["get_range"] <= 2 * 2 + 2 * 10
    assert widths.keys() == local.describe().bytes_per_row.keys()


@pytest.mark.parametrize("after", ["footers", "open"])
def test_an_object_that_is_replaced_after_the_plan_is_refused(tmp_path, upload, after):
    table = small_table(300, order="sorted", nulls=False)
    _, source = sources(upload, write_table(table, tmp_path / "t.parquet", group_rows=100))
    chunks = cut_rows(source.row_groups("t"), 100)
    if after == "open":
        source.read(chunks[0], ["walk"], time=None)
    write_table(table.set_column(1, "walk", pa.array(range(300), pa.float64())), tmp_path / "t.parquet", group_rows=100)
    upload(tmp_path / "t.parquet", "in/table")
    with pytest.raises(
        DataError, match=r"^s3://test-\w+/in/table was changed after the job was planned; nothing was published"
    ):
        source.read(chunks[-1], ["walk"], time=None)


@pytest.mark.parametrize("cloud", ["azure", "gcs"])
def test_a_table_in_another_cloud(tmp_path, request, cloud):
    upload = uploader(request.getfixturevalue(cloud))
    table = small_table(200, order="sorted").append_column("city", pa.array(["São Paulo", "Rome"] * 100))
    pq.write_to_dataset(table, tmp_path / "t", partition_cols=["city"], basename_template="p{i}.parquet")
    local, bucket = sources(upload, tmp_path / "t", "city=*/*.parquet")
    for chunk in chunks_of(local, 70):
        columns = ["t", "city", "walk"]
        assert bucket.read(chunk, columns, time="t").equals(local.read(chunk, columns, time="t"))
    for path in (tmp_path / "t").rglob("*.parquet"):
        pq.write_table(table.drop_columns("city").slice(0, 100), path)
    upload(tmp_path / "t", "in/table")
    with pytest.raises(
        DataError, match=r"^(az|gs)://test-\w+/in/table/city=Rome/p0.parquet was changed after the job was planned"
    ):
        bucket.read(Chunk(0, 0, 10), ["walk"], time=None)


def test_an_object_that_is_gone_and_a_server_that_is_away(tmp_path, s3, upload, monkeypatch):
    _, source = sources(upload, write_table(small_table(300, order="sorted"), tmp_path / "t.parquet", group_rows=100))
    (chunk, *_) = cut_rows(source.row_groups("t"), 100)
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "get_range", away)
        with pytest.raises(TransientError, match="gave no answer"):
            source.read(chunk, ["walk"], time=None)
    Bucket(BucketAddress.parse(s3)).delete(["in/table"])
    with pytest.raises(DataError, match=r"in/table is missing\. It is part of the source; nothing was published"):
        source.read(chunk, ["walk"], time=None)


def away(*_, **__):
    raise TransientError("The store gave no answer")


def test_a_bucket_that_does_not_exist(s3):
    address = BucketAddress.parse(s3)
    missing = str(BucketAddress("s3", "no-such-bucket", "t", address.options))
    with pytest.raises(DataError, match=r"The source s3://no-such-bucket/t .*no such bucket"):
        ParquetSource(ParquetSourceSpec(missing)).describe()


@pytest.mark.parametrize("key", ["in/a//b.parquet", "in/./b.parquet"])
def test_a_key_that_is_no_path_is_reported_as_such(s3, key):
    address = BucketAddress.parse(s3)
    url = f"{dict(address.options)['endpoint']}/{address.bucket}/{key}"
    urllib.request.urlopen(urllib.request.Request(url, b"PAR1", method="PUT"), timeout=60).close()
    with pytest.raises(DataError, match=r"/in holds an object whose key has an empty part, .* Rename that object"):
        ParquetSource(ParquetSourceSpec(child_address(s3, "in"))).describe()


@pytest.mark.parametrize("damage", ["footer", "pages"])
def test_a_damaged_object_is_named(tmp_path, upload, damage):
    path = write_table(small_table(3000, order="sorted"), tmp_path / "t.parquet")
    raw = bytearray(path.read_bytes())
    raw[slice(200, 2000) if damage == "pages" else slice(-40, -10)] = b"\xff" * (1800 if damage == "pages" else 30)
    path.write_bytes(raw)
    _, source = sources(upload, path)
    where = "footer" if damage == "footer" else "row group 0, column"
    with pytest.raises(DataError, match=rf"^s3://test-\w+/in/table cannot be read as Parquet, at its {where}"):
        source.read(Chunk(0, 0, 3000), ["t", "walk", "count"], time=None)


def test_a_job_on_a_bucket_publishes_what_the_same_job_on_a_disk_does(tmp_path, upload, requests, monkeypatch):
    """It lists the source once, when it is planned, and reads it as often as the files of the disk are opened."""
    opened, open_file = [], LocalFile.open
    monkeypatch.setattr(LocalFile, "open", lambda *args: opened.append(args) or open_file(*args))
    table = small_table(600, order="sorted").drop_columns(["name", "color"])
    path = write_table(table, tmp_path / "t", files=6, group_rows=100)
    address = upload(path, "in/table")
    requests.clear()
    job = {"runtime": {"chunk_rows": 200}, "windows": {"strides": [1]}}
    here, there = (run_small(place, tmp_path / name, **job) for place, name in ((path, "a"), (address, "b")))
    assert here.feature_names == there.feature_names
    assert all(rows.equals(there.features[split]) for split, rows in here.features.items())
    assert (requests["list"], requests["info"]) == (1, 1)
    assert requests["get_range"] == 6 + len(opened)  # a footer of each file, and one request where a disk's file is opened


@pytest.fixture
def distant(tmp_path, monkeypatch):
    """A server that fails when it is told to, and a table behind it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "served").mkdir()
    write_table(small_table(300, order="sorted"), tmp_path / "served/t.parquet", group_rows=100)
    monkeypatch.setattr(clients, "MAX_RETRIES", 4)
    with distant_server(tmp_path / "served") as server:
        yield server


@pytest.mark.parametrize("fault", ["busy", "cut"])
def test_a_server_that_fails_for_a_while_is_asked_again(distant, fault):
    source = ParquetSource(ParquetSourceSpec(distant.address("t.parquet")))
    distant.fail(fault, 2)
    (chunk,) = cut_rows(source.row_groups("t"), 1000)
    assert distant.counts()["failed"] == 2
    distant.fail(fault, 3)
    assert source.read(chunk, ["walk"], time=None).num_rows == 300
    assert distant.counts()["failed"] == 3


def test_a_server_that_fails_on_is_reported_as_such(distant):
    source = ParquetSource(ParquetSourceSpec(distant.address("t.parquet")))
    (chunk,) = cut_rows(source.row_groups("t"), 1000)
    distant.fail("busy", 100)
    with pytest.raises(
        TransientError, match=r"The store of s3://bucket/t.parquet answered status 503 SlowDown, again and again"
    ):
        source.read(chunk, ["walk"], time=None)


def test_credentials_that_expire_are_reported_without_what_the_server_says(distant):
    source = ParquetSource(ParquetSourceSpec(distant.address("t.parquet")))
    (chunk,) = cut_rows(source.row_groups("t"), 1000)
    distant.fail("expired", 100)
    with pytest.raises(
        DataError, match=r"s3://bucket/t\.parquet refused the credentials .*ExpiredToken.* part of the source"
    ) as error:
        source.read(chunk, ["walk"], time=None)
    assert "secret" not in str(error.value)


def test_thousands_of_footers_are_read_at_the_same_time(tmp_path, monkeypatch):
    """One after the other, 300 of them would take 300 times the latency."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "t").mkdir()
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "t/000.parquet")
    for i in range(1, 300):
        shutil.copy(tmp_path / "t/000.parquet", tmp_path / f"t/{i:03}.parquet")
    with distant_server(tmp_path, latency_ms=100) as server:
        source = ParquetSource(ParquetSourceSpec(server.address("t")))
        began = time.perf_counter()
        assert source.describe().n_rows == 300
        assert time.perf_counter() - began < 0.5 * 300 * 0.1
        written = {"put": 0, "post": 0, "delete": 0}
        assert server.counts() == {"list": 1, "get": 300, "head": 1, "bytes": ANY, "failed": 0} | written


def test_the_classes_read_buckets(tmp_path, upload):
    path = write_table(small_table(200, order="sorted"), tmp_path / "t", files=2)
    here, there = (
        TerabyteFeatureExtractor(verbose=False, max_memory_gb=2.0).prepare_data(place, "y", index_col="t")
        for place in (str(path), upload(path, "in/table"))
    )
    pd.testing.assert_frame_equal(here.train, there.train)
    pd.testing.assert_frame_equal(here.test, there.test)
