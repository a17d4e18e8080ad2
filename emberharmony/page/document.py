"""The page: its sections, the data of its charts and the scripts that draw them, in one file that asks for nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from emberharmony.page.chart import Chart, Section
from emberharmony.page.column_sections import applied_section, category_section, distribution_section, null_section
from emberharmony.page.drift_section import drift_section, gate_section
from emberharmony.page.facts import Facts
from emberharmony.page.markup import Html, element, join
from emberharmony.page.overview import headlines, overview, split_section
from emberharmony.page.window_sections import component_section, loading_section, variance_section
from emberharmony.page.work_section import work_section

POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing."""

SECTIONS: Final = (
    overview,
    split_section,
    null_section,
    distribution_section,
    applied_section,
    category_section,
    variance_section,
    loading_section,
    component_section,
    drift_section,
    gate_section,
    work_section,
)
"""Each returns a section of the page from the facts, or ``None``."""


@dataclass
class _Drawn:
    """Charts, specifications and data of a page; what several charts share is held once."""

    charts: list[dict[str, int]] = field(default_factory=list)
    specs: list[Any] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)

    def add(self, chart: Chart) -> int:
        """Add a chart; returns its number."""
        self.charts.append({"spec": self._place(self.specs, chart.spec), "data": self._place(self.data, chart.data)})
        return len(self.charts) - 1

    def json(self) -> str:
        """Return all of it, in characters that cannot end a script."""
        everything = {"charts": self.charts, "specs": self.specs, "data": self.data}
        text = json.dumps(everything, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        for character in "<>&\u2028\u2029":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text

    def _place(self, known: list[Any], value: Any) -> int:
        if id(value) not in self._places:
            self._places[id(value)] = len(known)
            known.append(value)  # it is held from now on, so its identity stays its own
        return self._places[id(value)]


def page(facts: Facts, scripts: str) -> str:
    """Return the page of a run as HTML.

    Parameters
    ----------
    facts : Facts
        What the page says.
    scripts : str
        Scripts that define `vegaEmbed`, see `emberharmony.page.scripts`.
    """
    drawn, manifest = _Drawn(), facts.manifest
    sections = [section for section in (make(facts) for make in SECTIONS) if section is not None]
    title = facts.place.rstrip("/").rpartition("/")[2]
    brand = f"emberharmony {manifest.kind}"
    body = join(
        [
            element("header", element("p", brand, class_="brand"), element("h1", title), headlines(facts)),
            _contents(sections),
            element("main", *(_section(section, drawn) for section in sections), id="main"),
            element("footer", f"Written {manifest.created}. This file is complete: it loads nothing from anywhere."),
        ]
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            f"<style>{_file('report.css')}</style></head><body>",
            element("a", "Skip to the content", href="#main", class_="skip"),
            body,
            f'<script type="application/json" id="data">{drawn.json()}</script>',
            f"<script>{scripts.replace('</script', '<' + chr(92) + '/script')}</script>",
            f"<script>{_file('report.js')}</script>",
            "</body></html>",
        ]
    )


def _contents(sections: Sequence[Section]) -> Html:
    links = (element("li", element("a", section.title, href=f"#{section.key}")) for section in sections)
    search = element("input", type="search", id="search", placeholder="Search columns and features", autocomplete="off")
    label = element("label", element("span", "Search columns and features", class_="hidden"), search)
    found = element("output", "", id="found", for_="search")
    return element("nav", element("div", label, found, class_="search"), element("ol", *links), aria_label="Contents")


def _section(section: Section, drawn: _Drawn) -> Html:
    parts = (
        part if isinstance(part, Html) else _figure(part, drawn) if isinstance(part, Chart) else _beside(part, drawn)
        for part in section.parts
    )
    lead = [element("p", section.lead, class_="lead")] if section.lead else []
    heading = element("h2", section.title, id=f"{section.key}-title")
    return element("section", heading, *lead, *parts, id=section.key, aria_labelledby=f"{section.key}-title")


def _beside(charts: Iterable[Chart], drawn: _Drawn) -> Html:
    figures = [_figure(chart, drawn) for chart in charts]
    return element("div", *figures, class_="pair" if len(figures) == 2 else "cards")


def _figure(chart: Chart, drawn: _Drawn) -> Html:
    number = drawn.add(chart)
    caption = element("figcaption", element("b", chart.title), element("span", chart.text))
    plot = element(
        "div",
        class_="plot",
        role="img",
        aria_label=f"{chart.title}. {chart.text}",
        data_chart=f"{number}",
        style=f"min-height:{chart.height}px",
    )
    controls = element("div", class_="controls")  # apart: an image has no controls in it
    numbers = element("details", element("summary", "Numbers"), data_chart=f"{number}")
    named = {"data_name": chart.name.lower()} if chart.name else {}
    return element("figure", caption, controls, plot, numbers, **named)


def _file(name: str) -> str:
    return files("emberharmony.page").joinpath(name).read_text(encoding="utf-8")
