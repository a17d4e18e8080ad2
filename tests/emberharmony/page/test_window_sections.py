"""Explained variance, loadings, importance and components against pandas and the fitted arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emberharmony.page import window_sections
from emberharmony.page.window_sections import component_section, importance, loading_section, variance_section
from tests.pages import SPLITS, facts_by_hand, rows_of

FACTS = facts_by_hand()


def test_the_cumulative_curve_is_the_sum_of_the_shares():
    ((first, _),) = variance_section(FACTS).parts
    rows = pd.DataFrame(rows_of(first.data))
    ratios = FACTS.pcas[1].explained_variance_ratio
    np.testing.assert_allclose(rows.share, ratios, rtol=1e-3)
    np.testing.assert_allclose(rows.cumulative, pd.Series(ratios).cumsum(), rtol=1e-3)
    assert rows.component.tolist() == [1, 2, 3, 4]


def test_every_loading_is_in_its_cell():
    ((chart, _),) = loading_section(FACTS).parts
    rows = pd.DataFrame(rows_of(chart.data))
    n = len(FACTS.manifest.features)
    for stride, pca in FACTS.pcas.items():
        cube = pca.components.reshape(4, 3, n)
        found = rows[rows.stride == stride].loading.to_numpy().reshape(4, 3, n)
        np.testing.assert_allclose(found, cube, atol=0.0025)
    assert list(dict.fromkeys(rows.lag)) == ["-2", "-1", "0"], "the last row of a window is lag 0"


def test_many_loadings_are_cut_to_the_first_components(monkeypatch):
    monkeypatch.setattr(window_sections, "MAX_CELLS", 2 * 3 * 2 * len(FACTS.manifest.features))
    ((chart, _),) = loading_section(FACTS).parts
    assert {row["component"] for row in rows_of(chart.data)} == {1, 2}


def test_importance_is_the_share_of_absolute_loadings():
    frame = pd.DataFrame(FACTS.pcas[2].components).abs().sum().groupby(lambda i: i % len(FACTS.manifest.features)).sum()
    np.testing.assert_allclose(importance(FACTS, 2), frame / frame.sum(), rtol=1e-12)
    ((_, chart),) = loading_section(FACTS).parts
    rows = pd.DataFrame(rows_of(chart.data))
    np.testing.assert_allclose(rows[rows.stride == 2].share, frame / frame.sum(), atol=1e-4)


def test_points_are_the_sampled_scores():
    ((by_split, by_time),) = component_section(FACTS).parts
    assert by_split.data is by_time.data, "the page holds the points once"
    rows = pd.DataFrame(rows_of(by_split.data))
    sample = FACTS.windows[2]
    found = rows[rows.stride == 2]
    np.testing.assert_allclose(found["first"], sample.values[0], rtol=1e-3)
    np.testing.assert_allclose(found["second"], sample.values[1], rtol=1e-3)
    assert found.split.tolist() == [SPLITS[place] for place in sample.splits]
    np.testing.assert_array_equal(found.time, sample.times)


def test_one_split_needs_no_colours():
    facts = replace(
        FACTS,
        manifest=replace(FACTS.manifest, rows={"apply": 400}),
        windows={1: replace(FACTS.windows[1], splits=0 * FACTS.windows[1].splits)},
    )
    (charts,) = component_section(facts).parts
    assert [chart.title for chart in charts] == ["By time"]


def test_without_times_only_the_splits_colour_the_points():
    windows = {1: replace(FACTS.windows[1], times=np.full(FACTS.windows[1].n, np.nan))}
    (charts,) = component_section(replace(FACTS, windows=windows)).parts
    assert [chart.title for chart in charts] == ["By split"]


@pytest.mark.parametrize("make", [variance_section, loading_section, component_section])
def test_without_windows_there_is_no_section(make):
    assert make(replace(FACTS, pcas={}, windows={}, manifest=replace(FACTS.manifest, strides={}))) is None
