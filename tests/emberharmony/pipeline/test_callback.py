"""Callbacks of a context, and the results that are recorded in it; several callbacks as one."""

from __future__ import annotations

from emberharmony.pipeline.callback import Callback, Callbacks, current_callback, record_result, using_callback

METHODS = ("planned", "stage_started", "item_done", "stage_ended")


class Told(Callback):
    """Remembers what it was told."""

    def __init__(self):
        self.events = []
        for method in METHODS:
            setattr(self, method, lambda event, method=method: self.events.append((method, event)))


def test_several_callbacks_hear_of_every_event_in_order():
    first, second = Told(), Told()
    both = Callbacks((first, Callback(), second))
    for number, method in enumerate(METHODS):
        getattr(both, method)(number)
    assert first.events == second.events == [(method, number) for number, method in enumerate(METHODS)]
    assert set(METHODS) == {name for name in vars(Callback) if not name.startswith("_")}, "none is forgotten"


def test_a_callback_lasts_as_long_as_its_block():
    first, second = Callback(), Callback()
    assert type(current_callback()) is Callback
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
    with using_callback(Callback()) as results:
        pass
    assert results == []
