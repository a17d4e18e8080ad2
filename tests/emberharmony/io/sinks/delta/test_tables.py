"""The tables of a run, and how Delta describes their columns."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace

import pyarrow as pa

from emberharmony.io.manifest import Manifest, WindowCounts
from emberharmony.io.sinks.delta.tables import delta_schema, output_tables
from emberharmony.io.store.base import FileRecord


def test_columns_may_hold_null_and_say_what_they_are():
    schema = delta_schema([pa.field("x", pa.float32(), nullable=False), pa.field("y", pa.int64())], {"x": "Scaled"})
    assert [(field.name, field.nullable, field.metadata) for field in schema.fields] == [
        ("x", True, {"comment": "Scaled"}),
        ("y", True, {}),
    ]


def test_features_come_last_and_every_table_has_its_own_files():
    names = [
        "features/split=train/part-00000.parquet",
        "windows/stride=1/split=train/part-00000.parquet",
        "windows/stride=10/split=train/part-00000.parquet",
    ]
    counts = WindowCounts({"train": 1, "test": 0}, 1, (0.9,))
    empty = {field.name: {} for field in fields(Manifest) if field.default is MISSING and field.default_factory is MISSING}
    manifest = Manifest(**empty | {"spec": {"windows": {"size": 3}}, "rows": {"train": 3, "test": 0}})
    files = tuple(FileRecord(name, 1, "a" * 64) for name in names)
    tables = list(output_tables(replace(manifest, strides={"1": counts, "10": counts}, registered=files)))
    assert [table.name for table in tables] == ["windows_stride_1", "windows_stride_10", "features"]
    assert [[file.name for file in table.files] for table in tables] == [[names[1]], [names[2]], [names[0]]]
    assert all(table.splits == ("train", "test") for table in tables)
    assert tables[0].descriptions["pc_1"] == "Score on component 1, which explains 90.00% of the variance"
