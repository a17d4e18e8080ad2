"""Recent files: the newest small ones, within bounds, in this process alone."""

import pickle
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from emberharmony.io.store.recent import RecentFiles

ADDED = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12)), max_size=30)


@given(ADDED)
def test_the_newest_small_files_are_held(added):
    recent, expected = RecentFiles(most_bytes=20, largest_bytes=10), dict[str, bytes]()
    for key, n_bytes in added:
        recent.add(key, b"x" * n_bytes)
        expected.pop(key, None)
        if n_bytes <= 10:
            expected[key] = b"x" * n_bytes
        while sum(map(len, expected.values())) > 20:
            del expected[next(iter(expected))]
        assert {name: recent.find(name) for name in "abcdef"} == {name: expected.get(name) for name in "abcdef"}


def test_what_is_dropped_takes_no_room():
    recent = RecentFiles(most_bytes=4)
    recent.add("a", b"xyz")
    recent.drop("a")
    recent.drop("none")
    recent.add("b", memoryview(b"12"))
    recent.add("c", b"34")
    assert [recent.find(name) for name in "abc"] == [None, b"12", b"34"]
    recent.clear()
    recent.add("d", b"5678")
    assert [recent.find(name) for name in "bcd"] == [None, None, b"5678"]


def test_a_copy_begins_without_files():
    recent = RecentFiles(most_bytes=4)
    recent.add("a", b"xy")
    for copied in (deepcopy(recent), pickle.loads(pickle.dumps(recent))):
        assert copied.find("a") is None
        copied.add("b", b"12345")
        assert copied.find("b") is None, "with the same bounds"
    assert recent.find("a") == b"xy"
