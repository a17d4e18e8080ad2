"""The page holds everything that it needs, and nothing of the data can leave its place."""

from __future__ import annotations

import json
import re

import numpy as np

from emberharmony.page.document import POLICY, page
from tests.emberharmony.page.test_markup import Read
from tests.pages import HOSTILE, facts_by_hand

FACTS = facts_by_hand()
PAGE = page(FACTS, "window.vegaEmbed = '</script>';")


def data_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def test_data_cannot_end_their_script():
    found = data_of(PAGE)
    assert HOSTILE[0] in json.dumps(found, ensure_ascii=False)
    scripts = re.findall(r"<script[ >].*?</script>", PAGE, re.S)
    assert len(scripts) == 3, "data, library and the page's own"
    assert PAGE.count("</script") == 3
    assert "\u2028" not in PAGE


def test_names_are_text():
    tags = Read(PAGE).tags
    assert tags.count("b") == tags.count("figcaption") + PAGE.count("<dd><b>")
    assert tags.count("i") == 2, "the legend's"
    assert "\u202e" not in PAGE


def test_nothing_is_asked_of_other_places():
    attributes = Read(PAGE).attributes
    assert all(value.startswith("#") for key, value in attributes if key in ("src", "href"))
    assert ("content", POLICY) in attributes
    assert "default-src 'none'" in POLICY


def test_every_chart_has_its_place_and_shared_parts_are_held_once():
    found = data_of(PAGE)
    plots = [value for key, value in Read(PAGE).attributes if key == "data-chart"]
    assert sorted(set(map(int, plots))) == list(range(len(found["charts"])))
    assert len(found["specs"]) < len(found["charts"]), "distributions share one"
    assert len(found["data"]) < len(found["charts"]), "both scatter plots share their points"


def test_every_chart_has_a_text_and_every_section_a_link():
    labels = [value for key, value in Read(PAGE).attributes if key == "aria-label"]
    assert all(len(label) > 10 for label in labels if label != "Contents")
    ids = re.findall(r'<section id="(\w+)"', PAGE)
    assert ids == re.findall(r'<li><a href="#(\w+)"', PAGE)


def test_three_hundred_features_take_little_room():
    facts = facts_by_hand(n_numbers=300, strides=(1, 3, 5), size=5, n_rows=1500)
    n_bytes = len(page(facts, "").encode())
    assert n_bytes < 1_000_000, "the scripts take 0.9 MB, all of it 2 MB at most"
    assert np.isfinite(facts.rows.values).all()
