"""Reads at the same time: in order, bounded, and with the first error."""

from __future__ import annotations

import threading

import pytest

from emberharmony.io.sources.parquet.parallel import in_parallel


@pytest.mark.parametrize("n_threads", [0, 1, 2, 7])
def test_the_results_are_those_of_map(n_threads):
    assert list(in_parallel(lambda x: x * x, range(20), n_threads)) == [x * x for x in range(20)]
    assert list(in_parallel(abs, [], n_threads)) == []


def test_no_more_than_asked_for_is_ahead():
    """Results that nobody has taken are held in memory."""
    begun = []
    results = in_parallel(lambda x: begun.append(x) or x, range(100), 3)
    assert next(results) == 0
    assert len(begun) <= 3
    results.close()
    assert len(begun) <= 3


def test_several_run_at_the_same_time():
    together = threading.Barrier(3, timeout=120)
    assert len(list(in_parallel(lambda _: together.wait(), range(6), 3))) == 6


def test_the_first_error_ends_it():
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(lambda x: 1 // (5 - x), range(100), 4))
