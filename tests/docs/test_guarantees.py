"""docs/guarantees.md: each guarantee names tests that exist."""

from __future__ import annotations

import re

from tests.documents import ROOT

PAGE = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| **")]


def test_every_guarantee_names_tests_that_exist():
    assert len(ROWS) > 9
    for row in ROWS:
        names = re.findall(r"`(tests/[\w/]+\.py)`", row.split(" | ")[1])
        assert names, row
        assert [name for name in names if not (ROOT / name).exists()] == []
