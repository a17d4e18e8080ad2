"""Names and values in messages: few, short, and safe to print."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.messages import MAX_VALUE_CHARS, check_distinct, did_you_mean, listed, nearest, printable, shortened, shown


@given(st.text(max_size=400), st.integers(7, 200))
def test_a_shortened_text_keeps_both_ends(text, most):
    short = shortened(text, most)
    assert len(short) <= max(most, 3)
    if len(text) <= most:
        assert short == text
    else:
        head, tail = short.split("...", 1) if "..." not in text else (short[: (most - 3) // 2], short[-((most - 3) // 2) :])
        assert text.startswith(head)
        assert text.endswith(tail)


@given(st.text(), st.sampled_from(["", "\n"]))
def test_printed_texts_move_no_cursor_and_lose_nothing(text, keep):
    safe = printable(text, keep=keep)
    assert all(c.isprintable() or c in keep for c in safe)
    if "\\" not in text:
        assert safe.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("yes", "'yes'"),
        (1.5, "1.5"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        ([1] * 9, "[1, 1, 1, 1, 1, 1, ...]"),
    ],
)
def test_values_as_they_are_written(value, expected):
    assert shown(value) == expected


def test_values_of_any_size_are_short():
    for value in ("x" * 10**6, 10**100_000, ["x" * 1000] * 1000, {i: i for i in range(1000)}):
        assert len(shown(value)) <= MAX_VALUE_CHARS


@pytest.mark.parametrize(("n", "expected"), [(0, ""), (1, "0"), (3, "0, 1, 2"), (5, "0, 1, 2 and 2 more columns")])
def test_lists_say_how_many_are_left_out(n, expected):
    assert listed(map(str, range(n)), most=3, of="columns") == expected


@pytest.mark.parametrize(("name", "found"), [("colour", "color"), ("Size", "size"), ("zzz", None), ("", None)])
def test_the_nearest_name(name, found):
    assert nearest(name, ["color", "size"]) == found


def test_a_suggestion_or_all_names():
    assert did_you_mean("sise", ["color", "size"]) == " Did you mean 'size'?"
    assert did_you_mean("zzz", ["color", "size"]) == " It has: color, size."
    assert did_you_mean("zzz", []) == " It has none."


@pytest.mark.parametrize(
    ("names", "said"), [((), "is empty"), (("a", ""), "an empty column name"), (("a", "b", "a"), "names 'a' twice")]
)
def test_lists_of_names_are_distinct(names, said):
    with pytest.raises(ValueError, match=f"`columns` .*{said}"):
        check_distinct(names, key="columns")
    check_distinct(None, key="columns")
    check_distinct(("a", "b"), key="columns")
