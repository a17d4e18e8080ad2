"""Ranges of keys in SQL: the conditions and buckets are those of Python's own times and integers."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import PlanError
from emberharmony.io.sources.bigquery.keys import Key
from emberharmony.planning.chunks import LAST_TICK

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - compared with literals of every kind
MICROSECOND, SECOND = dt.timedelta(microseconds=1), dt.timedelta(seconds=1)
FIRST, LAST = -62_135_596_800 * 10**6, 253_402_300_800 * 10**6  # 0001-01-01 and 10000-01-01 in microseconds


def bounds(condition):
    """The two literals of a condition, as Python's times."""
    return [dt.datetime.fromisoformat(text).replace(tzinfo=None) for text in re.findall(r"'([^']+)'", condition)]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "DATETIME"])
@given(start=st.integers(FIRST + 1, LAST - 2), width=st.integers(1, 10**12))
def test_a_range_of_times(kind, start, width):
    stop = min(start + width, LAST - 1)
    condition = Key("t", kind).between(start, stop)
    assert re.fullmatch(rf"`t` >= {kind} '[^']+' AND `t` < {kind} '[^']+'", condition)
    assert bounds(condition) == [EPOCH + start * MICROSECOND, EPOCH + stop * MICROSECOND]


@given(start=st.integers(FIRST // 10**6 + 1, LAST // 10**6 - 10**8), width=st.integers(1, 10**7))
def test_a_range_of_days_holds_the_days_that_begin_in_it(start, width):
    low, high = bounds(Key("day", "DATE").between(start, start + width))
    assert low - dt.timedelta(days=1) < EPOCH + start * SECOND <= low
    assert high - dt.timedelta(days=1) < EPOCH + (start + width) * SECOND <= high


@pytest.mark.parametrize("kind", ["INT64", "INTEGER"])
def test_a_range_of_numbers(kind):
    assert Key("a b", kind).between(-5, 10) == "`a b` >= -5 AND `a b` < 10"
    assert Key("id", kind).between(3, LAST_TICK) == "`id` >= 3"  # the last number of all belongs to it, too


def test_ranges_beyond_the_calendar():
    """No literal can name these times."""
    key = Key("t", "TIMESTAMP")
    assert key.between(LAST, LAST_TICK) == key.between(-LAST_TICK, FIRST) == "FALSE"
    assert key.between(-LAST_TICK, LAST_TICK) == "`t` IS NOT NULL"
    assert key.between(-LAST_TICK, 0) == "`t` < TIMESTAMP '1970-01-01 00:00:00.000000+00:00'"


def value_of(sql, **values):
    """What an expression of buckets returns for whole numbers, in 64 bits."""
    names = {name: re.sub(r"\W", "", name) for name in re.findall(r"@\w+", sql)}
    for name, plain in names.items():
        sql = sql.replace(name, plain)
    sql = re.sub(r"\bIF\((`x` < \w+), 0, 1\)", r"(0 if \1 else 1)", sql).replace("`x`", "x")
    checked = values | {"DIV": lambda a, b: in_64_bits(a) // b, "LEAST": min, "GREATEST": max}
    return eval(sql, {}, checked)


def in_64_bits(number):
    assert -(2**63) <= number < 2**63
    return number


@given(start=st.integers(-(2**62), 2**61), width=st.integers(1, 2**40), n=st.integers(1, 4096), data=st.data())
def test_buckets_of_numbers(start, width, n, data):
    sql, parameters = Key("x", "INT64").bucket_sql(start, width, n)
    x = data.draw(st.integers(start, start + width * n - 1))
    assert value_of(sql, x=x, **parameters) == (x - start) // width


@given(x=st.integers(-(2**63), 2**63 - 1))
def test_buckets_of_all_64_bits_do_not_overflow(x):
    start, width = -(2**63), 2**54
    sql, parameters = Key("x", "INT64").bucket_sql(start, width, 1024)
    assert value_of(sql, x=x, **parameters) == (x - start) // width


@pytest.mark.parametrize(("kind", "ticks", "resolution"), [("DATE", 86_400, 86_400), ("TIMESTAMP", 1, 1), ("INT64", 1, 1)])
def test_ticks(kind, ticks, resolution):
    key = Key("x", kind)
    assert key.resolution == resolution
    assert (str(ticks) in key.ticks_sql) == (kind == "DATE")


def test_types_without_ranges_are_refused():
    with pytest.raises(PlanError, match="'x' is of type STRING"):
        Key("x", "STRING")
