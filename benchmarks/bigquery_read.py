"""Measure the path from BigQuery's Storage Read API to features: rows/s, and the share of time spent waiting for the network.

    python -m benchmarks.bigquery_read [--copies 4] [--streams 1 4] [--workers 1 2] [--ahead 0 2] [--rounds 3] [--far 0.2]
        [--jobs] [--latency-ms 30]

The server is the tests' emulator. It holds copies of the flights and shares this machine's cores, so its rows/s say nothing
about BigQuery. Two results carry over: the share of a chunk's time that this library's own work takes and, with a delay of
`--far` seconds per message, how much of the waiting further chunks hide, which are read while others are computed (`--ahead`
of them for each worker; jobs have two). With `--jobs`, whole jobs are run over a line of `--latency-ms`, and each stage's
share of waiting is printed: what is left with chunks read ahead is how long the emulator takes to send their rows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
import pyarrow as pa

from benchmarks.jobs import job_of
from benchmarks.machine import print_machine
from benchmarks.waiting import WatchedJob, watched
from emberharmony.features.columns import ColumnSpec
from emberharmony.features.preprocessing import Preprocessing, datetime_features, encode
from emberharmony.io.bigquery import BigQueryConnection
from emberharmony.io.bigquery.read import ReadSpec
from emberharmony.io.sources.bigquery.source import BigQuerySource
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.plan import Plan, Resources, make_plan
from emberharmony.pipeline.run import open_run
from emberharmony.pipeline.spec import PipelineSpec, pinned
from emberharmony.pipeline.stages import run_stage
from emberharmony.pipeline.staging import stage_plan
from emberharmony.planning.chunks import Chunk
from emberharmony.planning.memory import AHEAD
from emberharmony.threads import Turns, each_as_done
from flows.flights import prepare_flights
from tests.integration.emulator import server
from tests.servers.long_line import long_line

COLUMNS: dict[str, Any] = {"time": "time_hour", "target": "arr_delay", "passthrough": ("flight",)}


class Round(NamedTuple):
    """Seconds of one pass over all chunks."""

    total: float
    waiting: float  # part of the total in which no stream had a message
    features: float  # sum over all workers
    idle: float  # share of the workers' time in which none of the process's threads could run


class Waiting(grpc.UnaryStreamClientInterceptor, grpc.UnaryUnaryClientInterceptor):
    """Measure the time in which every open call waits for the server; while one call decodes a message, the wait is hidden."""

    def __init__(self, far_s: float) -> None:
        self.seconds = 0.0
        self._far_s = far_s
        self._open = self._waiting = 0
        self._since = 0.0
        self._lock = threading.Lock()

    def _change(self, *, opened: int = 0, waiting: int = 0) -> None:
        with self._lock:
            now = time.perf_counter()
            if self._open and self._waiting == self._open:
                self.seconds += now - self._since
            self._open += opened
            self._waiting += waiting
            self._since = now

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self._change(opened=1, waiting=1)
        try:
            call = continuation(client_call_details, request)
            call.result()
            return call
        finally:
            self._change(opened=-1, waiting=-1)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._timed(continuation(client_call_details, request))

    def _timed(self, call: Any) -> Iterator[Any]:
        self._change(opened=1)
        try:
            while True:
                self._change(waiting=1)
                try:
                    message = next(call, None)
                    time.sleep(self._far_s)
                finally:
                    self._change(waiting=-1)
                if message is None:
                    return
                yield message
        finally:
            self._change(opened=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows from the Storage Read API to features.")
    parser.add_argument("--copies", type=int, default=4, help="copies of the 336,776 flights")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="concurrent chunks")
    parser.add_argument("--ahead", type=int, nargs="+", default=[0, AHEAD], help="further chunks for each worker")
    parser.add_argument("--jobs", action="store_true", help="run whole jobs as well")
    parser.add_argument("--latency-ms", type=float, default=30.0, help="of whole jobs, there and back")
    parser.add_argument("--far", type=float, default=0.0, help="extra seconds per message")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk-rows", type=int, default=131_072)
    arguments = parser.parse_args()
    print_machine(["emberharmony", "google-cloud-bigquery-storage", "grpcio", "numpy", "pyarrow"])
    with tempfile.TemporaryDirectory() as folder:
        emulator = server.start(Path(folder) / "server")
        try:
            measure(emulator, Path(folder), arguments)
        finally:
            emulator.stop()


def measure(emulator: server.Emulator, folder: Path, arguments: argparse.Namespace) -> None:
    connection = BigQueryConnection(
        project=emulator.project,
        location="US",
        api_endpoint=emulator.rest_url,
        grpc_endpoint=emulator.grpc_address,
        insecure=True,
    )
    load(connection, prepare_flights(Path("data") / "flights.parquet"), arguments.copies)
    spec = PipelineSpec(
        BigQuerySourceSpec(table="raw.flights", connection=connection),
        ColumnSpec(**COLUMNS),
    )
    spec = pinned(spec)
    plan = make_plan(spec, Resources(chunk_rows=arguments.chunk_rows))
    fitted = fit(plan, folder)
    n_chunks = len(plan.chunks)
    print(
        f"\n{plan.n_rows:,} rows in {n_chunks} chunks to {len(fitted.feature_names)} features; medians of {arguments.rounds}"
    )
    ways = list(product(arguments.workers, arguments.streams, arguments.ahead))
    rounds: dict[tuple[int, int, int], list[Round]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):  # in turns, so that other load on the machine affects all settings alike
        for workers, streams, ahead in ways:
            rounds[workers, streams, ahead].append(one_pass(plan, fitted, streams, workers, ahead, arguments.far))
    for (workers, streams, ahead), passes in rounds.items():
        middle = sorted(passes, key=lambda it: it.total)[len(passes) // 2]
        spread = statistics.pstdev(it.total for it in passes) / middle.total
        shares = f"all calls wait {middle.waiting / middle.total:.0%} of the time, the workers {middle.idle:.0%}"
        if workers == 1 and not ahead:
            rest = middle.total - middle.waiting - middle.features
            shares += f", decoding and sorting {rest / middle.total:.0%}, features {middle.features / middle.total:.0%}"
        speed = f"{plan.n_rows / middle.total:,.0f} rows/s (± {spread:.0%})"
        print(f"{workers} workers, {streams} streams each, {ahead} chunks ahead: {speed}; {shares}", flush=True)
    if arguments.jobs:
        whole_jobs(emulator, connection, folder, arguments)


def whole_jobs(emulator: server.Emulator, connection: BigQueryConnection, folder: Path, arguments: argparse.Namespace) -> None:
    far = partial(long_line, latency_ms=arguments.latency_ms)
    with far(urlsplit(emulator.rest_url).netloc) as rest, far(emulator.grpc_address) as grpc_address:
        there = asdict(replace(connection, api_endpoint=f"http://{rest}", grpc_endpoint=grpc_address))
        for workers in arguments.workers:
            runtime = {"workers": workers, "chunk_rows": arguments.chunk_rows, "max_memory_gb": 4.0}
            job = job_of("", folder / "job", columns=COLUMNS, runtime=runtime)
            job["source"] = {"type": "bigquery", "table": "raw.flights", "connection": there}
            print(f"a job {arguments.latency_ms:g} ms away, {workers} at a time: {WatchedJob.run(job, log=folder / 'log')}")


def load(connection: BigQueryConnection, path: Path, copies: int) -> None:
    from google.cloud import bigquery

    with connection.open() as clients:
        clients.jobs.create_dataset("raw")
        config = bigquery.LoadJobConfig(source_format="PARQUET")
        for _ in range(copies):
            with path.open("rb") as file:
                clients.jobs.load_table_from_file(file, "raw.flights", job_config=config).result()


def fit(plan: Plan, folder: Path) -> Preprocessing:
    """Fit the preprocessing; not measured."""
    ref = stage_plan(plan, result_at(folder / "out"), backend="numpy")
    for chunk in plan.chunks:
        run_stage("profile", ref, chunk.index)
    run_stage("fit", ref)
    return open_run(ref).fitted.preprocessing


def one_pass(plan: Plan, fitted: Preprocessing, streams: int, workers: int, ahead: int, far_s: float) -> Round:
    source_spec = plan.spec.source
    assert isinstance(source_spec, BigQuerySourceSpec)
    waiting = Waiting(far_s)
    with source_spec.connection.open(interceptors=[waiting]) as clients:
        source = BigQuerySource(replace(source_spec, read=ReadSpec(streams=streams)), clients)
        source.describe()

        def features_of(rows: pa.Table) -> float:
            there = time.perf_counter()
            encode(rows, datetime_features(rows, fitted), fitted)
            return time.perf_counter() - there

        in_turn = Turns(workers).taking(features_of)  # as the local engine does

        def read(chunk: Chunk) -> float:
            return in_turn(source.read(chunk, list(plan.roles.to_read), time=plan.spec.columns.time))

        begun = time.perf_counter()
        with watched(os.getpid()) as watch:
            features = sum(each_as_done(read, plan.chunks, n_threads=workers * (1 + ahead)))
            total = time.perf_counter() - begun
        return Round(total, waiting.seconds, features, watch.waiting(workers=workers))


if __name__ == "__main__":
    main()
