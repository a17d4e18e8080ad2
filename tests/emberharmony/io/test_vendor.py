"""Sources and sinks import the modules of their vendor when they are opened, not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from emberharmony.io.{room}s.registry import {names}, open_{room}
before = {{name for name in sys.modules if name.startswith("emberharmony.io.{room}s.")}}
opened = open_{room}({names}[{vendor!r}].spec({settings}))
new = {{name for name in sys.modules if name.startswith("emberharmony.io.{room}s.")}} - before
print(type(opened).__name__, "emberharmony.io.{room}s.{vendor}.{module}" in new, any("{other}" in name for name in new))
"""


@pytest.mark.parametrize(
    ("room", "vendor", "settings", "opened"),
    [
        ("source", "parquet", "'t.parquet'", "ParquetSource"),
        ("source", "bigquery", "table='a.b'", "BigQuerySource"),
        ("sink", "parquet", "'out'", "ParquetSink"),
        ("sink", "bigquery", "dataset='a', path='out'", "BigQuerySink"),
    ],
)
def test_a_vendor_is_imported_when_it_is_opened(room, vendor, settings, opened):
    code = CODE.format(
        room=room,
        names=f"{room.upper()}S",
        vendor=vendor,
        settings=settings,
        module={"source": "source", "sink": "publish"}[room],
        other={"parquet": "bigquery", "bigquery": ".parquet.publish"}[vendor],
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{opened} True False\n"
