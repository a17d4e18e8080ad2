"""The windows: explained variance, loadings, importance of features, and the first two components."""

from __future__ import annotations

from typing import Final

import numpy as np

from emberharmony.page.chart import (
    PERCENT,
    SEARCH,
    SEARCHED,
    Chart,
    Section,
    Spec,
    choice,
    columns,
    grid,
    in_digits,
    listed_shares,
)
from emberharmony.page.facts import Facts
from emberharmony.page.overview import split_colour
from emberharmony.typing import FloatArray

MAX_CELLS: Final = 60_000
"""Loadings that the page holds; of many features or strides, fewer components are shown."""
MAX_SHOWN: Final = 30
"""Features that a chart shows at once; the search shows others."""
_STEP: Final = 0.005
"""Loadings are rounded to it: a colour shows no more."""


def variance_section(facts: Facts) -> Section | None:
    """Return the section on explained variance, one chart for each stride; ``None`` without windows."""
    strides = facts.manifest.strides
    if not strides:
        return None
    charts = [_variance(stride, counts.explained_variance_ratio) for stride, counts in strides.items()]
    shares = ", ".join(f"{counts.explained:.1%} at stride {stride}" for stride, counts in strides.items())
    lead = f"The components hold {shares} of the training windows' variance."
    applied = {stride: counts.applied_explained for stride, counts in strides.items() if counts.applied_explained is not None}
    if applied:
        lead += f" Of the rows' own, they hold {', '.join(f'{share:.1%} at stride {s}' for s, share in applied.items())}."
    return Section("variance", "Explained variance", lead, [charts])


def loading_section(facts: Facts) -> Section | None:
    """Return the section on what the components are made of; ``None`` without windows."""
    if not facts.pcas:
        return None
    lead = (
        "A loading is the weight of one feature, in one row of the window, in a component. Lag 0 is the window's last row. "
        f"The {MAX_SHOWN} features with the largest loadings are shown; search to see others."
    )
    return Section("loadings", "Loadings", lead, [[_loadings(facts), _importance(facts)]])


def component_section(facts: Facts) -> Section | None:
    """Return the section on the first two components of sampled windows; ``None`` without a sample."""
    found = {stride: sample for stride, sample in facts.windows.items() if sample.n}
    if not found:
        return None
    n = ", ".join(f"{sample.n:,} of stride {stride}" for stride, sample in found.items())
    lead = f"Each point is a window, placed by its scores: a sample of {n}."
    return Section("components", "First two components", lead, [_scatters(facts)])


def importance(facts: Facts, stride: int) -> FloatArray:
    """Return the share of each feature in the absolute loadings of a stride; shape ``(n_features,)``, adds up to 1."""
    weights = facts.pcas[stride].importance.sum(axis=0)
    return np.asarray(weights / (weights.sum() or 1.0), np.float64)


def _variance(stride: str, ratios: tuple[float, ...]) -> Chart:
    cumulative = np.cumsum(ratios).tolist()
    bars: Spec = {"mark": {"type": "bar"}, "encoding": {"y": {"field": "share", "type": "quantitative"}}}
    line: Spec = {
        "mark": {"type": "line", "point": {"size": 18}, "strokeWidth": 2},
        "encoding": {"y": {"field": "cumulative", "type": "quantitative"}, "color": {"value": "#D55E00"}},
    }
    spec: Spec = {
        "layer": [bars, line],
        "encoding": {
            "x": {
                "field": "component",
                "type": "quantitative",
                "scale": {"nice": False, "padding": 6},
                "axis": {"tickMinStep": 1, "format": "d", "grid": False},
            },
            "y": {"scale": {"domain": [0, 1]}, "axis": PERCENT | {"title": "share, and cumulative"}},
            "tooltip": [{"field": "component"}, {"field": "share", "format": ".2%"}, {"field": "cumulative", "format": ".2%"}],
        },
    }
    data = columns(component=[*range(1, len(ratios) + 1)], share=ratios, cumulative=cumulative)
    half = next((n for n, total in enumerate(cumulative, 1) if total >= 0.5), None)
    text = f"{len(ratios):,} components hold {cumulative[-1] if ratios else 0:.1%}"
    text += f"; the first {half:,} hold half of the variance." if half else "."
    return Chart(f"Stride {stride}", spec, data, text, height=220)


def _loadings(facts: Facts) -> Chart:
    features, strides = facts.manifest.features, list(facts.pcas)
    size = next(iter(facts.pcas.values())).size
    cells = len(features) * size * len(strides)
    fewest = min(pca.n_components for pca in facts.pcas.values())
    n = max(1, min(fewest, 8, MAX_CELLS // max(cells, 1)))
    values = np.stack([pca.components[:n].reshape(n, size, len(features)) for pca in facts.pcas.values()])
    lags = [str(i - size + 1) for i in range(size)]
    axes = {"stride": strides, "component": [*range(1, n + 1)], "lag": lags, "feature": features}
    data = grid(axes, "loading", values, step=_STEP)
    largest = in_digits(float(np.abs(values).max())) or 1  # one scale of colours for all components, with zero in its middle
    spec: Spec = {
        "params": [SEARCH, choice("stride", "Stride", strides), choice("component", "Component", [*range(1, n + 1)])],
        "transform": [
            {"filter": "datum.stride == stride && datum.component == component"},
            SEARCHED,
            {"calculate": "abs(datum.loading)", "as": "size"},
            {"joinaggregate": [{"op": "max", "field": "size", "as": "largest"}], "groupby": ["feature"]},
            {
                "window": [{"op": "dense_rank", "as": "place"}],
                "sort": [{"field": "largest", "order": "descending"}, {"field": "feature"}],
            },
            {"filter": f"datum.place <= {MAX_SHOWN}"},
        ],
        "mark": {"type": "rect"},
        "height": {"step": 16},
        "encoding": {
            "x": {"field": "lag", "type": "ordinal", "sort": lags, "title": "lag", "axis": {"labelAngle": 0, "orient": "top"}},
            "y": {"field": "feature", "type": "nominal", "sort": {"field": "place", "op": "min"}, "title": None},
            "color": {
                "field": "loading",
                "type": "quantitative",
                "scale": {"range": "diverging", "domain": [-largest, 0, largest], "interpolate": "rgb"},
                "legend": {"orient": "bottom", "gradientLength": 200, "title": "loading"},
            },
            "tooltip": [{"field": "feature"}, {"field": "lag"}, {"field": "loading", "format": ".3f"}],
        },
    }
    first = np.abs(values[0, 0]).max(axis=0)
    top = ", ".join(features[i] for i in np.argsort(-first, kind="stable")[:3])
    text = f"Loadings by feature and lag. The first component of stride {strides[0]} is mostly {top}."
    return Chart("Loadings by feature and lag", spec, data, text, height=140 + 16 * min(len(features), MAX_SHOWN))


def _importance(facts: Facts) -> Chart:
    features, strides = facts.manifest.features, list(facts.pcas)
    values = np.stack([importance(facts, stride) for stride in strides])
    spec: Spec = {
        "params": [SEARCH, choice("stride", "Stride", strides)],
        "transform": [
            {"filter": "datum.stride == stride"},
            SEARCHED,
            {"window": [{"op": "row_number", "as": "place"}], "sort": [{"field": "share", "order": "descending"}]},
            {"filter": f"datum.place <= {MAX_SHOWN}"},
        ],
        "mark": "bar",
        "height": {"step": 16},
        "encoding": {
            "y": {"field": "feature", "type": "nominal", "sort": "-x", "title": None},
            "x": {
                "field": "share",
                "type": "quantitative",
                "title": "share of all absolute loadings",
                "axis": {"format": ".1%", "tickCount": 5},
            },
            "tooltip": [{"field": "feature"}, {"field": "share", "format": ".2%"}],
        },
    }
    order = np.argsort(-values[0], kind="stable")
    text = f"Importance of features: {listed_shares((features[i], float(values[0][i])) for i in order)}."
    data = grid({"stride": strides, "feature": features}, "share", values, step=1e-4)
    return Chart("Importance of features", spec, data, text, height=90 + 16 * min(len(features), MAX_SHOWN))


def _scatters(facts: Facts) -> list[Chart]:
    strides, firsts, seconds, splits, times = list[int](), list[float](), list[float](), list[str](), list[float]()
    for stride, sample in facts.windows.items():
        strides += [stride] * sample.n
        firsts += sample.values[0].tolist()
        seconds += sample.values[1].tolist() if len(sample.values) > 1 else [0.0] * sample.n
        splits += [facts.splits[place] for place in sample.splits]
        times += np.round(sample.times).tolist()
    data = columns(stride=strides, first=firsts, second=seconds, split=splits, time=times)
    found = list(dict.fromkeys(strides))

    def scatter(color: Spec) -> Spec:
        axis = {"type": "quantitative", "scale": {"zero": False, "nice": True}, "axis": {"tickCount": 6}}
        return {
            "params": [choice("stride", "Stride", found)],
            "transform": [{"filter": "datum.stride == stride"}, {"calculate": "datum.time * 1000", "as": "moment"}],
            "mark": {"type": "circle", "size": 14, "opacity": 0.55},
            "encoding": {
                "x": {"field": "first", "title": "component 1", **axis},
                "y": {"field": "second", "title": "component 2", **axis},
                "color": color,
            },
        }

    by_split = scatter(split_colour(facts))
    by_time = scatter(
        {
            "field": "moment",
            "type": "temporal",
            "scale": {"range": ["#3b0f70", "#e69f00"], "interpolate": "lab"},
            "title": None,
        }
    )
    n = f"{len(strides):,} windows"
    has_times = bool(np.isfinite(times).any())
    charts = []
    if len(facts.splits) > 1 or not has_times:
        charts.append(Chart("By split", by_split, data, f"First two components of {n}, coloured by split.", height=340))
    if has_times:
        charts.append(Chart("By time", by_time, data, f"First two components of {n}, coloured by time.", height=340))
    return charts
