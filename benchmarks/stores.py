"""Tables and results in buckets: what planning, reading and a whole job cost beside a disk.

    python -m benchmarks.stores [--files 10000] [--rows 2000000] [--parts 20000] [--latency-ms 30] [--rounds 3]
        [--only PART] [--folder FOLDER]

The source lies behind a server of the tests that makes every answer wait (`tests/servers/distant.py`), and so do results, but
for that of the last part: moto's S3 server. Both run on this machine and take some of its time. Printed are seconds, requests
and bytes:

- planning a table of many files: listing, footers and a plan, in a process of its own, and the peak memory of that process;
- reading all of some columns: with obstore's ranges, as sources do it, and with pyarrow's S3 file system, with and without its
  `pre_buffer`;
- a whole job, from and to the disk and the server, one and two chunks at a time: seconds, and how long its workers wait, by
  stage;
- publishing a run of many parts that lie in an S3 server: what checking, committing and tidying take, and how many requests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from benchmarks.jobs import job_of
from benchmarks.machine import named, print_machine
from benchmarks.measure import median_of, print_ratios, run_process, turn_about
from benchmarks.table import ROW_GROUP_ROWS, write_files, write_table
from benchmarks.waiting import WatchedJob
from benchmarks.workbench import Measurement, Workbench, times_as_fast
from emberharmony.io.manifest import MANIFEST, Manifest
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.io.store.bucket import Bucket
from emberharmony.io.store.object_result import ObjectResult
from emberharmony.planning.chunks import cut_rows
from tests.servers.distant import DistantServer, distant_server
from tests.servers.s3 import CREDENTIALS, s3_server

COLUMNS = ["time", "signal_0", "signal_3", "reading_1", "count_2", "city"]
OURS = "obstore, ranges"
PRE_BUFFER = "pyarrow.fs, pre_buffer"
WORKERS = (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="What buckets cost beside a disk.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--parts", type=int, default=20_000)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["plan", "read", "jobs", "publish"], help="only this part")
    parser.add_argument("--folder", type=Path, help="folder of tables and results (default: a temporary one)")
    arguments = parser.parse_args()
    print_machine(["emberharmony", "obstore", "pyarrow"])
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        parts = {arguments.only} if arguments.only else {"plan", "read", "jobs", "publish"}
        table = write_table(folder / "served/table.parquet", n_rows=arguments.rows)
        if "plan" in parts:
            rows = write_table(folder / "rows.parquet", n_rows=arguments.files * 200)
            write_files(rows, folder / "served/many", n_files=arguments.files)
        with distant_server(folder / "served", latency_ms=arguments.latency_ms) as server:
            print(f"\neach answer of the server waits {arguments.latency_ms:g} ms", flush=True)
            if "plan" in parts:
                plan_many(folder, server, arguments.files)
            if "read" in parts:
                read_columns(table, server, arguments.rounds)
            if "jobs" in parts:
                whole_jobs(folder, table, server)
        if "publish" in parts:
            publish_many(arguments.parts)


PLAN = """
import sys
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.features.columns import ColumnSpec
plan = make_plan(PipelineSpec(ParquetSourceSpec(sys.argv[1]), ColumnSpec(time="time")), Resources())
print(len(plan.chunks), len(plan.table.catalogue()))
"""


def plan_many(folder: Path, server: DistantServer, n_files: int) -> None:
    """Plan the table of many files, on the disk and on the server."""
    print(f"\nplanning {n_files:,} files, in a process of its own")
    for name, place in {"disk": str(folder / "served/many"), "server": server.address("many")}.items():
        server.counts()
        done = run_process([sys.executable, "-c", PLAN, place], log=folder / "log")
        print(
            f"  {name:<10}{done.seconds:7.1f} s ({done.cpu_seconds:.1f} s of CPU), {done.peak_mb:.0f} MB, "
            f"{_counted(server)}, chunks and bytes of the catalogue: {(folder / 'log').read_text().strip()}"
        )


def measure(bench: Workbench) -> Iterator[Measurement]:
    """Yield reading some columns from a distant bucket, beside pyarrow."""
    table = bench.table(bench.pick(500_000, 1_000))
    os.environ.update(CREDENTIALS)
    with distant_server(bench.folder, latency_ms=bench.pick(30.0, 0.0)) as server:
        costs = turn_about(readers(table, server), rounds=bench.rounds, warm_up=not bench.smoke)
        what = f"reading {len(COLUMNS)} columns, 30 ms away"
        theirs = f"{named('pyarrow')}.fs, pre_buffer"
        yield times_as_fast(what, median_of(costs[OURS]), theirs, median_of(costs[PRE_BUFFER]))


def readers(path: Path, server: DistantServer) -> dict[str, Callable[[], None]]:
    """Read six of nineteen columns, row group by row group, in several ways."""
    metadata = pq.read_metadata(path)
    host = urlsplit(server.root).netloc
    s3 = pa.fs.S3FileSystem(endpoint_override=host, scheme="http", region="us-east-1", access_key="k", secret_key="s")
    source = ParquetSource(ParquetSourceSpec(server.address(path.name)))
    chunks = cut_rows(source.row_groups("time"), ROW_GROUP_ROWS)

    def by_ranges() -> None:
        for chunk in chunks:
            source.read(chunk, COLUMNS, time=None)

    def by_pyarrow(pre_buffer: bool) -> Callable[[], None]:
        def read() -> None:
            for group in range(metadata.num_row_groups):
                with s3.open_input_file(f"bucket/{path.name}") as handle:
                    file = pq.ParquetFile(handle, metadata=metadata, pre_buffer=pre_buffer)
                    file.read_row_group(group, COLUMNS, use_threads=False)

        return read

    def from_disk() -> None:
        for group in range(metadata.num_row_groups):
            pq.ParquetFile(path, metadata=metadata).read_row_group(group, COLUMNS, use_threads=False)

    return {
        OURS: by_ranges,
        PRE_BUFFER: by_pyarrow(True),
        "pyarrow.fs": by_pyarrow(False),
        "pyarrow, from the disk": from_disk,
    }


def read_columns(path: Path, server: DistantServer, rounds: int) -> None:
    """Print seconds, requests and bytes of each way to read some columns."""
    sides, n_groups = readers(path, server), pq.read_metadata(path).num_row_groups
    print_ratios(f"reading {len(COLUMNS)} columns of {n_groups} row groups", turn_about(sides, rounds=rounds), ours=OURS)
    for name, side in sides.items():
        server.counts()
        began = time.perf_counter()
        side()
        elapsed = time.perf_counter() - began
        counts = server.counts()
        print(
            f"  {name:<32}{(counts['get'] + counts['head']) / n_groups:6.1f} requests per chunk, "
            f"{counts['bytes'] / elapsed / 1e6:6.0f} MB/s, {counts['bytes'] / 1e6:.0f} MB"
        )


def whole_jobs(folder: Path, table: Path, server: DistantServer) -> None:
    """Run the job of `benchmarks.whole_job` from and to the disk and the server, and print how long its workers wait."""
    print("\nthe whole job, in a process of its own")
    disk, far = (str(table), str(folder / "out")), (server.address("table.parquet"), server.address("out"))
    ways = {
        "disk to disk": disk,
        "server to disk": (far[0], disk[1]),
        "disk to server": (disk[0], far[1]),
        "server to server": far,
    }
    for name, (source, sink) in ways.items():
        for workers in WORKERS:
            server.counts()
            done = WatchedJob.run(job_of(source, sink, runtime={"workers": workers}), log=folder / "log")
            print(f"  {name}, {workers} at a time: {_counted(server)}\n    {done}", flush=True)
            for left in (folder / "out", folder / "served/out"):
                shutil.rmtree(left, ignore_errors=True)
            server.forget("out/")


def publish_many(n_parts: int) -> None:
    """Publish a run of small parts in an S3 server, in place of an earlier one."""
    print(f"\npublishing {n_parts:,} parts in an S3 server")
    with s3_server() as s3:
        urllib.request.urlopen(urllib.request.Request(f"{s3}/many", method="PUT"), timeout=10).close()
        prefix = BucketAddress.parse(f"s3://many/out?endpoint={s3}&region=us-east-1")
        objects = CountedBucket(prefix)
        result = ObjectResult(objects, prefix)
        for name in ("the first", "replacing it"):
            with result.lease(), ThreadPoolExecutor(16) as pool:
                run = result.stage(f"{'0' * 16}-{n_parts}-00000000", discard=True)
                start = time.perf_counter()
                keep = partial(_keep_part, run)
                files = tuple(pool.map(keep, range(n_parts)))
                kept_s, before = time.perf_counter() - start, objects.n_requests
                manifest = Manifest(**_NO_ROWS, files=files)
                run.write_json(MANIFEST, manifest.to_json())
                start = time.perf_counter()
                result.check_staged(run, manifest)
                result.commit(run, manifest)
                committed_s, commit = time.perf_counter() - start, objects.n_requests - before
                result.tidy()
                tidied_s = time.perf_counter() - start - committed_s
            requests = f"{commit:,} and {objects.n_requests - before - commit:,} requests"
            print(f"  {name:<14}{kept_s:7.1f} s to write, {committed_s:.2f} s to commit, {tidied_s:.2f} s to tidy; {requests}")


def _keep_part(run: Store, number: int) -> FileRecord:
    return run.keep(f"features/split=train/part-{number:05}.parquet", number.to_bytes(8, "big"))


class CountedBucket(Bucket):
    """A bucket that counts its calls; a listing is one for each thousand objects."""

    n_requests = 0

    def put(self, *args: Any, **options: Any) -> Any:
        """Write an object."""
        self.n_requests += 1
        return super().put(*args, **options)

    def get(self, key: str) -> Any:
        """Return an object."""
        self.n_requests += 1
        return super().get(key)

    def info(self, key: str) -> Any:
        """Return what is known of an object."""
        self.n_requests += 1
        return super().info(key)

    def folders(self, prefix: str) -> Any:
        """Return the names of folders."""
        self.n_requests += 1
        return super().folders(prefix)

    def list(self, prefix: str) -> Any:
        """Return objects."""
        found = list(super().list(prefix))
        self.n_requests += 1 + len(found) // 1000
        return iter(found)

    def delete(self, keys: Any) -> None:
        """Remove objects."""
        keys = list(keys)
        self.n_requests += -(-len(keys) // 1000)
        super().delete(keys)


_NO_ROWS: dict[str, Any] = {
    "fingerprint": "0" * 16,
    "created": "2026-11-28T00:00:00+00:00",
    **dict.fromkeys(("source_rows", "null_times", "left_out"), 0),
    **{name: {} for name in ("versions", "spec", "rows", "features_by_kind", "dropped", "schema", "strides", "backends")},
    "features": (),
}
"""A manifest without rows; what it says does not matter here."""


def _counted(server: DistantServer) -> str:
    counts = server.counts()
    n_read, n_written = (sum(counts[kind] for kind in kinds) for kinds in (("list", "head", "get"), ("put", "post", "delete")))
    return f"{n_read:,} requests to read, {counts['bytes'] / 1e6:,.0f} MB, {n_written:,} to write"


if __name__ == "__main__":
    main()
