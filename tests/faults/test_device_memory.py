"""A device runs out of memory. No GPU is needed: the test raises torch's own error."""

from __future__ import annotations

import logging

import pytest

from emberharmony.errors import TransientError
from emberharmony.pca import project_strides
from tests.jobs import assert_published_alike, run_small, small_table, write_table

torch = pytest.importorskip("torch")
JOB = {"columns": {"time": "t", "target": "y", "drop": ["name"]}, "runtime": {"backend": "torch:cpu", "chunk_rows": 300}}
TOLD = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 2.51 GiB is free."


@pytest.fixture
def source(tmp_path):
    return write_table(small_table(900), tmp_path / "table.parquet", group_rows=300)


@pytest.fixture
def full(monkeypatch):
    """Let projections fail for lack of device memory, once for every item of the list."""
    refusals = []

    def projected(*arguments):
        if refusals:
            raise refusals.pop()
        return project_strides(*arguments)

    monkeypatch.setattr("emberharmony.steps.project.project_strides", projected)
    monkeypatch.setattr("emberharmony.pipeline.retry.RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    return refusals


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(TOLD), MemoryError("Unable to allocate 20.0 GiB")], ids=["device", "host"]
)
def test_memory_that_others_take_is_waited_for(source, tmp_path, full, error, caplog):
    undisturbed = run_small(source, tmp_path / "undisturbed", **JOB)
    full += [error, error]
    with caplog.at_level(logging.WARNING):
        published = run_small(source, tmp_path / "out", **JOB)
    assert not full
    assert_published_alike(published, undisturbed)
    assert "It is retried" in caplog.text


def test_memory_that_never_suffices_stops_the_run_with_the_way_out(source, tmp_path, full):
    full += [torch.OutOfMemoryError(TOLD)] * 4
    with pytest.raises(
        TransientError, match=r"torch:cpu computes on host .*: .*20\.00 GiB\. Fewer .* runtime\.workers"
    ) as stopped:
        run_small(source, tmp_path / "out", **JOB)
    assert "capacity" not in str(stopped.value)
    assert not (tmp_path / "out" / "manifest.json").exists()
