"""Errors keep their type, message and fields on the way to another process."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import pytest

from emberharmony import errors
from emberharmony.errors import DamagedError, EmberharmonyError, ForeignError, TransientError, from_json, in_context, to_json

CLASSES = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, EmberharmonyError)
]  # every one that the library raises


def through_json(error: EmberharmonyError) -> EmberharmonyError:
    return from_json(json.loads(json.dumps(to_json(error))))


def through_pickle(error: EmberharmonyError) -> EmberharmonyError:
    copy: EmberharmonyError = pickle.loads(pickle.dumps(error))
    return copy


WAYS = pytest.mark.parametrize("way", [through_json, through_pickle], ids=["JSON", "pickle"])


@WAYS
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_arrives_as_it_left(cls: type[EmberharmonyError], way: Callable[[EmberharmonyError], EmberharmonyError]):
    sent = cls("Column 'größe' is empty.\nName another one.")
    arrived = way(sent)
    assert type(arrived) is cls
    assert str(arrived) == str(sent)
    assert arrived.retryable is sent.retryable is issubclass(cls, TransientError | ForeignError)
    assert vars(arrived) == vars(sent)


@WAYS
def test_fields_arrive_as_well(way):
    arrived = way(DamagedError("features/part-0 was changed.", "features/part-0-ab12.parquet"))
    assert arrived.file == "features/part-0-ab12.parquet"
    assert str(arrived) == "features/part-0 was changed."


def test_a_class_that_this_process_does_not_know_becomes_the_nearest_one():
    data = to_json(TransientError("gone")) | {"types": ["OutageOfTomorrowError", "TransientError", "EmberharmonyError"]}
    assert type(from_json(data)) is TransientError


def test_an_error_of_another_library_keeps_its_name_and_may_be_retried():
    arrived = from_json(to_json(KeyError("x")))
    assert type(arrived) is ForeignError
    assert str(arrived) == "KeyError: 'x'"
    assert arrived.retryable


def test_context_changes_the_message_alone():
    told = in_context(DamagedError("part-0 was changed.", "part-0"), "project failed in shard/cpu")
    assert (type(told), str(told), told.file) == (DamagedError, "project failed in shard/cpu: part-0 was changed.", "part-0")
