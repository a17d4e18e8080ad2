"""Laws 1, 4 and 5 where source, staging and result are in a bucket: any chunking publishes what a run on a disk does."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.io.store.address import child_address
from tests.jobs import (
    Published,
    assert_published_alike,
    read_published,
    run_at,
    run_small,
    small_table,
    with_blocks,
    write_table,
)
from tests.laws.test_chunking import (
    CHUNK_ROWS,
    COLUMNS,
    FILES,
    GROUP_ROWS,
    MAX_SIZE,
    SIZES,
    SPLIT_SPECS,
    Shuffled,
    assert_every_window_once,
)
from tests.laws.test_reference import assert_agree, hard_table, reference_of
from tests.laws.test_series import SIZE, STRIDES, check, many_series
from tests.stores import download, memory_bucket, uploader

SERVERS = [pytest.param(kind, marks=pytest.mark.xdist_group("stores")) for kind in ("s3", "azure", "gcs")]


@pytest.fixture
def memory():
    """Address of a new bucket in memory, whose every call is as fast as a disk's."""
    with memory_bucket() as address:
        yield address


def run_there(bucket, table, folder, *, group_rows, files=1, **job) -> Published:
    """Run a job on a table that is in a bucket, with its result in the bucket, and read that."""
    key = folder.name
    path = write_table(table, folder / "there.parquet", group_rows=group_rows, files=files)
    source, sink = uploader(bucket)(path, f"{key}/table"), child_address(bucket, f"{key}/result")
    outcome = run_at(source, sink, engine=Shuffled(table.num_rows), **job)
    return read_published(download(sink, folder / "there"), outcome)


@pytest.mark.parametrize("order", ["sorted", "shuffled", "ties"])
@settings(max_examples=2)
@given(
    split=st.sampled_from(sorted(SPLIT_SPECS)),
    n_rows=st.integers(90, 160),
    chunk_rows=CHUNK_ROWS,
    group_rows=GROUP_ROWS,
    files=FILES,
    size=SIZES,
    strides=st.sampled_from([[1, 3, 5], [1], [2, 7]]),
)
def test_any_chunks_publish_what_a_disk_does(
    tmp_path_factory, memory, order, split, n_rows, chunk_rows, group_rows, files, size, strides
):
    folder = tmp_path_factory.mktemp("any-chunks")
    table = with_blocks(small_table(n_rows, order=order), 6)
    size = min(size, MAX_SIZE.get(split, size))
    job = {
        "columns": COLUMNS | {"drop": ["block"]},
        "split": SPLIT_SPECS[split],
        "windows": {"size": size, "strides": strides},
        "pca": {"components": 2 if size > 1 else 1},
    }
    here = run_small(write_table(table, folder / "here.parquet"), folder / "here", **job)
    runtime = {"chunk_rows": chunk_rows}
    there = run_there(memory, table, folder, group_rows=group_rows, files=files, runtime=runtime, **job)
    assert_published_alike(there, here)
    assert_every_window_once(there, table, job)


@settings(max_examples=4)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=4, max_size=12),
    chunk_rows=st.integers(20, 400),
    group_rows=st.integers(10, 300),
    seed=st.integers(0, 99),
)
def test_every_window_of_random_series(tmp_path_factory, memory, lengths, chunk_rows, group_rows, seed):
    assert_windows_of_series(memory, tmp_path_factory.mktemp("series"), [*lengths, 40, 40], chunk_rows, group_rows, seed)


@pytest.mark.parametrize("server", SERVERS)
def test_every_window_of_series_on_a_server(tmp_path, request, server):
    assert_windows_of_series(request.getfixturevalue(server), tmp_path, [60, 5, 80, 1, 200, 40], 90, 50, 3)


def assert_windows_of_series(bucket, folder, lengths, chunk_rows, group_rows, seed):
    """Check the windows of series, and their scores, against pandas and scikit-learn."""
    series = many_series(lengths, seed=seed)
    job = {"columns": {"time": "t", "entity": "id"}, "windows": {"size": SIZE, "strides": list(STRIDES)}}
    table = pa.Table.from_pandas(series, preserve_index=False)
    published = run_there(bucket, table, folder, group_rows=group_rows, runtime={"chunk_rows": chunk_rows}, **job)
    check(published, series, ["id"])


@pytest.mark.parametrize("bucket", ["memory", SERVERS[0]])
def test_a_hard_table_equals_pandas_and_scikit_learn(tmp_path, request, bucket):
    table, columns = hard_table(), {"time": "t", "drop": ["name", "many"]}
    address, runtime = request.getfixturevalue(bucket), {"chunk_rows": 700}
    published = run_there(address, table, tmp_path, group_rows=500, columns=columns, runtime=runtime)
    assert_agree(published, reference_of(table, **columns), some_components=2)
