"""Missing values, distributions and categories against pandas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from emberharmony.features.kinds.registry import kind_named
from emberharmony.page.column_sections import (
    applied_section,
    category_section,
    category_table,
    distribution_section,
    histogram,
    null_section,
    null_shares,
)
from tests.emberharmony.page.test_markup import Read
from tests.pages import HOSTILE, facts_by_hand, rows_of

FACTS = facts_by_hand()
NUMBER = FACTS.columns[0].name
COLOUR = FACTS.columns[-1]


def test_null_shares_are_those_of_the_training_rows():
    train = pd.Series(np.arange(320) % 7 == 0)
    assert null_shares(FACTS)[NUMBER] == pytest.approx(train.mean())
    (chart,) = null_section(FACTS).parts
    found = {row["feature"]: row["share"] for row in rows_of(chart.data)}
    assert len(found) == 2
    assert max(found.values()) == pytest.approx(max(null_shares(FACTS).values()), abs=1e-4)


def test_of_applied_rows_the_shares_are_theirs():
    manifest = replace(FACTS.manifest, drift={"x": {"null_share": 0.4, "null_share_change": 0.0}})
    assert null_shares(replace(FACTS, manifest=manifest)) == {"x": 0.4}


def test_a_distribution_holds_the_shares_of_pandas():
    section = distribution_section(FACTS)
    charts = section.parts[-1]
    assert [chart.title for chart in charts] == [column.name for column in FACTS.columns[:-1]], "categories have a table"
    values, in_train = pd.Series(FACTS.rows.values[1], dtype=float), FACTS.rows.splits == 0
    rows = pd.DataFrame(rows_of(charts[1].data))
    edges = [*rows.value[:24], rows.value_end[23]]
    for group, chosen in (("training", in_train), ("validation and test", ~in_train)):
        inside = values[chosen].clip(edges[0], edges[-1])
        expected = (
            pd.cut(inside, edges, right=False, labels=False, include_lowest=True).fillna(23).value_counts(normalize=True)
        )
        found = rows[rows.group == group].share.to_numpy()
        np.testing.assert_allclose(found, expected.reindex(range(24), fill_value=0.0), atol=0.02)
        assert found.sum() == pytest.approx(1.0, abs=2e-3)


def test_a_constant_sample_has_bars_as_well():
    constant = replace(FACTS.rows, values=np.ones_like(FACTS.rows.values))
    (_, charts) = distribution_section(replace(FACTS, rows=constant)).parts
    assert sum(row["share"] for row in rows_of(charts[0].data)) == pytest.approx(2.0)


def test_the_rounding_of_a_constant_is_no_distribution():
    nearly = replace(FACTS.rows, values=np.resize([0.0, 1e-16], FACTS.rows.values.shape))
    (_, charts) = distribution_section(replace(FACTS, rows=nearly)).parts
    assert charts[0].data["axes"][1] == ["value", {"low": 0, "high": 1, "n": 24}]


def test_tails_are_in_the_outermost_bars():
    assert histogram(np.array([-100.0, 0.5, 100.0, 100.0]), np.array([0.0, 1.0, 2.0])).tolist() == [0.5, 0.5]


def test_without_a_sample_or_numbers_there_is_no_section():
    assert distribution_section(replace(FACTS, rows=None)) is None
    assert distribution_section(replace(FACTS, columns=(COLOUR,))) is None
    assert null_section(replace(FACTS, baselines={})) is None
    assert category_section(replace(FACTS, columns=FACTS.columns[:-1])) is None


def test_applied_rows_are_compared_with_training_in_its_bins():
    values, column = pd.Series(FACTS.rows.values[1], dtype=float), FACTS.columns[1]
    source = pa.chunked_array([pa.array(values * 2.0 + 1.0)])
    baseline = FACTS.baselines[column.name]
    counts = kind_named("numeric").count(source, column, baseline)
    section = applied_section(replace(FACTS, applied={column.name: counts}))
    ((chart,),) = section.parts[1:]
    rows = pd.DataFrame(rows_of(chart.data))
    edges = [-np.inf, *baseline.edges, np.inf]
    expected = pd.cut(values * 2.0 + 1.0, edges, right=False, labels=False).value_counts(normalize=True).reindex(range(10))
    np.testing.assert_allclose(rows[rows.group == "now"].share, [*expected.fillna(0.0), 0.0], rtol=1e-3)
    np.testing.assert_allclose(rows[rows.group == "training"].share[:10], 0.1, rtol=0.02)
    assert applied_section(FACTS) is None


def test_categories_of_applied_rows_have_their_share_beside():
    then = FACTS.baselines[COLOUR.name].counts
    now = replace(then, bins=then.bins[::-1].copy(), n_rows=then.n_rows * 2)
    text = Read(category_table(replace(FACTS, applied={COLOUR.name: now}), COLOUR)).text
    n, m = int(then.bins[0]), int(now.bins[0])
    assert f"{COLOUR.categories[0]}{n}{n / then.n_rows:.1%}{m / now.n_rows:.1%}" in text


def test_categories_are_counted_and_escaped():
    rng = np.random.default_rng(0)
    rng.normal(size=(2, 400))
    drawn = pd.Series(rng.choice([*HOSTILE, None], 400))[:320]
    counts = drawn.value_counts()
    read = Read(category_table(FACTS, COLOUR))
    assert f"{HOSTILE[0]}{counts[HOSTILE[0]]}{counts[HOSTILE[0]] / 320:.1%}" in read.text
    assert f"missing{drawn.isna().sum()}" in read.text
    assert "script" not in read.tags
