"""The local engine: every chunk once, retried if a failure passes, as many at a time as there are workers."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from emberharmony.errors import TerminalError, TransientError
from emberharmony.pipeline.events import ItemDone
from emberharmony.pipeline.run import RunRef
from flows.engines import local
from flows.engines.local import LocalEngine

STAGE, LAST = SimpleNamespace(name="featurize", once=False), SimpleNamespace(name="publish", once=True)


@pytest.fixture
def done(monkeypatch):
    """The chunks that were done, and how many at most were computed at the same time."""
    seen = SimpleNamespace(
        chunks=[], most=0, now=0, failures={}, turns=set(), of_commits={}, computing=set(), committing=set()
    )
    lock = threading.Lock()

    def compute_stage(stage, ref, chunk):
        with lock:
            seen.computing.add(threading.get_ident())
            seen.turns.add(ref.turns)
            seen.now += 1
            seen.most = max(seen.most, seen.now)
            errors = seen.failures.get(chunk, [])
            error = errors.pop(0) if errors else None
        threading.Event().wait(0.002)
        with lock:
            seen.now -= 1
            if error:
                raise error
        return lambda: commit(chunk)

    def commit(chunk):
        with lock:
            seen.committing.add(threading.get_ident())
            errors = seen.of_commits.get(chunk, [])
            if errors:
                raise errors.pop(0)
            seen.chunks.append(chunk)
        return ItemDone(chunk)

    monkeypatch.setattr(local, "compute_stage", compute_stage)
    monkeypatch.setattr("emberharmony.pipeline.retry.RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    return seen


@pytest.mark.parametrize(("workers", "of_run", "most"), [(1, None, 1), (4, None, 4), (4, 2, 2)])
def test_every_chunk_is_done_once(done, workers, of_run, most):
    found = [done.item for done in LocalEngine(workers).map(STAGE, RunRef("x", workers=of_run), range(20))]
    assert sorted(found) == sorted(done.chunks) == list(range(20))
    assert done.most <= most
    if most == 1:
        assert found == list(range(20))


def test_no_worker_commits(done):
    """It would wait for the disk."""
    assert len(list(LocalEngine(2).map(STAGE, RunRef("x"), range(20)))) == 20
    assert done.committing
    assert not done.computing & done.committing


def test_a_stage_that_runs_once_has_one_worker(done):
    assert list(LocalEngine(4).map(LAST, RunRef("x"), [0])) == [ItemDone(0)]
    assert done.most == 1


def test_failures_that_pass_are_retried(done):
    done.failures[3] = [TransientError("the share is away")] * 3
    assert {done.item for done in LocalEngine(2).map(STAGE, RunRef("x"), range(5))} == {*range(5)}
    assert done.chunks.count(3) == 1


def test_a_commit_that_fails_for_a_while_is_repeated_alone(done):
    done.of_commits[3] = [TransientError("the share is away")] * 3
    assert {done.item for done in LocalEngine(2).map(STAGE, RunRef("x"), range(5))} == {*range(5)}
    assert sorted(done.chunks) == list(range(5))


def test_a_commit_that_fails_ends_the_stage(done):
    done.of_commits[1] = [TerminalError("the disk is full")]
    with pytest.raises(TerminalError, match="the disk is full"):
        list(LocalEngine(1).map(STAGE, RunRef("x"), range(100)))
    assert len(done.chunks) < 99


@pytest.mark.parametrize("error", [TerminalError("no space"), TransientError("still away")])
def test_other_failures_end_the_stage(done, error):
    done.failures[1] = [error] * 9
    with pytest.raises(type(error), match=str(error)):
        list(LocalEngine(1).map(STAGE, RunRef("x"), range(5)))
    assert done.chunks == [0]


@pytest.mark.parametrize(("memory_for", "most"), [(40, 6), (5, 3), (2, 2)])
def test_chunks_are_in_flight_beside_those_that_are_computed(done, memory_for, most):
    """A bounded number of them is in memory, whatever the number of chunks."""
    ref = RunRef("x", workers=memory_for, ahead=2)
    assert {item.item for item in LocalEngine(2).map(STAGE, ref, range(40))} == {*range(40)}
    assert sorted(done.chunks) == list(range(40))
    assert done.most == most
    assert done.turns == {2 if most > 2 else None}


def test_an_error_ahead_is_that_of_its_chunk(done):
    """It is retried as often, and ends the stage with the same message; what had begun is committed, the rest is dropped."""
    ref = RunRef("x", workers=40, ahead=2)
    done.failures[1] = [TransientError("of chunk 1")] * 3
    done.failures[2] = [TransientError("of chunk 2")] * 4
    with pytest.raises(TransientError, match="of chunk 2"):
        list(LocalEngine(1).map(STAGE, ref, range(100)))
    assert not done.failures[1]
    assert not done.failures[2]
    assert len(done.chunks) < 100
