"""Totals of the receipts of a run, each of which is read once."""

from __future__ import annotations

from emberharmony.pipeline.publish import publish
from emberharmony.pipeline.totals import totals_of
from tests.emberharmony.pipeline.conftest import CHUNK_STAGES, counted


def test_totals_are_those_of_all_receipts(run):
    totals = totals_of(run, CHUNK_STAGES)
    receipts = {stage: list(run.receipts.all_of(stage)) for stage in CHUNK_STAGES}
    every = [receipt for of_stage in receipts.values() for receipt in of_stage]
    assert totals.backends == {"numpy:cpu": len(every)}
    published = {file for receipt in every for file in receipt.files if file.name.startswith(("features/", "windows/"))}
    assert published <= {*totals.files}
    assert {file.name.split("/")[0] for file in {*totals.files} - published} == {"state"}
    assert sum(totals.windows["1"].values()) == sum(
        n for receipt in receipts["project"] for key, n in receipt.rows.items() if key.startswith("1/")
    )
    for stage in CHUNK_STAGES:
        done = totals.work[stage]
        assert [*done.chunks] == [receipt.chunk for receipt in receipts[stage]]
        assert [*done.rows] == [50] * 6
        assert [*done.seconds] == [receipt.seconds for receipt in receipts[stage]]
        assert [*done.memory] == [receipt.memory_bytes for receipt in receipts[stage]]
    assert len(totals.work["fit"].chunks) == len(totals.work["fit-pca"].chunks) == 1


def test_a_run_that_publishes_reads_each_receipt_once(with_report, monkeypatch):
    """Each takes a request to a bucket."""
    reads = counted(monkeypatch, "get")
    publish(with_report, CHUNK_STAGES)
    of_chunks = {name: n for name, n in reads.items() if name.startswith("receipts/") and "/fit" not in name}
    assert len(of_chunks) == 3 * 6
    assert {*of_chunks.values()} == {1}
