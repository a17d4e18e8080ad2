"""Guesses of time, entity and target."""

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.suggest.roles import given, guess_entity, guess_target, guess_time
from emberharmony.suggest.table_sample import TableSample

HOURS = np.datetime64("2024-01-01T00", "us") + np.arange(60) * np.timedelta64(3_600_000_000, "us")


def sampled(n_rows=None, **columns):
    table = pa.table(columns)
    return TableSample(table.schema, table.num_rows if n_rows is None else n_rows, table)


@pytest.mark.parametrize(
    ("columns", "name", "is_sure"),
    [
        ({"x": [1.0] * 60}, None, True),
        ({"x": HOURS}, "x", True),
        ({"a": HOURS[::-1], "b": HOURS}, "b", True),  # one orders the rows
        ({"a": HOURS, "event_time": HOURS}, "event_time", True),
        ({"a": HOURS, "b": HOURS}, "a", False),
        ({"a": pa.array([None, *HOURS[1:]]), "b": HOURS[::-1]}, "b", True),  # one has all values
        ({"time": [HOURS[0]] * 60, "b": HOURS[::-1]}, "b", True),  # one has different values
        ({"split": HOURS}, None, True),  # reserved
    ],
)
def test_time(columns, name, is_sure):
    guess = guess_time(sampled(**columns))
    assert (guess.name, guess.is_sure) == (name, is_sure)
    assert guess.reason


def test_target():
    values = {"a": [1.0, 2.0] * 30, "label": [0, 1] * 30, "id": range(60)}
    named = guess_target(sampled(**values), taken=())
    assert (named.names, named.others, named.is_sure) == (("label",), ("a",), True)
    del values["label"]
    none = guess_target(sampled(**values), taken=())
    assert (none.names, none.others, none.is_sure) == ((), ("a",), False)
    assert guess_target(sampled(target=[1] * 60, stride=[1, 2] * 30), taken=()).others == ()  # constant, and reserved


def test_times_of_their_own_are_one_series():
    guess = guess_entity(sampled(t=HOURS, color=["a", "b"] * 30), "t", taken=())
    assert (guess.names, guess.others) == ((), ("color",))
    assert guess_entity(sampled(t=HOURS, sensor=["a", "b"] * 30), "t", taken=()).names == ("sensor",)


def test_shared_times_need_an_entity():
    times = np.repeat(HOURS[:20], 3)
    one = sampled(t=times, color=["a", "b"] * 30, place=["n", "s", "w"] * 20, distance=[1, 2, 3] * 20)
    guess = guess_entity(one, "t", taken=())
    assert guess.names == ("place",)  # of numbers, only those that are named like identifiers
    assert "3 values in 60 rows" in guess.reason
    assert "100% of the sampled rows share their time" in guess.reason
    none = guess_entity(sampled(t=times, color=["a", "b"] * 30), "t", taken=())
    assert (none.names, none.is_sure) == ((), False)


def test_a_pair_of_columns_can_tell_series_apart():
    times = np.repeat(HOURS[:10], 6)
    guess = guess_entity(sampled(t=times, store=["n", "n", "n", "s", "s", "s"] * 10, item=["a", "b", "c"] * 20), "t", taken=())
    assert sorted(guess.names) == ["item", "store"]
    assert guess_entity(sampled(t=times, item_id=[*range(6)] * 10), "t", taken=()).names == ("item_id",)


def test_what_is_named_has_to_exist():
    assert given(sampled(t=HOURS), ["t"], role="time").is_sure
    with pytest.raises(PlanError, match="--entity names 'tt', which is not in the table"):
        given(sampled(t=HOURS), ["tt"], role="entity")
