"""Settings of a BigQuery source: contradictions are refused with the job."""

from __future__ import annotations

import datetime as dt

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "either a `table`"),
        ({"table": "a-b.c.d", "query": "SELECT 1"}, "either a `table`"),
        ({"table": "a-b.c.d; DROP"}, "DROP"),
        ({"query": "  "}, "`query` is empty"),
        ({"table": "c.d", "parameters": {"a": 1}}, "`parameters` are those of `query`"),
        ({"table": "c.d", "snapshot_time": dt.datetime(2026, 1, 31)}, "has no time zone"),  # noqa: DTZ001
        ({"query": "SELECT 1", "snapshot_time": dt.datetime(2026, 1, 31, tzinfo=dt.UTC)}, "FOR SYSTEM_TIME AS OF"),
        ({"table": "c.d", "temporary_hours": 0.01}, "between 0.1 and 720"),
        ({"table": "c.d", "usd_per_tib": -1.0}, "0 or more"),
        ({"table": "c.d", "usd_per_tib": float("nan")}, "0 or more"),
        ({"table": "c.d", "columns": ("a", "a")}, "twice"),
        ({"table": "c.d", "order_by": ("a", "a")}, "twice"),
        ({"table": "c.d", "key": "a`b"}, "not a BigQuery column name"),
        ({"table": "c.d", "temporary_dataset": "a.b.c"}, "a.b"),
    ],
)
def test_contradictions(settings, said):
    with pytest.raises((ValueError, PlanError), match=said):
        BigQuerySourceSpec(**settings)


@pytest.mark.parametrize(
    ("settings", "name", "order", "has_order"),
    [
        ({"table": "my-project.raw.flights"}, "my-project.raw.flights", "none: by a hash", False),
        ({"table": "raw.flights", "key": "id"}, "raw.flights", "by id", True),
        ({"query": "SELECT 1 AS x", "parameters": {"a": 1}}, "a query", "none: by a hash", False),
    ],
)
def test_name_and_order(settings, name, order, has_order):
    spec = BigQuerySourceSpec(**settings)
    assert (str(spec), spec.has_order, spec.profiles_by_query) == (name, has_order, False)
    assert spec.order_text.startswith(order)


def test_the_price_of_a_query():
    spec = BigQuerySourceSpec(table="raw.flights", usd_per_tib=5.0)
    assert spec.query_usd(3 * 2**39) == 7.5
    assert BigQuerySourceSpec(table="raw.flights").query_usd(2**40) == 6.25, "the list price"
    assert BigQuerySourceSpec(table="raw.flights", usd_per_tib=None).query_usd(2**40) is None
