"""The manifest folds what the chunks have left, and opens each of their files once."""

from __future__ import annotations

from collections import Counter

from emberharmony.io.store.local import LocalStore
from flows.config.job import ApplyJob, parse_job
from flows.run import run
from tests.jobs import small_table, write_table


def test_drift_opens_the_counts_of_every_chunk_once(tmp_path, monkeypatch):
    """However many columns there are."""
    source = {"path": str(write_table(small_table(300), tmp_path / "table.parquet", group_rows=50))}
    runtime = {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60}
    columns = {"time": "t", "target": "y"}
    sink = {"path": str(tmp_path / "fitted")}
    run(parse_job({"source": source, "sink": sink, "columns": columns, "runtime": runtime}))
    opened, read_arrays = Counter(), LocalStore.read_arrays

    def counted(self, file, **kwargs):
        opened[file if isinstance(file, str) else file.name] += 1
        return read_arrays(self, file, **kwargs)

    monkeypatch.setattr(LocalStore, "read_arrays", counted)
    applied = {"state": sink["path"], "source": source, "sink": {"path": str(tmp_path / "applied")}, "runtime": runtime}
    result = run(parse_job(applied, model=ApplyJob))
    drift = {name: n for name, n in opened.items() if name.startswith("drift/")}
    assert len(result.manifest.drift) > 3
    assert len(drift) == 5
    assert set(drift.values()) == {1}
