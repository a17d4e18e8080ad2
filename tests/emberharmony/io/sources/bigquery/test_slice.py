"""The SQL condition for the rows of a slice, and the settings that name one."""

from __future__ import annotations

import datetime as dt

import pytest
from google.cloud.bigquery import SchemaField

from emberharmony.errors import PlanError
from emberharmony.io.bigquery.schema import flat_fields
from emberharmony.io.sources.bigquery.slice import filled, slice_condition
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.time_rows import TimeRows
from emberharmony.slices import SlicesSpec, SliceTimes

SPEC = SlicesSpec(time_zone="America/New_York")
NIGHT = SPEC.named("2026-11-28")
COLUMNS = flat_fields(
    [
        SchemaField("moment", "TIMESTAMP"),
        SchemaField("clock", "DATETIME"),
        SchemaField("day", "DATE"),
        SchemaField("inner", "RECORD", fields=[SchemaField("t", "TIMESTAMP")]),
        SchemaField("x", "FLOAT64"),
    ]
)


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        ("moment", "`moment` >= TIMESTAMP '2026-11-28 05:00:00.000000+00:00' AND `moment` < TIMESTAMP '2026-11-29 05:"),
        ("clock", "`clock` >= DATETIME '2026-11-28 00:00:00.000000' AND `clock` < DATETIME '2026-11-29 00:00:00.000000'"),
        ("day", "`day` >= DATE '2026-11-28' AND `day` < DATE '2026-11-29'"),
        ("inner_t", "`inner`.`t` >= TIMESTAMP '2026-11-28 05:00:00.000000+00:00' AND `inner`.`t` < TIMESTAMP '2026-11-29"),
    ],
)
def test_the_bare_column_is_compared(column, condition):
    assert slice_condition(TimeRows(column, NIGHT.start, NIGHT.stop), COLUMNS, "t").startswith(condition)


def test_a_slice_that_begins_inside_a_day_begins_with_the_next_date():
    rows = TimeRows("day", NIGHT.start + dt.timedelta(hours=1), NIGHT.stop + dt.timedelta(hours=1))
    assert slice_condition(rows, COLUMNS, "t") == "`day` >= DATE '2026-11-29' AND `day` < DATE '2026-11-30'"


@pytest.mark.parametrize(("column", "said"), [("x", "of type FLOAT64"), ("z", "'z', which t does not have")])
def test_columns_without_times_are_refused(column, said):
    with pytest.raises(PlanError, match=said):
        slice_condition(TimeRows(column, NIGHT.start, NIGHT.stop), COLUMNS, "t")


def test_settings_name_the_slice():
    spec = BigQuerySourceSpec(table="raw.events_{slice:%Y%m%d}", where="day < '{slice_end}'")
    found = spec.of_slice(SliceTimes(SPEC, NIGHT, NIGHT.start), "moment")
    assert (found.table, found.where) == ("raw.events_20261128", "day < '2026-11-29'")
    assert found.rows == TimeRows("moment", NIGHT.start, NIGHT.stop)
    assert spec.of_slice(SliceTimes(SPEC, NIGHT, NIGHT.start), None).rows is None
    with pytest.raises(PlanError, match="not a BigQuery table"):
        BigQuerySourceSpec(table="raw.a;{slice}").of_slice(SliceTimes(SPEC, NIGHT, NIGHT.start), None)


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [("a = '{slice}'", True), ("a >= '{slice_from}' AND a <= '{slice}'", False), ("a < '{slice_end}'", False), ("a", False)],
)
def test_a_text_that_leaves_out_earlier_rows_is_refused(text, is_refused):
    times = SliceTimes(SPEC, NIGHT, NIGHT.start - dt.timedelta(hours=2))
    if is_refused:
        with pytest.raises(PlanError, match=r"source.query names \{slice\}"):
            filled(text, "query", times)
    else:
        assert "{" not in filled(text, "query", times)
