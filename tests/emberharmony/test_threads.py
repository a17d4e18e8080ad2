"""Work on several threads: every item once, a bounded number of them at a time."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import ModuleType

import numpy as np  # noqa: F401 - which loads a library of BLAS
import pytest
import threadpoolctl

from emberharmony import threads
from emberharmony.threads import (
    Turns,
    each_as_done,
    each_block,
    each_ended_behind,
    in_parallel,
    limit_compute_threads,
    n_partial_sums,
    one_blas_thread,
)


@pytest.mark.parametrize(
    ("n_blocks", "sum_mib", "n_sums"), [(0, 1, 1), (1, 1, 1), (3, 1, 2), (4, 1, 4), (99, 4, 4), (99, 5, 2), (99, 100, 1)]
)
def test_partial_sums_have_room_and_shares_of_one_size(n_blocks, sum_mib, n_sums):
    assert n_partial_sums(n_blocks, sum_mib * 2**20) == n_sums


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_items", [0, 1, 4, 30])
def test_every_item_is_done_once(n_threads, n_items):
    done = []

    def work(item):
        done.append(item)
        return -item

    assert sorted(each_as_done(work, iter(range(n_items)), n_threads=n_threads)) == sorted(-item for item in range(n_items))
    assert sorted(done) == list(range(n_items))


@pytest.mark.parametrize("n_threads", [2, 3])
def test_few_items_are_taken_ahead(n_threads):
    taken, done = [], []

    def items():
        for item in range(40):
            taken.append(item)
            assert len(taken) - len(done) <= 2 * n_threads
            yield item

    done.extend(each_as_done(str, items(), n_threads=n_threads))
    assert len(done) == 40


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_is_raised_and_the_rest_dropped(n_threads):
    begun = []

    def work(item):
        begun.append(item)
        if item == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(each_as_done(work, range(100), n_threads=n_threads))
    assert len(begun) < 100


def test_a_fast_item_does_not_wait_for_a_slow_one():
    release = threading.Event()

    def work(item):
        if item == 0:
            assert release.wait(120)
        return item

    items = each_as_done(work, range(2), n_threads=2)
    assert next(items) == 1
    release.set()
    assert list(items) == [0]


def test_who_stops_reading_stops_the_work():
    begun = []
    items = each_as_done(begun.append, range(1_000), n_threads=2)
    next(items)
    items.close()
    assert len(begun) < 1_000


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_items", [0, 1, 4, 30])
def test_every_item_is_ended_once_by_another_thread(n_threads, n_items):
    working, ending = set[int](), set[int]()

    def work(item):
        working.add(threading.get_ident())
        return lambda: ending.add(threading.get_ident()) or -item

    done = each_ended_behind(work, iter(range(n_items)), n_threads=n_threads)
    assert sorted(done) == sorted(-item for item in range(n_items))
    assert bool(ending) == bool(n_items)
    assert not working & ending


def test_the_next_items_are_worked_on_while_one_is_ended():
    others = threading.Event()

    def work(item):
        if item == 1:
            others.set()
        return lambda: others.wait(120) and item

    assert list(each_ended_behind(work, range(3), n_threads=1)) == [0, 1, 2]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_few_items_wait_to_be_ended(n_threads):
    """Their files are in the system's memory until then."""
    begun, ended = [], []

    def end(item):
        threading.Event().wait(0.001)
        ended.append(item)

    def work(item):
        begun.append(item)
        assert len(begun) - len(ended) <= 4 * n_threads
        return lambda: end(item)

    assert len(list(each_ended_behind(work, range(60), n_threads=n_threads))) == 60


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("while_ended", [False, True])
def test_an_error_is_raised_when_all_that_was_worked_on_is_ended(n_threads, while_ended):
    worked, ended = [], []

    def work(item):
        if item == 5 and not while_ended:
            raise ZeroDivisionError
        worked.append(item)
        return lambda: end(item)

    def end(item):
        ended.append(item)
        if item == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(each_ended_behind(work, range(100), n_threads=n_threads))
    assert len(worked) < 100
    assert sorted(worked) == sorted(ended)


def test_so_many_compute_at_a_time_and_others_wait():
    """While two compute, the others are beside them, reading or writing: none waits for a turn to do that."""
    turns, lock, together = Turns(2), threading.Lock(), threading.Barrier(5, timeout=120)
    now, most = set[int](), set[int]()

    def compute(item):
        with lock:
            now.add(item)
            most.add(len(now))
        threading.Event().wait(0.002)
        with lock:
            now.remove(item)
        return -item

    def work(item):
        together.wait()  # all five are there, or none goes on
        return turns.taking(compute)(item)

    assert sorted(each_as_done(work, range(10), n_threads=5)) == list(range(-9, 1))
    assert max(most) == 2


def test_a_turn_is_given_back_after_an_error():
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError):
        turns.taking(lambda: 1 // 0)()
    assert turns.taking(lambda x, *, y: x + y)(1, y=2) == 3


@pytest.mark.parametrize("n_threads", [0, 1, 2, 7])
@pytest.mark.parametrize("most", [0, 1, 50])
def test_results_in_parallel_are_those_of_map(n_threads, most):
    found = in_parallel(lambda x: x * x, range(20), n_threads, size=lambda x: x, most=most)
    assert list(found) == [x * x for x in range(20)]
    assert list(in_parallel(abs, [], n_threads)) == []


def test_no_more_than_asked_for_is_ahead():
    """Results that nobody has taken are held in memory."""
    begun = []
    results = in_parallel(lambda x: begun.append(x) or x, range(100), 3)
    assert next(results) == 0
    assert len(begun) <= 3
    results.close()
    assert len(begun) <= 3


@pytest.mark.parametrize(("most", "ahead"), [(10, 1), (25, 2), (39, 3), (1000, 5)])
def test_no_more_bytes_than_asked_for_are_ahead(most, ahead):
    """One result may be larger, or nothing would go on."""
    begun = []
    for taken, _ in enumerate(in_parallel(begun.append, range(30), 5, size=lambda _: 10, most=most)):
        assert len(begun) - taken <= ahead
    assert sorted(begun) == list(range(30))


def test_several_run_in_parallel():
    together = threading.Barrier(3, timeout=120)
    assert len(list(in_parallel(lambda _: together.wait(), range(6), 3))) == 6


@pytest.mark.parametrize("n_threads", [1, 3])
def test_what_runs_in_parallel_has_the_context_of_its_caller(n_threads):
    run = ContextVar("run")
    run.set("nightly")
    assert list(in_parallel(lambda _: run.get("none"), range(5), n_threads)) == ["nightly"] * 5


def test_the_first_error_ends_what_runs_in_parallel():
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(lambda x: 1 // (5 - x), range(100), 4))


def blas_threads():
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}


def test_any_thread_may_limit_the_threads_of_computations():
    """Those of OpenBLAS too, which threadpoolctl leaves to the thread that set them first."""

    def limited():
        with limit_compute_threads(2):
            return blas_threads()

    with threadpoolctl.threadpool_limits(3, user_api="blas"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(limited).result() == {2}
        assert blas_threads() == {3}


def test_blas_has_one_thread_within_the_block():
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        assert blas_threads() == {3}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {3}


def test_libraries_are_looked_for_again_after_an_import(monkeypatch):
    """Looking takes milliseconds, a tenth of a small job if it was done for every PCA."""
    found = threads._controller()
    assert threads._controller() is found
    monkeypatch.setitem(sys.modules, "imported_since_then", ModuleType("imported_since_then"))
    assert threads._controller() is not found


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_blas_has_one_thread_until_the_last_of_overlapping_computations_has_ended(n_blocks):
    begun, ended = threading.Barrier(n_blocks + 1), threading.Event()
    during = []

    def long_work(_):
        begun.wait(60)
        assert ended.wait(60)
        during.append(blas_threads())

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        long = threading.Thread(target=each_block, args=(long_work, range(n_blocks)), kwargs={"n_threads": max(n_blocks, 2)})
        long.start()
        begun.wait(60)
        each_block(lambda _: during.append(blas_threads()), [0], n_threads=2)
        ended.set()
        long.join()
        assert during == [{1}] * (n_blocks + 1)
        assert blas_threads() == {2}
