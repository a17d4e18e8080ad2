"""Whether rows fit a table that is there: what would be refused later is refused before anything is sent."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud.bigquery import SchemaField, Table, TimePartitioning

from emberharmony.errors import DataError
from emberharmony.io.bigquery.identifiers import TableName
from emberharmony.io.sinks.bigquery.tables import OutputTable, Part
from emberharmony.io.sinks.bigquery.target import check_fit, granularity_of
from emberharmony.io.store.local import LocalStore

NAME = TableName("my-project", "air", "features")
COLUMNS = [("n", "INTEGER"), ("X", "FLOAT64"), ("split", "STRING"), ("run_id", "STRING")]


@pytest.fixture
def table(tmp_path):
    pq.write_table(pa.table({"n": [1, 2], "x": [0.5, 1.5]}), tmp_path / "part.parquet")
    return OutputTable("features", (Part(LocalStore(tmp_path), "part.parquet", "train"),), {"train": 2}, run_id="r1")


def there(columns=tuple(COLUMNS), *, rows=0, partitioned=None):
    made = Table(str(NAME), schema=[SchemaField(name, kind) for name, kind in columns])
    made._properties["numRows"] = str(rows)
    if partitioned:
        made.time_partitioning = TimePartitioning(type_=partitioned, field="t")
    return made


@pytest.mark.parametrize("disposition", ["append", "replace_partitions", "replace", "fail"])
def test_the_same_columns_fit(table, disposition):
    """Names differ in case, and INTEGER is INT64."""
    check_fit(NAME, there(), table, disposition, None)


def test_a_table_of_an_earlier_version_gets_the_new_columns(table):
    check_fit(NAME, there(COLUMNS[:2]), table, "append", None)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([*COLUMNS, ("more", "INT64")], "differ in the columns more"),
        (COLUMNS[1:], "differ in the columns n"),
        ([("n", "STRING"), *COLUMNS[1:]], "n is STRING there and INT64 here"),
    ],
)
def test_other_columns_are_refused_unless_they_are_replaced(table, columns, said):
    for disposition in ("append", "replace_partitions"):
        with pytest.raises(DataError, match=said):
            check_fit(NAME, there(columns), table, disposition, None)
    check_fit(NAME, there(columns), table, "replace", None)


def test_rows_are_refused_where_none_may_be(table):
    with pytest.raises(DataError, match="has 1,234 rows"):
        check_fit(NAME, there(rows=1234), table, "fail", None)
    check_fit(NAME, there(rows=1234), table, "append", None)


@pytest.mark.parametrize(("has", "wanted"), [("DAY", None), (None, "DAY"), ("DAY", "HOUR")])
def test_other_partitions_are_refused(table, has, wanted):
    assert granularity_of(there(partitioned=has)) == has
    said = f"is partitioned by {(has or 'nothing').lower()}, this run by {(wanted or 'nothing').lower()}"
    with pytest.raises(DataError, match=said):
        check_fit(NAME, there(partitioned=has), dataclasses.replace(table, time="t"), "replace", wanted)
