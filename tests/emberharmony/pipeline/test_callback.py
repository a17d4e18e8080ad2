"""Callbacks of a context, and the results that are recorded in it."""

from __future__ import annotations

from emberharmony.pipeline.callback import NullCallback, current_callback, record_result, using_callback


def test_a_callback_lasts_as_long_as_its_block():
    assert isinstance(current_callback(), NullCallback)
    first, second = NullCallback(), NullCallback()
    with using_callback(first):
        assert current_callback() is first
        with using_callback(second) as inner:
            assert current_callback() is second
            record_result("inner")
        assert current_callback() is first
        assert inner == ["inner"]
    assert current_callback() is not first


def test_results_outside_of_a_block_are_dropped():
    record_result("lost")
    with using_callback(NullCallback()) as results:
        pass
    assert results == []
