"""Rows brought into the job's order: in groups of chunks or without, the same; read back as they were written."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DamagedError, DataError, TerminalError
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.arrange import ARRANGE, arrange_chunk, check_room, partition_rows, regroup
from emberharmony.pipeline.plan import make_plan
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.staging import stage_plan
from emberharmony.planning import chunk_groups
from flows.config.job import parse_job
from tests.jobs import small_table, write_table

COLUMNS = ["t", "walk"]


def staged(folder, table):
    """A run of six chunks over two pieces of a shuffled table."""
    source = {"path": str(write_table(table, folder / "table.parquet", group_rows=150))}
    runtime = {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": 60}
    columns = {"time": "t", "target": "y", "drop": ["name"]}
    job = parse_job({"source": source, "sink": {"path": str(folder / "out")}, "columns": columns, "runtime": runtime})
    plan = make_plan(job.spec, job.resources)
    return Run.opened(stage_plan(plan, result_at(folder / "out"), backend="numpy").staging)


def pieces(run):
    """The rows of each piece of the table that the plan reads at once."""
    for piece in run.plan.inputs:
        yield piece, run.source.read(piece, run.plan.to_read, time=None)


def arrange_all(run):
    for piece, rows in pieces(run):
        run.receipts.commit(partition_rows(run.arranged, rows, piece.index, "numpy"))
    if run.arranged.groups.size > 1:
        for group in run.receipts.items("regroup"):
            run.receipts.commit(regroup(run.arranged, group, "numpy"))
    for chunk in run.plan.chunks:
        run.receipts.commit(arrange_chunk(run.arranged, chunk, "numpy"))


@pytest.mark.parametrize("most_parts", [1, 4_000_000], ids=["groups of chunks", "single chunks"])
def test_chunks_are_the_table_in_order(tmp_path, monkeypatch, most_parts):
    monkeypatch.setattr(chunk_groups, "MOST_PARTS", most_parts)
    table = small_table(300, nulls=False)
    run = staged(tmp_path, table)
    assert (run.arranged.groups.size > 1) is (most_parts == 1)
    arrange_all(run)
    rows = [run.arranged.read(chunk, COLUMNS, time="t") for chunk in run.plan.chunks]
    assert [len(chunk) for chunk in rows] == [chunk.n_rows for chunk in run.plan.chunks]
    order = np.argsort(table["t"].cast(pa.int64()).to_numpy(), kind="stable")
    whole = pa.concat_tables(rows)
    np.testing.assert_array_equal(whole["row_number"], order)
    assert whole["walk"].to_pylist() == table["walk"].take(order).to_pylist()
    assert all(a["t"][-1].as_py() <= b["t"][0].as_py() for a, b in pairwise(rows))


def test_a_chunk_with_other_rows_than_planned_is_refused(tmp_path):
    table = small_table(300)
    run = staged(tmp_path, table)
    for piece, rows in pieces(run):
        run.receipts.commit(partition_rows(run.arranged, rows.slice(1), piece.index, "numpy"))
    with pytest.raises(DataError, match=r"was planned with \d+ rows and has \d+; the table has changed"):
        [arrange_chunk(run.arranged, chunk, "numpy") for chunk in run.plan.chunks]


def test_what_was_not_regrouped_is_told_as_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_groups, "MOST_PARTS", 1)
    run = staged(tmp_path, small_table(300))
    with pytest.raises(DamagedError, match="no receipt of regroup of chunk 0"):
        list(run.arranged.pieces_of(0))


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    run = staged(tmp_path, small_table(300))
    check_room(run.arranged)
    monkeypatch.setattr(LocalStore, "free_bytes", lambda store: 1000)
    with pytest.raises(TerminalError, match=r"takes about [\d,]+ more bytes of disk until the job ends; 1,000 are free"):
        check_room(run.arranged)
    monkeypatch.setattr(LocalStore, "free_bytes", lambda store: None)
    check_room(run.arranged)  # a store that does not say


def test_a_changed_file_is_damage(tmp_path):
    table = small_table(300)
    run = staged(tmp_path, table)
    arrange_all(run)
    (record,) = run.receipts.find(ARRANGE, 2).files
    run.store.path(record).write_bytes(b"x" * record.n_bytes)
    with pytest.raises(DamagedError):
        run.arranged.read(run.plan.chunks[2], COLUMNS, time="t")
    none = replace(run.plan.chunks[2], n_rows=0)
    assert run.arranged.read(none, COLUMNS, time="t").schema.names == ["row_number", *COLUMNS]
