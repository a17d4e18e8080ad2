"""The status of a sink: what a run has done is seen while it works, without a change to its store."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import pytest

from emberharmony.errors import DataError
from emberharmony.io.store.address import child_address
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.opening import open_files
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.run_status import StatusReader, read_status
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table
from tests.stored import publish_by_hand

ROWS = [60, 60, 60, 60, 60]


class Looking(LocalEngine):
    """Looks at the sink, from this process, when two chunks are featurized, and then is stopped."""

    def __init__(self, sink: str) -> None:
        super().__init__(1)
        self.reader = StatusReader(sink)

    def map(self, stage, ref, chunks):
        for number, chunk in enumerate(chunks, start=1):
            yield from super().map(stage, ref, [chunk])  # nothing else is written while it looks
            if stage.name == "featurize" and number == 2:
                self.files = self.all_files()
                self.seen, self.again = self.reader.read(), self.reader.read()
                assert self.all_files() == self.files, "it only reads"
                raise KeyboardInterrupt

    def all_files(self):
        files = open_files(self.reader.sink)
        return {name: files.get(name) for name in files.list("")}


@pytest.fixture(params=["parquet", "delta", pytest.param("s3", marks=pytest.mark.xdist_group("stores"))])
def job(request, tmp_path):
    """Of five chunks in order, for a folder, a Delta table, and a bucket."""
    table = write_table(small_table(300, order="sorted"), tmp_path / "table.parquet", group_rows=60)
    sink = {"path": str(tmp_path / "out"), "type": "parquet"}
    if request.param == "delta":
        pytest.importorskip("deltalake")
        sink["type"] = "delta"
    if request.param == "s3":
        sink["path"] = child_address(request.getfixturevalue("s3"), "out")
    return parse_job(
        {
            "source": {"path": str(table)},
            "sink": sink,
            "columns": {"time": "t", "target": "y", "drop": ["name"]},
            "windows": {"size": 3, "strides": [1]},
            "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60},
        }
    )


def test_a_run_is_seen_at_work_interrupted_and_published(job):
    engine, sink, before = Looking(job.sink.path), job.sink.path, time.time()
    with pytest.raises(KeyboardInterrupt):
        run_job(job, engine)
    seen = engine.seen.here
    assert engine.seen.is_at_work
    assert (seen.holder.process, seen.holder.host, seen.holder.is_alive) == (os.getpid(), platform.node(), True)
    assert (seen.published, seen.run.n_rows, seen.run.slice) == (None, 300, None)
    assert (seen.run.attempt.engine, seen.run.attempt.workers, seen.run.attempt.backend) == ("local", 1, "numpy:cpu")
    counts = {stage.stage.name: (len(stage.done), stage.n_items, stage.done_rows, stage.n_rows) for stage in seen.run.stages}
    assert counts == {
        "profile": (5, 5, 300, 300),
        "fit": (1, 1, 0, 0),
        "featurize": (2, 5, sum(ROWS[:2]), 300),
        "fit-pca": (0, 1, 0, 0),
        "project": (0, 5, 0, 300),
        "publish": (0, 1, 0, 0),
    }
    assert seen.run.current.stage.name == "featurize"
    assert before - 2 <= seen.run.last_at <= time.time() + 2
    assert engine.again.here.run == seen.run
    stopped = read_status(sink)
    assert not stopped.is_at_work
    assert stopped.here.holder is None
    assert stopped.here.run.name == seen.run.name
    result = run_job(job, LocalEngine())
    done = read_status(sink)
    assert (done.here.holder, done.here.run) == (None, None)
    assert done.here.published.fingerprint == result.manifest.fingerprint


def test_what_is_complete_is_listed_once(tmp_path, monkeypatch):
    listed, modified = [], LocalStore.modified
    monkeypatch.setattr(LocalStore, "modified", lambda store, folder: listed.append(folder) or modified(store, folder))
    table = write_table(small_table(300, order="sorted"), tmp_path / "table.parquet", group_rows=60)
    places = {"source": {"path": str(table)}, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}}
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(places | {"runtime": {"engine": "local", "chunk_rows": 60}}), Looking(str(tmp_path / "out")))
    once = ["receipts/profile", "receipts/fit"]
    assert all(listed.count(name) == 1 for name in once)
    assert listed.count("receipts/featurize") == 2


def test_slices_at_work_are_found_among_many(tmp_path):
    for name in ("2026-11-27", "2026-11-28"):
        publish_by_hand(tmp_path / f"slice={name}", name)
    staging = tmp_path / "slice=2026-11-28/.staging"
    staging.mkdir(exist_ok=True)
    (staging / "lock").write_text(f'{{"process": {os.getpid()}, "host": "elsewhere", "since": "2026-11-28 04:00:00 UTC"}}')
    status = read_status(str(tmp_path))
    assert status.slices == ("2026-11-27", "2026-11-28")
    assert [Path(place.address).name for place in status.held] == ["slice=2026-11-28"]
    assert status.held[0].published.fingerprint == "2026-11-28"
    assert status.is_at_work


def test_a_place_where_nothing_is_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"Nothing is published at .*nowhere"):
        read_status(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
