"""A run that was stopped before it published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.run import Run, RunRef
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table

CHUNK_STAGES = ("profile", "featurize", "project")


class Stopping(LocalEngine):
    """Stops when it is asked to publish."""

    ref: RunRef

    def map(self, stage, ref, chunks):
        self.ref = ref
        if stage.name == "publish":
            raise KeyboardInterrupt
        return super().map(stage, ref, chunks)


def stop(tmp_path, *, overwrite: bool = False, order: str = "sorted", sections: dict | None = None, **sink) -> RunRef:
    """The reference of a run of some chunks, of which all but publishing is done; `sections` replace those of its job."""
    table = small_table(300, order=order)
    job = {
        "source": {"path": str(write_table(table, tmp_path / "table.parquet", group_rows=50))},
        "sink": {"path": str(tmp_path / "result"), **sink},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"size": 3, "strides": [1, 2]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60},
    } | (sections or {})
    engine = Stopping()
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), engine, overwrite=overwrite)
    return engine.ref


def counted(monkeypatch, method: str) -> Counter[str]:
    """How often each file is read by a method of the store, by its name."""
    counts, read = Counter[str](), getattr(LocalStore, method)

    def noted(self, file, **options):
        counts[file if isinstance(file, str) else file.name] += 1
        return read(self, file, **options)

    monkeypatch.setattr(LocalStore, method, noted)
    return counts


def _files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Its files and when they were written, but for states of windows: those have names that no receipt holds."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "grams")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="session")
def stopped(tmp_path_factory) -> Iterator[RunRef]:
    """The reference of such a run, for tests that only read it."""
    folder = tmp_path_factory.mktemp("stopped")
    ref = stop(folder)
    before = _files_of(folder)
    yield ref
    assert _files_of(folder) == before, "a test has changed the run of the others, and needs its `own_run`"


@pytest.fixture
def run(stopped) -> Run:
    """That run, opened."""
    return Run.opened(stopped.staging)


@pytest.fixture
def own_stopped(tmp_path) -> RunRef:
    """The reference of such a run of this test alone, which may change it."""
    return stop(tmp_path)


@pytest.fixture
def own_run(own_stopped) -> Run:
    """That run, opened."""
    return Run.opened(own_stopped.staging)


@pytest.fixture
def run_again(tmp_path, monkeypatch) -> Callable[..., Run]:
    """Stops a run, with settings of its sink, and opens it; it writes a report unless they say otherwise."""
    monkeypatch.delenv("EMBERHARMONY_REPORT")
    return lambda **sink: Run.opened(stop(tmp_path, overwrite=True, **sink).staging)


@pytest.fixture
def with_report(run_again) -> Run:
    """Such a run that writes a report."""
    return run_again()
