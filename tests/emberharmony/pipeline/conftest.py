"""A run that was stopped before it published."""

from __future__ import annotations

import pytest

from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.run import Run, RunRef
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table


class Stopping(LocalEngine):
    """Stops when it is asked to publish."""

    ref: RunRef

    def map(self, stage, ref, chunks):
        self.ref = ref
        if stage.name == "publish":
            raise KeyboardInterrupt
        return super().map(stage, ref, chunks)


@pytest.fixture
def stopped(tmp_path) -> RunRef:
    """The reference of a run of five chunks, sorted by time, of which all but publishing is done."""
    table = small_table(300, order="sorted")
    job = {
        "source": {"path": str(write_table(table, tmp_path / "table.parquet", group_rows=50))},
        "sink": {"path": str(tmp_path / "result")},
        "columns": {"time": "t", "target": "y", "drop": ["name"]},
        "windows": {"size": 3, "strides": [1, 2]},
        "runtime": {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60},
    }
    engine = Stopping()
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), engine)
    return engine.ref


@pytest.fixture
def run(stopped) -> Run:
    """That run, opened."""
    return Run.opened(stopped.staging)
