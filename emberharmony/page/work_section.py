"""What the run took: time, throughput and memory, by stage, chunk and backend."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from emberharmony.messages import size_text
from emberharmony.page.chart import Chart, Section, Spec, columns
from emberharmony.page.facts import Facts, StageWork
from emberharmony.page.markup import Html, element, table

MAX_POINTS: Final = 200
"""Points of one stage in the chart of chunks; of more chunks, neighbours are averaged."""

_MOST_TICKS: Final = 10


def work_section(facts: Facts) -> Section | None:
    """Return the section on time and memory; ``None`` if the run's receipts are gone."""
    if not facts.work:
        return None
    total = sum(float(work.seconds.sum()) for work in facts.work)
    lead = f"{total:,.1f} s of work, summed over chunks and workers."
    parts: list[Html | Chart | list[Chart]] = [[_by_stage(facts), _by_chunk(facts)], _stages(facts)]
    if any(work.most_bytes for work in facts.work):
        parts.append(element("p", "Process memory: the most that a process held at the end of a chunk.", class_="note"))
    if facts.planned_bytes:
        peak = (
            f"{size_text(facts.peak_bytes)} at most in the process that published and its children, "
            if facts.peak_bytes
            else ""
        )
        parts.append(element("p", f"Memory: {peak}{size_text(facts.planned_bytes)} planned.", class_="note"))
    return Section("work", "Time and memory", lead, parts)


def chunk_speeds(work: StageWork, *, most: int = MAX_POINTS) -> list[tuple[int, float]]:
    """Return rows per second by chunk: the first chunk of each group of neighbours, and the speed of all of the group.

    Examples
    --------
    >>> work = StageWork("x", np.arange(4), np.full(4, 10), np.array([1.0, 1.0, 2.0, 3.0]), ("a",) * 4)
    >>> chunk_speeds(work, most=2)
    [(0, 10.0), (2, 4.0)]
    """
    groups = np.array_split(np.arange(len(work.chunks)), min(most, len(work.chunks)))
    speeds = ((int(work.chunks[g[0]]), float(work.rows[g].sum()), float(work.seconds[g].sum())) for g in groups)
    return [(chunk, rows / seconds) for chunk, rows, seconds in speeds if seconds > 0 and rows]


def _by_stage(facts: Facts) -> Chart:
    stages, workers, seconds = list[str](), list[str](), list[float]()
    for work in facts.work:
        totals = Counter[str]()
        for worker, took in zip(work.workers, work.seconds.tolist(), strict=True):
            totals[worker] += took
        stages += [work.title] * len(totals)
        workers += totals
        seconds += totals.values()
    spec: Spec = {
        "mark": "bar",
        "height": {"step": 26},
        "encoding": {
            "y": {"field": "stage", "type": "nominal", "sort": [work.title for work in facts.work], "title": None},
            "x": {"field": "seconds", "type": "quantitative", "title": "seconds of work", "axis": {"tickCount": 5}},
            "color": {"field": "worker", "type": "nominal", "title": None, "legend": {"columns": 1}},
            "tooltip": [{"field": "stage"}, {"field": "worker"}, {"field": "seconds", "format": ",.2f"}],
        },
    }
    longest = max(facts.work, key=lambda work: float(work.seconds.sum()))
    text = f"Seconds of work by stage and worker; {longest.title} takes longest, {longest.seconds.sum():,.1f} s."
    data = columns(stage=stages, worker=workers, seconds=seconds)
    return Chart("Work by stage", spec, data, text, height=100 + 26 * len(facts.work))


def _by_chunk(facts: Facts) -> Chart:
    stages, chunks, speeds = list[str](), list[float](), list[float]()
    for work in facts.work:
        for chunk, speed in chunk_speeds(work):
            stages.append(work.title)
            chunks.append(float(chunk))
            speeds.append(speed)
    numbers = sorted({*chunks})
    ticks = {"values": numbers} if len(numbers) <= _MOST_TICKS else {}  # Vega would put some between two chunks
    spec: Spec = {
        "mark": {"type": "line", "point": {"size": 24}, "strokeWidth": 1.5},
        "encoding": {
            "x": {"field": "chunk", "type": "quantitative", "axis": {"format": "d", "grid": False, **ticks}},
            "y": {"field": "speed", "type": "quantitative", "title": "rows/s", "axis": {"format": "~s", "tickCount": 5}},
            "color": {"field": "stage", "type": "nominal", "sort": [work.title for work in facts.work], "title": None},
            "tooltip": [{"field": "stage"}, {"field": "chunk"}, {"field": "speed", "format": ",.0f"}],
        },
    }
    text = "Rows per second by chunk and stage."
    return Chart("Throughput by chunk", spec, columns(stage=stages, chunk=chunks, speed=speeds), text, height=230)


def _stages(facts: Facts) -> Html:
    rows = []
    for work in facts.work:
        total, n_rows = float(work.seconds.sum()), int(work.rows.sum())
        speed = f"{n_rows / total:,.0f}" if total and n_rows else ""
        longest = f"{float(work.seconds.max()):,.2f}"
        who = ", ".join(f"{worker} ({n:,})" for worker, n in Counter(work.workers).items())
        memory = size_text(work.most_bytes) if work.most_bytes else ""
        rows.append([work.title, f"{len(work.chunks):,}", f"{total:,.2f}", longest, speed, memory, who])
    heads = ["stage", "chunks", "seconds", "longest chunk", "rows/s", "process memory", "workers (chunks)"]
    return table(heads, rows, numbers=(1, 2, 3, 4, 5))
