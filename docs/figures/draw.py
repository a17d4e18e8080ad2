"""The pictures of the tutorial, drawn from the results of the demo and of the nights of December.

emberharmony demo
emberharmony fit configs/nightly-fit.yaml --slice 2013-11
emberharmony apply configs/nightly-apply.yaml --slice 2013-12-01..2013-12-31
python docs/figures/draw.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from emberharmony import open_result
from emberharmony.published import PublishedResult

TIME_ZONE = "America/New_York"
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
STYLE = {
    "font.size": 9,
    "figure.facecolor": "#fffdfb",  # a card of its own, on light and on dark pages
    "axes.facecolor": "#fffdfb",
    "axes.edgecolor": "#8b8f96",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.prop_cycle": mpl.cycler(color=["#a8401c", "#2f6690", "#5d8f63"]),
    "svg.fonttype": "none",  # text stays text: small, and searchable
    "svg.hashsalt": "emberharmony",  # the same picture is the same file
}


def explained_variance(result: PublishedResult) -> Figure:
    """Share of the variance of the training windows that each component explains, and the sum."""
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    each, total = figure.subplots(1, 2)
    for i, (stride, counts) in enumerate(result.manifest.strides.items()):
        percent = 100 * np.array(counts.explained_variance_ratio)
        number = np.arange(1, len(percent) + 1)
        if i == 0:
            each.bar(number, percent)
            each.set_title(f"Variance explained by each component, stride {stride}")
        total.plot(number, percent.cumsum(), lw=(4, 2.5, 1)[i % 3], label=f"stride {stride}")
    each.set(xlabel="component", ylabel="%")
    total.set(title="... and by the first ones together", xlabel="components", ylim=(0, 100))
    total.legend(frameon=False)
    return figure


def first_two_components(scores: pd.DataFrame) -> Figure:
    """Where the windows lie in the plane of the first two components, and how late their last flights arrived."""
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    by_hour, by_delay = figure.subplots(1, 2, sharex=True, sharey=True)
    hour = scores["start_time"].dt.tz_convert(TIME_ZONE).dt.hour
    grid = {"gridsize": 15, "mincnt": 5, "linewidths": 0.1}
    for axes, values, name, colours in (
        (by_hour, hour, "hour of the day", "viridis"),
        (by_delay, scores["arr_delay"].clip(-30, 60), "minutes late", "YlOrBr"),
    ):
        known = values.notna()
        drawn = axes.hexbin(scores["pc_1"][known], scores["pc_2"][known], C=values[known], cmap=colours, **grid)
        figure.colorbar(drawn, ax=axes, label=f"mean {name}")
        axes.set(xlabel="component 1")
    by_hour.set(title="Windows of the training split", ylabel="component 2")
    by_delay.set(title="... and their labels")
    return figure


def week(scores: pd.DataFrame) -> Figure:
    """Mean of the first component, and of the label, by hour of the week."""
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    local = scores["start_time"].dt.tz_convert(TIME_ZONE)
    hours = (local.dt.day_of_week * 24 + local.dt.hour).rename("hour")
    means = scores.groupby(hours)[["pc_1", "arr_delay"]].mean().reindex(range(7 * 24))
    left = figure.subplots()
    right = left.twinx()
    left.plot(means.index, means["pc_1"], color="C0")
    right.plot(means.index, means["arr_delay"], color="C1", lw=1)
    left.set(title="A week", xticks=range(0, 168, 24), xticklabels=DAYS, xlim=(0, 168))
    left.set_ylabel("mean of component 1", color="C0")
    right.set_ylabel("mean minutes late", color="C1")
    right.spines["right"].set_visible(True)
    left.grid(axis="x", alpha=0.3)
    return figure


def drift(nights: Mapping[str, Mapping[str, float]], *, most: int = 12) -> Figure:
    """Population stability index of the columns that drift most, by night."""
    table = pd.DataFrame({night[5:]: column for night, column in nights.items()})
    table = table.loc[table.median(axis="columns").sort_values(ascending=False).index[:most]]
    figure = Figure(figsize=(7.2, 0.8 + 0.2 * len(table)), layout="constrained")
    axes = figure.subplots()
    logarithms = np.log10(np.maximum(table.to_numpy(), 1e-3))
    drawn = axes.imshow(logarithms, cmap="YlOrBr", vmin=-2, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(title="Drift of each night of December", yticks=np.arange(len(table)), yticklabels=table.index)
    step = max(1, len(table.columns) // 10)
    axes.set(xticks=np.arange(0, len(table.columns), step), xticklabels=table.columns[::step])
    bar = figure.colorbar(drawn, ax=axes, ticks=[-2, -1, np.log10(0.25), 0, 1], label="PSI")
    bar.ax.set_yticklabels(["0.01", "0.1", "0.25", "1", "10"])
    return figure


def drift_of(folder: Path) -> dict[str, dict[str, float]]:
    """Population stability index by night and column, as the manifests of the nights hold it."""
    manifests = {
        path.parent.name.removeprefix("slice="): json.loads(path.read_text()) for path in folder.glob("*/manifest.json")
    }
    return {
        night: {name: drift["psi"] for name, drift in manifest["drift"].items() if drift.get("psi") is not None}
        for night, manifest in sorted(manifests.items())
    }


def draw(sink: Path, nights: Path, folder: Path) -> list[Path]:
    """Draw all pictures, and return their files."""
    result = open_result(sink)
    scores = result.windows(stride=1, split="train").to_pandas(["start_time", "arr_delay", "pc_1", "pc_2"])
    with mpl.rc_context(STYLE):
        figures = {
            "explained-variance": explained_variance(result),
            "components": first_two_components(scores),
            "week": week(scores),
            "drift": drift(drift_of(nights)),
        }
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return [folder / f"{name}.svg" for name in figures]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the pictures of the tutorial.")
    parser.add_argument("--sink", type=Path, default=Path("data/flights-features"))
    parser.add_argument("--nights", type=Path, default=Path("data/flights-nights"))
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    draw(arguments.sink, arguments.nights, arguments.folder)
