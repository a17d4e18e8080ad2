"""docs/result.md: its tables name what a result of the flights holds."""

from __future__ import annotations

import re
from dataclasses import fields

import pyarrow.parquet as pq
import pytest

from emberharmony.io.manifest import Manifest
from tests.documents import ROOT

pytestmark = pytest.mark.xdist_group("readme")

PAGE = (ROOT / "docs/result.md").read_text(encoding="utf-8")


def section(title):
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def first_cells(title):
    return [row.split(" | ")[0] for row in section(title).splitlines() if row.startswith("| `")]


def test_the_table_of_the_manifest_has_every_field_once():
    named = [name for cell in first_cells("Manifest") for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(field.name for field in fields(Manifest))


def test_columns_of_windows(newcomer):
    (part, *_) = sorted((newcomer / "data/flights-features/windows/stride=1").rglob("*.parquet"))
    named = [name for cell in first_cells("Windows") for name in re.findall(r"`(\w+)`", cell)]
    assert set(named) <= {*pq.read_schema(part).names}


def test_files_of_a_result(newcomer):
    drawn = PAGE.split("```text\n")[1].split("```")[0]
    paths = [line.split()[0] for line in drawn.splitlines()[1:]]
    sometimes = {".versions/", ".staging/", "report/report.html"}
    assert [name for name in paths if name not in sometimes and not (newcomer / "data/flights-features" / name).exists()] == []
