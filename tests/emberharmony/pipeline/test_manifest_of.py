"""The manifest folds what the chunks have left, and opens each of their files once."""

from __future__ import annotations

from pathlib import Path

import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import ApplyJob, parse_job
from flows.engines.local import LocalEngine
from flows.run import run
from tests.emberharmony.pipeline.conftest import counted
from tests.jobs import small_table, write_table

RUNTIME = {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The job that has made a state."""
    folder = tmp_path_factory.mktemp("fitted")
    source = {"path": str(write_table(small_table(300), folder / "table.parquet", group_rows=50))}
    sink = {"path": str(folder / "fitted")}
    job = {"source": source, "sink": sink, "columns": {"time": "t", "target": "y"}, "runtime": RUNTIME}
    run(parse_job(job))
    return job


@pytest.fixture
def applied(fitted, tmp_path):
    """A job that applies a state, in some chunks."""
    job = {"state": fitted["sink"]["path"], "source": fitted["source"], "sink": {"path": str(tmp_path)}, "runtime": RUNTIME}
    return parse_job(job, model=ApplyJob)


def test_drift_opens_the_counts_of_every_chunk_once(applied, monkeypatch):
    """However many columns there are."""
    opened = counted(monkeypatch, "open")
    result = run(applied)
    drift = {name: n for name, n in opened.items() if name.startswith("drift/")}
    assert len(result.manifest.drift) > 3
    chunks = [file.name for file in result.manifest.files if file.name.startswith("features/")]
    assert len(drift) == len(chunks) >= 5
    assert set(drift.values()) == {1}


def test_counts_that_are_gone_are_made_again(applied):
    class Removing(LocalEngine):
        done = False

        def map(self, stage, ref, chunks):
            if stage.name == "publish" and not self.done:
                self.done = True
                next(Path(ref.staging).glob("drift/00002-*")).unlink()
            return super().map(stage, ref, chunks)

    whole = run_job(applied, Removing(1)).manifest.drift
    assert whole == run(applied, overwrite=True).manifest.drift
