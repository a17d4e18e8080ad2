"""Reads of BigQuery hold slots of a limit that the server has, and none if it has none or does not answer."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from emberharmony.io.bigquery import read
from tasks import read_limit
from tasks.read_limit import LIMIT, bigquery_read

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture(autouse=True)
def not_asked(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr(read_limit, "_known", read_limit._Known())


class Reads:
    """Counts how many reads hold a slot at the same time."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with bigquery_read():
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.05)  # others that are not kept out come in
            with self._lock:
                self.now -= 1
                self.done += 1


def run_tasks(work, n):
    @task(persist_result=False)
    def one() -> None:
        work()

    @flow(persist_result=False)
    def all_of_them() -> None:
        for future in [one.submit() for _ in range(n)]:
            future.result()

    all_of_them()


@pytest.mark.usefixtures("prefect_server")
def test_reads_of_all_tasks_hold_the_slots_that_there_are():
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1, active=True))
        try:
            work = Reads()
            run_tasks(work, 3)
        finally:
            client.delete_global_concurrency_limit_by_name(LIMIT)
    assert (work.most, work.done) == (1, 3)


@pytest.mark.usefixtures("prefect_server")
def test_without_the_limit_the_server_is_asked_once_and_nothing_waits(monkeypatch, caplog):
    asked, ask = [], read_limit._ask
    monkeypatch.setattr(read_limit, "_ask", lambda: asked.append(1) or ask())
    monkeypatch.setattr("prefect.concurrency.sync.concurrency", lambda *_, **__: pytest.fail("a slot was asked for"))

    def work() -> None:
        for _ in range(5):
            with bigquery_read():
                pass

    run_tasks(work, 1)
    assert asked == [1]
    assert not [record for record in caplog.records if LIMIT in record.message]


def test_outside_of_a_task_run_no_server_is_asked(monkeypatch):
    monkeypatch.setattr(read_limit, "_ask", lambda: pytest.fail("a server was asked"))
    with bigquery_read():
        pass


@contextmanager
def unreleased(*_, **__):
    yield
    raise OSError("gone before the release")


@contextmanager
def unacquired(*_, **__):
    raise OSError("gone before the slot")
    yield


@pytest.mark.parametrize("concurrency", [unreleased, unacquired], ids=["when released", "when acquired"])
def test_a_server_that_goes_away_stops_no_read(monkeypatch, caplog, concurrency):
    monkeypatch.setattr("prefect.concurrency.sync.concurrency", concurrency)
    monkeypatch.setattr("prefect.context.TaskRunContext.get", lambda: "a task run")
    monkeypatch.setattr(read_limit, "_ask", lambda: True)
    with bigquery_read():
        caplog.clear()
    assert "gone before" in caplog.text or concurrency is unacquired
    with pytest.raises(ZeroDivisionError), bigquery_read():
        raise ZeroDivisionError


def test_the_reader_of_sessions_holds_a_slot(monkeypatch):
    held = []

    @contextmanager
    def slot():
        held.append("taken")
        yield
        held.append("back")

    assert read._slots == [bigquery_read], "tasks/__init__.py says so"
    monkeypatch.setattr(read, "_slots", [slot])
    monkeypatch.setattr(read, "retried", lambda open_, **_: held.append("opened"))
    monkeypatch.setattr(read, "_read_session", lambda *_, **__: held.append("read"))
    read.read_rows(type("Clients", (), {"retry": None}), "p.d.t", columns=[])
    assert held == ["opened", "taken", "read", "back"]
