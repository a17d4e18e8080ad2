"""What went in and what came out: headline numbers, rows by split and over time, outputs, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from emberharmony.io.manifest import Manifest
from emberharmony.messages import count_of, size_text
from emberharmony.page.chart import Chart, Section, Spec, columns
from emberharmony.page.facts import Facts
from emberharmony.page.markup import Html, element, name, table

N_BINS: Final = 60
"""Bars of the rows over time."""


def headlines(facts: Facts) -> Html:
    """Return the numbers that matter most, as large figures."""
    return element("dl", *(_headline(label, figure, note) for label, figure, note in _headlines(facts)), class_="headlines")


def overview(facts: Facts) -> Section:
    """Return the section on what was read and written."""
    manifest = facts.manifest
    lead = f"{manifest.source_rows:,} rows of {facts.source} were read. {_left_out(manifest)}"
    parts: list[Html | Chart] = [_flow(facts)]
    return Section("overview", "In and out", lead, parts)


def split_section(facts: Facts) -> Section:
    """Return the section on the splits: their rows, windows and series, and rows over time."""
    manifest = facts.manifest
    strides = list(manifest.strides)
    header = ["split", "rows", "share", *(f"windows, stride {stride}" for stride in strides)]
    series = manifest.series
    header += ["series", "longest", "shorter than a window"] if series else []

    def line(split: str) -> list[str]:
        rows = manifest.rows[split]
        windows = [f"{manifest.strides[stride].windows.get(split, 0):,}" for stride in strides]
        found = series.get(split, {})
        of_series = [f"{found.get(key, 0):,}" for key in ("series", "longest", "shorter_than_window")] if series else []
        return [split, f"{rows:,}", f"{rows / max(manifest.n_rows, 1):.1%}", *windows, *of_series]

    lines = table(header, [line(split) for split in manifest.rows], numbers=range(1, len(header)))
    charts = [chart for chart in (rows_over_time(facts), series_lengths(facts)) if chart is not None]
    if len(manifest.rows) == 1:
        return Section("splits", "Rows and series" if series else "Rows", "", [*charts, lines])
    lead = "Rows of a split are adjacent in the job's order, and no window crosses from one split into another."
    return Section("splits", "Splits and series" if series else "Splits", lead, [*charts, lines])


def rows_over_time(facts: Facts) -> Chart | None:
    """Return a chart of the rows of each split over time, estimated from the sample; ``None`` without a sample or times."""
    sample = facts.rows
    if sample is None or not np.isfinite(sample.times).any():
        return None
    known = np.isfinite(sample.times)
    times, splits = sample.times[known], sample.splits[known]
    first, last = float(times.min()), float(times.max())
    edges = np.linspace(first, last if last > first else first + 1.0, N_BINS + 1)
    starts, stops, rows, names = list[float](), list[float](), list[float](), list[str]()
    for place, split in enumerate(facts.splits):
        counts, _ = np.histogram(times[splits == place], edges)
        n_sampled = int((splits == place).sum())
        for i in np.flatnonzero(counts):
            starts.append(round(edges[i]))
            stops.append(round(edges[i + 1]))
            rows.append(float(round(counts[i] * facts.manifest.rows[split] / n_sampled)))
            names.append(split)
    spec: Spec = {
        "mark": {"type": "rect"},
        "transform": [
            {"calculate": "datum.begin * 1000", "as": "start"},
            {"calculate": "datum.end * 1000", "as": "stop"},
            {"stack": "rows", "groupby": ["start"], "as": ["low", "high"]},
        ],
        "encoding": {
            "x": {"field": "start", "type": "temporal", "scale": {"type": "utc"}, "title": None, "axis": {"grid": False}},
            "x2": {"field": "stop"},
            "y": {"field": "high", "type": "quantitative", "title": "rows", "axis": {"format": "~s", "tickCount": 5}},
            "y2": {"field": "low"},
            "color": split_colour(facts),
            "tooltip": [{"field": "split"}, {"field": "start", "type": "temporal"}, {"field": "rows", "format": ","}],
        },
    }
    data = columns(begin=starts, end=stops, rows=rows, split=names)
    text = f"Rows over time by split, estimated from a sample of {sample.n:,} rows."
    return Chart("Rows over time", spec, data, text)


def series_lengths(facts: Facts) -> Chart | None:
    """Return a chart of the number of series by their rows, in powers of two; ``None`` in a job of one series."""
    rows = [(split, 2**place, n) for split, counts in facts.lengths.items() for place, n in enumerate(counts) if n]
    if not rows:
        return None
    splits, lengths, numbers = zip(*rows, strict=True)
    spec: Spec = {
        "mark": "bar",
        "height": 160,
        "transform": [{"calculate": "datum.rows + (datum.rows > 1 ? '+' : '')", "as": "length"}],
        "encoding": {
            "x": {
                "field": "length",
                "type": "ordinal",
                "sort": {"field": "rows", "op": "min"},
                "title": "rows of a series, at least",
                "axis": {"labelAngle": 0},
            },
            "xOffset": {"field": "split", "type": "nominal", "sort": list(facts.splits)},
            "y": {"field": "series", "type": "quantitative", "axis": {"format": "~s", "tickCount": 4}},
            "color": split_colour(facts),
            "tooltip": [{"field": "split"}, {"field": "length"}, {"field": "series", "format": ","}],
        },
    }
    most = max(rows, key=lambda row: row[2])
    text = f"Number of series by their rows; most common in {most[0]} are {most[1]:,} rows, and less than twice as many."
    return Chart("Series lengths", spec, columns(split=splits, rows=lengths, series=numbers), text, height=230)


def split_colour(facts: Facts) -> Spec:
    """Return the encoding of splits by colour, with a legend if there are several."""
    several: Spec = {} if len(facts.splits) > 1 else {"legend": None}
    return {"field": "split", "type": "nominal", "sort": list(facts.splits), "title": None} | several


def _headlines(facts: Facts) -> Iterator[tuple[str, str, str]]:
    manifest = facts.manifest
    yield "rows", _short(manifest.n_rows), ", ".join(f"{_short(n)} {split}" for split, n in manifest.rows.items())
    by_kind = ", ".join(f"{n:,} {kind}" for kind, n in manifest.features_by_kind.items())
    yield "features", f"{len(manifest.features):,}", by_kind
    if manifest.strides:
        n_windows = sum(manifest.windows_by_stride.values())
        size, strides = manifest.spec["windows"]["size"], ", ".join(manifest.strides)
        yield "windows", _short(n_windows), f"of {size} rows, stride {strides}"
        stride, counts = next(iter(manifest.strides.items()))
        what = f"by {count_of(counts.components, 'component')}, stride {stride}"
        if counts.applied_explained is not None:
            yield "variance explained", f"{counts.applied_explained:.1%}", f"{what}; {counts.explained:.1%} in training"
        else:
            yield "variance explained", f"{counts.explained:.1%}", what
    if manifest.drift:
        far = sum(verdict == "drifted far" for verdict in manifest.drift_verdicts.values())
        yield "drifted far", f"{far:,}", f"of {len(manifest.drift):,} columns"
    if facts.work:
        seconds = sum(float(work.seconds.sum()) for work in facts.work)
        yield "compute time", _seconds(seconds), "all chunks and workers together"


def _headline(label: str, figure: str, note: str) -> Html:
    return element("div", element("dt", label), element("dd", element("b", figure), element("small", note)))


def _left_out(manifest: Manifest) -> str:
    left = [(manifest.null_times, "have no time"), (manifest.left_out, "lie in the gaps between splits")]
    texts = [f"{n:,} {why}" for n, why in left if n]
    return f"Left out: {', '.join(texts)}." if texts else "None was left out."


def _flow(facts: Facts) -> Html:
    manifest = facts.manifest
    sizes, files = Counter[str](), Counter[str]()
    for file in (*manifest.files, *manifest.registered):
        folder = file.name.rpartition("/")[0].partition("/split=")[0]
        sizes[folder] += file.n_bytes
        files[folder] += 1
    outputs = [[folder, f"{files[folder]:,}", size_text(sizes[folder])] for folder in sizes]
    job = [
        ["job", manifest.kind],
        ["table", name(facts.source)],
        ["result", name(facts.place)],
        *([["slice", manifest.slice]] if manifest.slice else []),
        *([["state", name(manifest.applied_state["address"])]] if manifest.applied_state else []),
        ["created", manifest.created.replace("T", " ").replace("+00:00", " UTC")],
        ["backend", ", ".join(manifest.backends)],
        ["fingerprint", manifest.fingerprint],
        ["versions", ", ".join(f"{library} {version}" for library, version in manifest.versions.items())],
    ]
    written = table(["folder", "files", "size"], outputs, numbers=(1, 2))
    beside = element("div", _card("Files", written), *_dropped(manifest), class_="stack")
    return element("div", _card("Job", table([], job)), beside, class_="pair")


def _dropped(manifest: Manifest) -> list[Html]:
    if not manifest.dropped:
        return []
    columns_of: dict[str, list[str]] = {}
    for column, reason in manifest.dropped.items():
        columns_of.setdefault(reason, []).append(column)
    rows = [[name(", ".join(names)), reason] for reason, names in columns_of.items()]
    return [_card("Columns without features", table(["columns", "reason"], rows, searched=True))]


def _card(title: str, content: Html) -> Html:
    return element("section", element("h3", title), content, class_="card")


def _seconds(seconds: float) -> str:
    """Return a time for people.

    Examples
    --------
    >>> _seconds(4.26), _seconds(150), _seconds(7300)
    ('4.3 s', '2.5 min', '2.0 h')
    """
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 3600:.1f} h"


def _short(number: int) -> str:
    """Return a number in few characters.

    Examples
    --------
    >>> _short(336_776), _short(12_345_678), _short(2_500_000_000)
    ('336,776', '12.3 M', '2.50 G')
    """
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number >= 10 * size else f"{number / size:.2f} {unit}"
    return f"{number:,}"
