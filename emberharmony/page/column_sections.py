"""The columns: missing values, the distribution of each feature, and the categories."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from emberharmony.features.drift import Baseline, ColumnCounts
from emberharmony.features.kinds.base import FittedColumn
from emberharmony.page.chart import (
    PERCENT,
    SEARCH,
    SEARCHED,
    Chart,
    Section,
    Spec,
    binned,
    columns,
    distinct_texts,
    listed_shares,
)
from emberharmony.page.facts import Facts
from emberharmony.page.markup import Html, element, name, table
from emberharmony.typing import BoolArray, FloatArray

N_BINS: Final = 24
"""Bars of a distribution."""
MAX_BARS: Final = 30
"""Columns that a chart shows at once; the search shows others."""
MAX_CATEGORIES: Final = 8
"""Categories of a column in its table; all are in the fitted state."""
_ROUNDING: Final = 1e-6  # of float32: the sine of a whole turn is not quite zero
_TAIL: Final = 0.005
"""Share of the sample on either side whose values are drawn in the outermost bars."""
DISTRIBUTION: Final[Spec] = {
    "height": 70,
    "mark": {"type": "bar", "opacity": 0.55, "binSpacing": 0},
    "encoding": {
        "x": {"field": "value", "bin": "binned", "title": None, "axis": {"tickCount": 4, "grid": False, "format": ".4~g"}},
        "x2": {"field": "value_end"},
        "y": {"field": "share", "type": "quantitative", "stack": None, "axis": None},
        "color": {"field": "group", "type": "nominal", "sort": ["training"], "legend": None},
        "tooltip": [{"field": "group"}, {"field": "value"}, {"field": "share", "format": ".1%"}],
    },
}
"""One specification for the charts of all features: the page holds it once."""
AGAINST_TRAINING: Final[Spec] = {
    "height": 90,
    "mark": "bar",
    "encoding": {
        "x": {"field": "bin", "type": "ordinal", "sort": None, "title": None, "axis": {"labelAngle": -40}},
        "xOffset": {"field": "group", "sort": ["training"]},
        "y": {"field": "share", "type": "quantitative", "title": None, "axis": {"format": ".0%", "tickCount": 3}},
        "color": {"field": "group", "type": "nominal", "sort": ["training"], "legend": None},
        "tooltip": [{"field": "bin"}, {"field": "group"}, {"field": "share", "format": ".1%"}],
    },
}


def null_section(facts: Facts) -> Section | None:
    """Return the section on missing values, by column; ``None`` if nothing was counted."""
    shares = null_shares(facts)
    if not shares:
        return None
    ordered = sorted(shares, key=lambda column: (-shares[column], column))
    with_nulls = [column for column in ordered if shares[column] > 0]
    where = "" if facts.manifest.drift else " in the training rows"
    lead = f"{len(with_nulls):,} of {len(shares):,} columns with features have missing values{where}."
    parts: list[Html | Chart] = []
    if with_nulls:
        spec = {
            "params": [SEARCH],
            "transform": [
                SEARCHED,
                {"window": [{"op": "row_number", "as": "place"}], "sort": [{"field": "share", "order": "descending"}]},
                {"filter": f"datum.place <= {MAX_BARS}"},
            ],
            "mark": "bar",
            "height": {"step": 18},
            "encoding": {
                "y": {"field": "feature", "type": "nominal", "sort": "-x", "title": None},
                "x": {"field": "share", "type": "quantitative", "title": "missing values", "axis": PERCENT},
                "tooltip": [{"field": "feature"}, {"field": "share", "format": ".2%"}],
            },
        }
        data = columns(feature=with_nulls, share=[shares[column] for column in with_nulls])
        text = f"Share of missing values by column: {listed_shares((c, shares[c]) for c in with_nulls)}."
        parts.append(Chart("Missing values", spec, data, text, height=60 + 18 * min(len(with_nulls), MAX_BARS)))
    return Section("missing", "Missing values", lead, parts)


def null_shares(facts: Facts) -> dict[str, float]:
    """Return the share of missing values by column: of the rows that a state was applied to, else of the training rows."""
    if facts.manifest.drift:
        return {column: found["null_share"] for column, found in facts.manifest.drift.items()}
    counts = {column: baseline.counts for column, baseline in facts.baselines.items()}
    return {column: found.n_missing / found.n_rows for column, found in counts.items() if found.n_rows}


def distribution_section(facts: Facts) -> Section | None:
    """Return the section with one small chart for each feature that is a number; ``None`` without a sample."""
    sample, charts = facts.rows, list[Chart]()
    if sample is None or not sample.n:
        return None
    in_train = sample.splits == 0
    has_both = bool(in_train.any() and not in_train.all())
    for place, (feature, column) in enumerate(_features(facts.columns)):
        if not column.categories:
            charts.append(_distribution(feature, column, sample.values[place].astype(np.float64), in_train, has_both))
    if not charts:
        return None
    against = "Training rows against validation and test" if has_both else "The rows of the result"
    lead = (
        f"{against}: shares of a sample of {sample.n:,} rows, in the features' own units. The outermost bars hold the tails."
    )
    return Section(
        "distributions", "Distributions", lead, [*([_legend("training", "validation and test")] if has_both else []), charts]
    )


def histogram(values: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the share of values between edges; those beyond the first and last edge are in the outermost bars.

    Examples
    --------
    >>> histogram(np.array([-9.0, 0.2, 0.7, 3.0]), np.array([0.0, 0.5, 1.0])).tolist()
    [0.5, 0.5]
    """
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / max(len(values), 1)


def applied_section(facts: Facts) -> Section | None:
    """Return the section on numbers against the training rows; ``None`` for rows that a state was fitted on."""
    charts = [
        _against_training(column.name, facts.baselines[column.name], facts.applied[column.name])
        for column in facts.columns
        if column.name in facts.applied and facts.baselines[column.name].edges
    ]
    if not charts:
        return None
    lead = "Shares of all rows between the deciles of the training rows, in the units of the source."
    return Section("training", "Against training", lead, [_legend("training", "now"), charts])


def _against_training(column: str, baseline: Baseline, now: ColumnCounts) -> Chart:
    texts = distinct_texts(baseline.edges)
    between = (f"{low} to {high}" for low, high in pairwise(texts))
    labels = [f"below {texts[0]}", *between, f"from {texts[-1]}", "missing"]
    shares = {
        group: np.append(counts.bins, counts.n_missing) / max(counts.n_rows, 1)
        for group, counts in (("training", baseline.counts), ("now", now))
    }
    groups = [group for group in shares for _ in labels]
    data = columns(bin=labels * 2, group=groups, share=np.concatenate([*shares.values()]))
    moved = f"mean {baseline.counts.moments.mean:.6g}, now {now.moments.mean:.6g}"
    return Chart(column, AGAINST_TRAINING, data, moved, height=150, name=column)


def category_section(facts: Facts) -> Section | None:
    """Return the section on the categories of each column; ``None`` if no column has any."""
    tables = [
        element(
            "section",
            element("h3", name(column.name)),
            element("p", f"{len(column.categories):,} categories have a feature of their own"),
            category_table(facts, column),
            class_="card",
            data_name=column.name.lower(),
        )
        for column in facts.columns
        if column.categories and column.name in facts.baselines
    ]
    if not tables:
        return None
    now = ", and the share of the rows now" if facts.applied else ""
    lead = f"Training rows of each category{now}; the {MAX_CATEGORIES} largest of each column."
    return Section("categories", "Categories", lead, [element("div", *tables, class_="cards")])


def category_table(facts: Facts, column: FittedColumn) -> Html:
    """Return the largest categories of a column, the rows of all others, and the missing ones."""
    then = facts.baselines[column.name].counts
    now = facts.applied.get(column.name, then)
    places = sorted(range(len(column.categories)), key=lambda i: (-int(then.bins[i]), column.categories[i]))
    shown, rest = places[:MAX_CATEGORIES], places[MAX_CATEGORIES:]

    def counts_of(counts: ColumnCounts) -> list[int]:
        more = [int(counts.bins[rest].sum())] if rest else []
        return [*counts.bins[shown].tolist(), *more, int(counts.bins[-1]), counts.n_missing]

    labels: list[str] = [name(column.categories[i]) if column.categories[i] else "empty text" for i in shown]
    labels += [*([f"{len(rest):,} more"] if rest else []), "outside the vocabulary", "missing"]
    rows = [
        [label, f"{n:,}", f"{n / max(then.n_rows, 1):.1%}", *([f"{m / max(now.n_rows, 1):.1%}"] if facts.applied else [])]
        for label, n, m in zip(labels, counts_of(then), counts_of(now), strict=True)
        if n or m
    ]
    header = ["category", "rows", "share", *(["now"] if facts.applied else [])]
    return table(header, rows, numbers=range(1, len(header)))


def _features(fitted: tuple[FittedColumn, ...]) -> Iterator[tuple[str, FittedColumn]]:
    for column in fitted:
        for feature in column.features:
            yield feature, column


def _distribution(feature: str, column: FittedColumn, values: FloatArray, in_train: BoolArray, has_both: bool) -> Chart:
    edges = _edges(values)
    shares = {"training": histogram(values[in_train], edges)}
    if has_both:
        shares["validation and test"] = histogram(values[~in_train], edges)
    centre = column.centre
    of_source = f"median {centre.median:.6g}, scale {centre.scale:.4g} in the source" if centre else ""
    data = binned(shares, float(edges[0]), float(edges[-1]))
    return Chart(feature, DISTRIBUTION, data, of_source or f"feature of {column.name}", height=96, name=feature)


def _legend(*groups: str) -> Html:
    items = (element("span", element("i", "", class_=f"swatch c{i}"), group) for i, group in enumerate(groups))
    return element("p", *items, class_="legend")


def _edges(values: FloatArray) -> FloatArray:
    low, high = np.quantile(values, [_TAIL, 1.0 - _TAIL])
    if high <= low:
        low, high = float(values.min()), float(values.max())
    is_constant = high - low <= _ROUNDING * max(abs(low), abs(high), 1.0)
    return np.linspace(low, low + 1.0 if is_constant else high, N_BINS + 1)
