"""Proposed bounds: the training rows meet them with a margin, and YAML reads them as they are."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from emberharmony.expectations.checks import judge
from emberharmony.expectations.propose import proposed_bounds, proposed_section, widest
from emberharmony.features.kinds.boolean import Boolean
from emberharmony.features.kinds.categorical import Categorical
from emberharmony.features.kinds.datetime import Datetime
from emberharmony.features.kinds.numeric import Numeric
from flows.config.job import ApplyJob, parse_job
from tests.kinds import chunked, learnt

RNG = np.random.default_rng(5)
TIMES = np.array(["2026-11-28T10", "NaT", "2026-11-28T11"], "datetime64[us]")
COLUMNS = {
    "plain": (Numeric(), RNG.normal(size=500)),
    "counts": (Numeric(), RNG.poisson(3.0, 500).astype(float)),
    "below": (Numeric(), -RNG.random(500)),
    "huge": (Numeric(), RNG.normal(size=500) * 1e150),
    "tiny": (Numeric(), 1e-200 * RNG.random(500)),
    "far": (Numeric(), 1e12 + RNG.random(500)),
    "mostly missing": (Numeric(), np.append(np.full(400, np.nan), RNG.random(100))),
    "no": (Boolean(), [True, False, None]),
    'a "quoted": {name}': (Categorical(), ["a"] * 300 + [f"rare {i}" for i in range(150)]),
    "größe # 1": (Categorical(), ["a", "b", None]),
    "t": (Datetime(), TIMES),
}


def fitted(kind, values):
    return learnt(kind, chunked(values))[1]


BASELINES = {name: fitted(kind, values) for name, (kind, values) in COLUMNS.items()}
SECTION = proposed_section(BASELINES, {name: kind.name for name, (kind, _) in COLUMNS.items()}, where="states/latest")
PLACES = {"source": {"path": "t.parquet"}, "sink": {"path": "out"}, "state": "states/latest"}
EXPECT = parse_job({**PLACES, **yaml.safe_load(SECTION)}, model=ApplyJob).expect


def test_the_section_is_one_of_a_job_and_names_every_column():
    assert list(EXPECT.columns) == list(COLUMNS)
    assert EXPECT.rows.min == 1
    assert (EXPECT.all.max_psi, EXPECT.all.on_failure) == (0.25, "warn")
    assert EXPECT.columns["no"].bounds.keys() == {"max_null_share"}
    assert SECTION.splitlines()[0] == (
        "# Proposed from the 500 training rows of states/latest, which meet these bounds with a margin."
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_the_training_rows_meet_it(name):
    kind, values = COLUMNS[name]
    _, baseline = learnt(kind, chunked(values))
    found = kind.figures(baseline.counts) | kind.drift(baseline, baseline.counts)
    verdicts = judge(EXPECT, n_rows=int(found["rows"]), figures={name: found})
    assert {verdict.outcome for verdict in verdicts} <= {"passed", "too few rows"}
    assert {verdict.expectation for verdict in verdicts if verdict.outcome == "too few rows"} <= {f"{name}.max_psi"}
    assert found["null_share"] < EXPECT.columns[name].max_null_share


@pytest.mark.parametrize("name", [name for name, (kind, _) in COLUMNS.items() if kind.name == "numeric"])
def test_a_range_has_a_margin_of_about_a_tenth(name):
    expected, values = EXPECT.columns[name], COLUMNS[name][1]
    low, high = np.nanmin(values), np.nanmax(values)
    length = high - low
    assert high + 0.099 * length <= expected.max <= high + 0.16 * length or (high <= 0 and expected.max == 0)
    assert low - 0.16 * length <= expected.min <= low - 0.099 * length or (low >= 0 and expected.min == 0)


def test_a_range_that_has_no_end_is_not_proposed():
    found = {"rows": 9, "null_share": 0.0, "min": -1.5e308, "max": 1.5e308}
    assert proposed_bounds("numeric", found) == {"max_null_share": 0.01}
    assert proposed_bounds("numeric", {"rows": 9, "null_share": 0.995}) == {}
    assert proposed_bounds("numeric", {"rows": 9, "null_share": 0.0, "min": 5.0, "max": 5.0})["max"] == 5.5


def test_slices_that_were_good_meet_it_too():
    now = chunked(RNG.normal(3, 2, 400))
    kind, values = COLUMNS["plain"]
    baseline = BASELINES["plain"]
    fitted_column, _ = learnt(kind, chunked(values))
    slices = [
        {"plain": kind.drift(baseline, kind.count(rows, fitted_column, baseline)), "gone": {"rows": 9, "null_share": 1.0}}
        for rows in (now, chunked([50.0]), chunked([1.0] * 240 + [None] * 160))
    ]
    section = proposed_section({"plain": baseline}, {"plain": "numeric"}, where="s", slices=slices, slices_at="nights")
    assert section.startswith("# Proposed from the 500 training rows of s and the last 3 slices of nights, which meet")
    expect = parse_job({**PLACES, **yaml.safe_load(section)}, model=ApplyJob).expect
    expected = expect.columns["plain"]
    assert expected.max > 50
    assert expected.max_null_share == 0.61
    assert expected.max_psi == pytest.approx(1.5 * max(found["plain"]["psi"] for found in slices[::2]), abs=0.011)
    for found in slices:
        verdicts = judge(expect, n_rows=1, figures={"plain": found["plain"]})
        assert {verdict.outcome for verdict in verdicts} <= {"passed", "too few rows"}


def test_the_index_of_few_rows_widens_nothing():
    few = {"rows": 3, "null_share": 0.0, "psi": 2.0, "psi_by_chance": 9.0}
    assert "psi" not in widest([few])
    assert widest([few, few | {"rows": 900, "psi": 0.3, "psi_by_chance": 0.1}])["psi"] == 0.3
    assert "max_psi" not in proposed_bounds("numeric", {"rows": 900, "null_share": 0.0, "psi": 0.16})
    assert proposed_bounds("categorical", {"rows": 9, "null_share": 0.0, "other_share": 0.3, "other_share_change": 0.1}) == {
        "max_null_share": 0.01,
        "max_new_share": 0.16,
    }


def test_what_is_shown_beside_the_bounds():
    assert "  # numeric, " in SECTION
    assert "0.8 missing" in next(line for line in SECTION.splitlines() if "mostly missing" in line)
    assert "outside the vocabulary" in next(line for line in SECTION.splitlines() if "quoted" in line)
