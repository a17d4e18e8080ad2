"""Clauses that partition a copy: BigQuery's SQL, no more partitions than it allows, each value in one of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.io.sources.base import KEY_BITS
from emberharmony.io.sources.bigquery.keys import Key
from emberharmony.io.sources.bigquery.partition_clauses import PARTITION_BYTES, by_hash, by_values, n_partitions

PARTS = st.integers(1, 11).map(lambda bits: 2**bits)
MOST = 4_000
UNITS = ("YEAR", "MONTH", "DAY", "HOUR")


def parsed(clause):
    sql = f"CREATE TABLE a.b\n{clause}\nAS SELECT 1 AS x"
    sqlglot.parse_one(sql, dialect="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
    return clause


def bounds(clause):
    found = re.fullmatch(r"PARTITION BY RANGE_BUCKET\(`k`, GENERATE_ARRAY\((-?\d+), (-?\d+), (\d+)\)\)", parsed(clause))
    return tuple(map(int, found.groups()))


@given(st.integers(0, 2**55))
def test_partitions_are_neither_small_nor_many(n_bytes):
    n = n_partitions(n_bytes)
    assert 1 <= n <= MOST
    assert n == 1 or n * PARTITION_BYTES <= n_bytes
    assert 2 * n * PARTITION_BYTES > n_bytes or n == 2048


@given(PARTS)
def test_a_hash_is_divided_evenly(n):
    start, stop, width = bounds(by_hash("k", n))
    assert (start, stop) == (0, 2**KEY_BITS)
    assert width * n == stop


@given(PARTS, st.tuples(*[st.integers(-(2**63), 2**63 - 2)] * 2).map(sorted))
def test_every_whole_number_is_in_a_partition(n, span):
    clause = by_values(Key("k", "INT64"), *span, n)
    if not clause:  # the end of the last partition is no 64-bit number
        assert span[1] > 2**63 - 2 - 2 * n
        return
    start, stop, width = bounds(clause)
    assert start <= span[0]
    assert span[1] < stop < 2**63
    assert -(-(stop - start) // width) <= n


@given(PARTS, st.sampled_from(["TIMESTAMP", "DATETIME", "DATE"]), st.data())
def test_times_are_divided_by_a_unit_that_makes_enough_partitions_but_not_too_many(n, kind, data):
    unit_of_tick, day = ("s", 86_400) if kind == "DATE" else ("us", 86_400_000_000)
    first = data.draw(st.integers(-719_162, 2_900_000)) * day
    last = first + data.draw(st.one_of(st.integers(0, 40), st.integers(0, 40_000), st.integers(0, 3_652_000))) * day
    moments = np.array([first, last], f"M8[{unit_of_tick}]")

    def count(unit):
        start, stop = moments.astype(f"M8[{unit[0] if unit != 'MONTH' else 'M'}]".replace("H", "h")).astype(np.int64)
        return stop - start + 1

    clause = by_values(Key("k", kind), first, last, n)
    units = [unit for unit in UNITS if (kind, unit) != ("DATE", "HOUR")]
    if not clause:
        assert count("YEAR") > 2_000
        return
    parsed(clause)
    unit = "DAY" if clause == "PARTITION BY `k`" else re.fullmatch(rf"PARTITION BY {kind}_TRUNC\(`k`, (\w+)\)", clause)[1]
    assert count(unit) <= MOST
    finer, coarser = units[units.index(unit) + 1 :][:1], units[: units.index(unit)][-1:]
    assert all(count(one) < n for one in coarser), "no coarser unit would have done"
    assert count(unit) >= 0.85 * n - 2 or all(count(one) > 1_500 for one in finer), "a finer one would make too many"


@pytest.mark.parametrize(("kind", "clause"), [("DATE", "`k`"), ("TIMESTAMP", "TIMESTAMP_TRUNC(`k`, DAY)")])
def test_days(kind, clause):
    day = 86_400 if kind == "DATE" else 86_400_000_000
    assert by_values(Key("k", kind), 0, 500 * day, 256) == f"PARTITION BY {clause}"
