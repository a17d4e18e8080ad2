"""How far the rows have moved from the training rows, and whether they are what the job expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emberharmony.expectations.checks import Verdict
from emberharmony.features.drift import MAJOR_PSI
from emberharmony.page.chart import SEARCH, SEARCHED, Chart, Section, Spec, columns
from emberharmony.page.facts import Facts
from emberharmony.page.markup import Html, name, table

MAX_SHOWN: Final = 30
"""Columns that the chart shows at once; the search shows others."""
_FIGURES: Final = {"psi": "PSI", "psi_by_chance": "by chance", "null_share": "missing", "null_share_change": "change"}


def drift_section(facts: Facts) -> Section | None:
    """Return the section on drift; ``None`` for rows that a state was fitted on."""
    drift, verdicts = facts.manifest.drift, facts.manifest.drift_verdicts
    if not drift:
        return None
    ordered = sorted(drift, key=lambda column: (-drift[column].get("psi", 0.0), column))
    far = [column for column in ordered if verdicts.get(column) == "drifted far"]
    lead = f"{len(far):,} of {len(drift):,} columns have drifted far from the training rows. "
    lead += f"A population stability index (PSI) above {MAJOR_PSI:g} is commonly called a major shift."
    rows = [[name(column), verdicts.get(column, ""), *_figures(drift[column])] for column in ordered]
    lines = table(["column", "verdict", *_FIGURES.values()], rows, numbers=(2, 3, 4, 5), searched=True)
    return Section("drift", "Drift", lead, [_psi(ordered, drift, verdicts), lines])


def gate_section(facts: Facts) -> Section | None:
    """Return the section on what the job expects of its rows; ``None`` if it expects nothing."""
    verdicts = [Verdict.from_json(data) for data in facts.manifest.expectations]
    if not verdicts:
        return None
    met = sum(verdict.outcome == "passed" for verdict in verdicts)
    rows: list[list[str | Html]] = [[name(verdict.expectation), verdict.outcome, verdict.text] for verdict in verdicts]
    lead = f"{met:,} of {len(verdicts):,} expectations are met."
    return Section("gates", "Expectations", lead, [table(["expectation", "outcome", "found"], rows)])


def _figures(found: Mapping[str, float]) -> list[str]:
    return [f"{found[key]:.3f}" if key in found else "" for key in _FIGURES]


def _psi(ordered: list[str], drift: Mapping[str, Mapping[str, float]], verdicts: Mapping[str, str]) -> Chart:
    judged = [column for column in ordered if "psi" in drift[column]]
    spec: Spec = {
        "params": [SEARCH],
        "transform": [
            SEARCHED,
            {"window": [{"op": "row_number", "as": "place"}], "sort": [{"field": "psi", "order": "descending"}]},
            {"filter": f"datum.place <= {MAX_SHOWN}"},
        ],
        "height": {"step": 18},
        "layer": [
            {
                "mark": "bar",
                "encoding": {
                    "y": {"field": "feature", "type": "nominal", "sort": "-x", "title": None},
                    "x": {"field": "psi", "type": "quantitative", "title": "PSI", "axis": {"tickCount": 5}},
                    "color": {
                        "field": "verdict",
                        "type": "nominal",
                        "sort": ["stable", "drifted far", "too few rows to judge"],
                        "title": None,
                    },
                    "tooltip": [{"field": "feature"}, {"field": "psi", "format": ".3f"}, {"field": "verdict"}],
                },
            },
            {"mark": {"type": "rule", "strokeDash": [4, 3]}, "encoding": {"x": {"datum": MAJOR_PSI}}},
        ],
    }
    data = columns(feature=judged, psi=[drift[c]["psi"] for c in judged], verdict=[verdicts.get(c, "") for c in judged])
    furthest = ", ".join(f"{column} {drift[column]['psi']:.3f}" for column in judged[:3])
    height = 90 + 18 * min(len(judged), MAX_SHOWN)
    return Chart("Population stability index", spec, data, f"PSI by column, largest first: {furthest}.", height=height)
