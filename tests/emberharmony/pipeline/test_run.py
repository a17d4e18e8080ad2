"""A staged run is opened by its reference: once in each process, on the backend that its worker selects."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.backend import get_backend
from emberharmony.errors import DataError, TransientError
from emberharmony.pipeline.run import Run, RunRef, forget_runs, open_run, opened_run, turns_of
from tests.jobs import small_table


def test_a_process_opens_a_run_once(stopped):
    run = open_run(stopped)
    assert open_run(stopped) is run
    assert open_run(dataclasses.replace(stopped, backend="numpy")) is run
    assert open_run(dataclasses.replace(stopped, token="of a later run")) is not run
    forget_runs()
    assert open_run(stopped) is not run


def test_the_rows_of_a_chunk_are_those_of_the_table(run):
    def read(source, chunk, columns, time, texts):
        return source.read(chunk, columns, time=time)

    table = small_table(300, order="sorted")
    for chunk in run.plan.chunks:
        rows = run.read(
            chunk, ["walk", "t"], lambda source, chunk, columns, time, texts: source.read(chunk, columns, time=time)
        )
        assert rows.column_names == ["row_number", "walk", "t"]
        expected = table.select(["walk", "t"]).take(rows["row_number"])
        assert rows.drop_columns(["row_number"]).equals(expected.cast(rows.drop_columns(["row_number"]).schema))
        assert (np.diff(rows["t"].cast(pa.int64()).to_numpy()) > 0).all()


def test_a_table_that_has_changed_is_refused(own_run, tmp_path):
    table = pq.read_table(tmp_path / "table.parquet")
    pq.write_table(table.slice(1), tmp_path / "table.parquet")
    with pytest.raises(DataError, match=r"table\.parquet was changed after the job was planned; nothing was published"):
        own_run.source.read(own_run.plan.chunks[0], ["walk"], time=None)


def test_workers_read_no_footer_and_list_no_folder(run, monkeypatch):
    """What they need of the files travels with the plan."""
    for function in ("list_files", "open_footers"):
        monkeypatch.setattr(f"emberharmony.io.sources.parquet.table.{function}", lambda *_: pytest.fail("looked again"))
    assert run.source.read(run.plan.chunks[0], ["walk"], time="t").num_rows == run.plan.chunks[0].n_rows


def test_published_columns_are_carried(run):
    assert set(run.published_columns) == {"t", "y"}


@pytest.mark.parametrize(("workers", "most", "expected"), [(None, 4, 4), (2, 4, 2), (8, 4, 4)])
def test_workers_of_a_process(workers, most, expected):
    assert RunRef("x", workers=workers).workers_of(most) == expected


@pytest.mark.parametrize(
    ("ahead", "memory_for", "workers", "expected"),
    [(0, 50, 2, 2), (2, 50, 2, 6), (2, 5, 2, 3), (2, 3, 2, 2), (2, None, 2, 2), (1, 50, 3, 6)],
)
def test_chunks_in_flight_of_a_process(ahead, memory_for, workers, expected):
    """As many more as half of the memory that is left has room for; so many are computed at a time."""
    ref, in_flight = RunRef("x", ahead=ahead, workers=memory_for).in_flight(workers)
    assert in_flight == expected
    assert ref.turns == (workers if in_flight > workers else None)


@pytest.mark.parametrize(
    ("memory_for", "workers", "expected"), [(50, 2, 6), (5, 2, 2), (6, 2, 4), (8, 3, 3), (9, 3, 6), (50, 1, 3), (None, 2, 2)]
)
def test_chunks_in_flight_of_worker_processes(memory_for, workers, expected):
    """Each has as many as any other, within the memory of all, and computes one at a time."""
    ref, in_flight = RunRef("x", ahead=2, workers=memory_for).in_flight(workers, n_processes=workers)
    assert in_flight == expected
    assert ref.turns == (1 if in_flight > workers else None)


def test_a_process_opens_a_run_once_for_all_of_its_threads(stopped, monkeypatch):
    opened, begin = [], threading.Barrier(4)

    def slowly(staging):
        opened.append(staging)
        time.sleep(0.05)
        return Run(*[None] * 5)

    monkeypatch.setattr(Run, "opened", slowly)
    forget_runs()

    def open_together() -> Run:
        begin.wait(60)
        return open_run(stopped)

    with ThreadPoolExecutor(4) as pool:
        runs = [each.result() for each in [pool.submit(open_together) for _ in range(4)]]
    forget_runs()
    assert len(opened) == 1
    assert all(run is runs[0] for run in runs)


def test_all_chunks_of_a_run_share_the_turns_of_a_process():
    assert turns_of("a", 2) is turns_of("a", 2)
    assert turns_of("a", 2) is not turns_of("b", 2)


def test_the_backend_is_that_of_the_reference(stopped):
    before = get_backend()
    with opened_run(dataclasses.replace(stopped, backend="torch")) as (_, place):
        assert (place, get_backend()) == ("torch:cpu", "torch")
    assert get_backend() == before


def test_used_up_memory_passes(stopped):
    said = r"Memory is used up, where numpy:cpu .*Unable to allocate 8 EiB\. And more\. Fewer chunks"
    with pytest.raises(TransientError, match=said), opened_run(stopped):
        raise MemoryError("Unable to allocate 8 EiB. And more. And yet more")
