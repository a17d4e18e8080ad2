"""The tables of a run take each step at once: neither what they wait for BigQuery adds up, nor what they hold in memory."""

from __future__ import annotations

import dataclasses
import threading
from contextlib import contextmanager

import pytest

from emberharmony.errors import TerminalError
from emberharmony.io.sinks.bigquery import load, publication
from emberharmony.io.sinks.bigquery.publication import Publication
from tests.integration.bigquery_tables import expected, in_bucket, make_run, make_table

pytestmark = pytest.mark.xdist_group("bigquery-sink")

NAMES = ("features", "windows_stride_1", "windows_stride_3")


@pytest.fixture
def tables(by_method, tmp_path):
    made = [make_table(tmp_path / name, name=name, days=2, x=i) for i, name in enumerate(NAMES)]
    return made if by_method.load_files is None else [in_bucket(table, by_method) for table in made]


def publish(spec, tables):
    with spec.connection.open() as clients:
        Publication(spec, clients).publish(tables, make_run(tables[0]))


def test_all_tables_are_at_the_same_step(by_method, tables, published, monkeypatch):
    """A barrier in each step lets none of them pass alone."""
    for step in ("_next_attempt", "_check_target", "_stage", "_publish"):
        real, together = getattr(Publication, step), threading.Barrier(len(tables), timeout=30)

        def waits(self, *arguments, real=real, together=together):
            together.wait()
            return real(self, *arguments)

        monkeypatch.setattr(Publication, step, waits)
    publish(by_method, tables)
    for table in tables:
        assert published.rows(table.name) == expected(table)
    assert published.tables() == sorted([*NAMES, "runs"])


class Crowd:
    """How many are in a block at a time; each stays for a second, unless there is one too many before."""

    def __init__(self, allowed: int):
        self._allowed, self._n, self.most = allowed, 0, 0
        self._changed = threading.Condition()

    @contextmanager
    def joined(self):
        with self._changed:
            self._n += 1
            self.most = max(self.most, self._n)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most > self._allowed, timeout=1)
        yield
        with self._changed:
            self._n -= 1


@pytest.mark.parametrize(
    ("by_method", "module", "function", "allowed"),
    [("upload", load, "write_parquet", 2), ("storage_write", publication, "append_rows", 1)],
    indirect=["by_method"],
)
def test_rows_in_memory_are_those_of_few_tables(by_method, tables, monkeypatch, module, function, allowed):
    crowd, real = Crowd(allowed), getattr(module, function)

    def counted(*arguments, **settings):
        with crowd.joined():
            return real(*arguments, **settings)

    monkeypatch.setattr(module, function, counted)
    publish(by_method, tables)
    assert crowd.most == allowed


@pytest.mark.parametrize("by_method", ["upload"], indirect=True)
def test_a_table_that_is_refused_leaves_the_others_whole_and_none_twice(by_method, tables, published, monkeypatch):
    by_method = dataclasses.replace(by_method, write_disposition="append")
    copy = Publication._copy

    def refused(self, staged, target, job_id):
        if target.table == NAMES[1]:
            raise TerminalError(f"{target} is not for this account.")
        return copy(self, staged, target, job_id)

    monkeypatch.setattr(Publication, "_copy", refused)
    with pytest.raises(TerminalError, match="windows_stride_1 is not for this account"):
        publish(by_method, tables)
    assert [len(published.rows(name)) for name in NAMES] == [200, 0, 200]
    assert "runs" not in published.tables()
    monkeypatch.setattr(Publication, "_copy", copy)
    publish(by_method, tables)
    for table in tables:
        assert published.rows(table.name) == expected(table)
    assert len(published.rows("runs")) == 1
