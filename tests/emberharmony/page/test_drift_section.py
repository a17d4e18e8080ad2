"""Drift and expectations."""

from __future__ import annotations

from dataclasses import replace

from emberharmony.expectations.checks import Verdict
from emberharmony.page.drift_section import drift_section, gate_section
from tests.emberharmony.page.test_markup import Read
from tests.pages import HOSTILE, facts_by_hand, rows_of

FACTS = facts_by_hand()
DRIFT = {
    "calm": {"null_share": 0.0, "null_share_change": 0.0, "psi": 0.01, "psi_by_chance": 0.1},
    HOSTILE[0]: {"null_share": 0.5, "null_share_change": 0.25, "psi": 0.75, "psi_by_chance": 0.1},
    "when": {"null_share": 0.0, "null_share_change": 0.0},
}
VERDICTS = {"calm": "stable", HOSTILE[0]: "drifted far", "when": "stable"}


def test_columns_come_furthest_first():
    chart, lines = drift_section(replace(FACTS, manifest=replace(FACTS.manifest, drift=DRIFT, drift_verdicts=VERDICTS))).parts
    assert [(row["feature"], row["psi"]) for row in rows_of(chart.data)] == [(HOSTILE[0], 0.75), ("calm", 0.01)]
    read = Read(lines)
    assert f"{HOSTILE[0]}drifted far0.7500.1000.5000.250calmstable" in read.text
    assert "script" not in read.tags
    assert drift_section(FACTS) is None


def test_every_expectation_has_a_line():
    verdicts = [Verdict("x.min", "passed", 1.0, 0.0, 90), Verdict("x.max_psi", "warned", 0.41, 0.25, 90)]
    section = gate_section(replace(FACTS, manifest=replace(FACTS.manifest, expectations=tuple(v.to_json() for v in verdicts))))
    assert section.lead == "1 of 2 expectations are met."
    assert all(verdict.text in Read(section.parts[0]).text for verdict in verdicts)
    assert gate_section(FACTS) is None
