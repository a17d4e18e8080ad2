"""The pictures of the tutorial: a script draws them from any result of the flights, and those that are committed are small."""

from __future__ import annotations

import json
import re
import runpy
from xml.etree import ElementTree as ET

import pytest

from tests.documents import ROOT

pytestmark = pytest.mark.xdist_group("readme")

FIGURES = ROOT / "docs/figures"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def nights(tmp_path):
    """Folder of two nights, of whose manifests only the drift matters."""
    for night, psi in {"2013-12-01": 0.3, "2013-12-02": 6.0}.items():
        (tmp_path / f"slice={night}").mkdir()
        drift = {"temp": {"rows": 900, "psi": psi}, "carrier": {"rows": 900, "psi": 0.0}, "time_hour": {"rows": 900}}
        (tmp_path / f"slice={night}/manifest.json").write_text(json.dumps({"drift": drift}))
    return tmp_path


def texts(svg):
    return {"".join(element.itertext()).strip() for element in ET.parse(svg).iter(f"{SVG}text")}


def test_the_script_draws_the_pictures_of_the_tutorial(newcomer, nights, tmp_path):
    draw = runpy.run_path(str(FIGURES / "draw.py"))["draw"]
    drawn = draw(newcomer / "data/flights-features", nights, tmp_path)
    assert {path.name for path in drawn} == set(
        re.findall(r"\(figures/([\w-]+\.svg)\)", (ROOT / "docs/tutorial.md").read_text())
    )
    shown = {path.stem: texts(path) for path in drawn}
    assert {"stride 1", "stride 3", "stride 5"} <= shown["explained-variance"]
    assert {"Mon", "Sun", "mean minutes late"} <= shown["week"]
    assert {"12-01", "12-02", "temp", "carrier"} <= shown["drift"]
    assert "time_hour" not in shown["drift"]
    assert {"component 1", "component 2", "mean hour of the day"} <= shown["components"]


@pytest.mark.parametrize("path", sorted(FIGURES.glob("*.svg")), ids=lambda path: path.stem)
def test_a_committed_picture_is_small_and_asks_for_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 120_000
    ET.fromstring(text)
    loaded = re.findall(r"(?:href|src)=[\"']([^#\"'][^\"']*)", text)
    assert [address[:30] for address in loaded if not address.startswith("data:")] == []
