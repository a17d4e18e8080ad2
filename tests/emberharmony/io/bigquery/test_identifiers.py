"""Nothing reaches a statement but names that BigQuery has and literals that this library wrote."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.identifiers import (
    TableName,
    checked_job_id,
    checked_labels,
    column_names,
    quote,
    timestamp_literal,
)
from emberharmony.io.sources.bigquery.keys import Key


@pytest.mark.parametrize(
    "name",
    ["a-b.c.d; DROP TABLE x; --", "`a-b.c.d`; --", "a-b.c d.e", "A-B.c.d", "a-b.c.", "d", "a-b..d", "a-b.c.d$20260101", ""],
)
def test_names_that_are_none_are_refused(name):
    with pytest.raises(PlanError, match=r"not|without"):
        TableName.parse(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sales", "write project.dataset.table"),
        ("`a-b.c.d`", "without backticks"),
        ("a-b.c.events_*", "give a `query`"),
        ("a-b.c.d$20260101", "set `where`"),
        ("a-b.c.d@-3600000", "set `snapshot_time`"),
        ("a-b:c.d", "legacy SQL"),
        ("PROJECT.c.d", "gcloud projects list"),
        ("p.c.d", "not the id of a Google Cloud project"),
    ],
)
def test_a_refusal_says_what_to_write(name, said):
    with pytest.raises(PlanError, match=said):
        TableName.parse(name, project="a-b")


def test_a_key_in_the_place_of_a_name_is_not_repeated():
    with pytest.raises(PlanError) as caught:
        TableName.parse("-----BEGIN PRIVATE KEY-----\nc2VjcmV0", project="a-b")
    assert "c2VjcmV0" not in str(caught.value)


def test_a_domain_may_stand_before_the_project():
    assert TableName.parse("example.com:proj-1.data.table") == TableName("example.com:proj-1", "data", "table")


@given(st.text(max_size=20))
def test_a_quoted_column_is_one_identifier_or_refused(name):
    try:
        quoted = quote(name)
    except ValueError:
        return
    [tree] = sqlglot.parse(f"SELECT {quoted} FROM t", dialect="bigquery")
    [column] = tree.selects
    assert not list(tree.find_all(exp.Subquery, exp.Anonymous))
    assert list(column.find_all(exp.Identifier))
    [table] = tree.find_all(exp.Table)
    assert table.name == "t"


@given(st.lists(st.text(min_size=1, max_size=8), max_size=8, unique=True))
def test_column_names_are_told_apart_without_case(names):
    made = column_names(names)
    assert len({name.casefold() for name in made}) == len(names)
    assert all(quote(name) == f"`{name}`" for name in made)
    assert column_names(made) == made


@pytest.mark.parametrize("name", ["_TABLE_x", "_file_", "_PARTITIONTIME", "__root__", "_CHANGE_TYPE"])
def test_reserved_names_are_not_used(name):
    [made] = column_names([name])
    assert made == f"c{name}"


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_literals_say_the_microsecond(moment):
    ticks = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    literal = timestamp_literal(ticks, "TIMESTAMP")
    assert dt.datetime.fromisoformat(literal.split("'")[1]) == moment
    assert timestamp_literal(ticks, "DATETIME") == f"DATETIME '{literal.split(chr(39))[1].removesuffix('+00:00')}'"


@pytest.mark.parametrize("kind", ["TIMESTAMP", "DATETIME", "DATE", "INT64"])
@given(start=st.integers(-(2**62), 2**62), width=st.integers(1, 2**61))
def test_every_range_can_be_written(kind, start, width):
    condition = Key("t", kind).between(start, start + width)
    assert sqlglot.parse_one(f"SELECT 1 FROM x WHERE {condition}", dialect="bigquery")


@pytest.mark.parametrize("labels", [{"Team": "x"}, {"team": "X"}, {"": "x"}, {"1a": "x"}, {"a b": "x"}, {"a": "x" * 64}])
def test_labels_that_bigquery_refuses(labels):
    with pytest.raises(ValueError, match="label"):
        checked_labels(labels)


def test_job_ids():
    assert checked_job_id("emberharmony-ab_1") == "emberharmony-ab_1"
    with pytest.raises(ValueError, match="job id"):
        checked_job_id("a b")
