"""The page of a run in a real browser: it asks for nothing, draws every chart, and fits every screen."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from emberharmony.page.document import page
from emberharmony.page.scripts import has_scripts, scripts
from tests.pages import HOSTILE, facts_by_hand

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: run `make browser`"),
    pytest.mark.skipif(not has_scripts(), reason="vl-convert-python is not installed"),
]

DRIFT = {
    name: {"null_share": 0.1, "null_share_change": 0.0, "psi": 0.1 + i, "psi_by_chance": 0.1} for i, name in enumerate(HOSTILE)
}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of runs of 300 features and of 8, with everything that a page can show."""
    found, libraries = {}, scripts()
    for n, size in ((300, 2), (8, 5)):
        facts = facts_by_hand(n_numbers=n, n_rows=1200, strides=(1, 3, 5), size=size)
        manifest = replace(facts.manifest, drift=DRIFT, drift_verdicts=dict.fromkeys(HOSTILE, "drifted far"))
        path = tmp_path_factory.mktemp("page") / "report.html"
        path.write_text(page(replace(facts, manifest=manifest), libraries), encoding="utf-8")
        assert path.stat().st_size <= 2_000_000
        found[n] = path.as_uri()
    return found


@pytest.fixture
def opened(browser, pages, request):
    """A page on a screen, and what it said and asked for; of 8 features, unless there should be more."""
    wanted = {"viewport": {"width": 1280, "height": 900}, "n": 8} | getattr(request, "param", {})
    address = pages[wanted.pop("n")]
    context = browser.new_context(**wanted)
    tab, heard = context.new_page(), []
    tab.on("console", lambda message: heard.append(message.text))
    tab.on("pageerror", lambda error: heard.append(str(error)))
    tab.on("request", lambda asked: heard.append(asked.url) if asked.url != address else None)
    tab.goto(address)
    yield tab
    context.close()
    assert heard == []


def drawn(tab) -> int:
    return tab.locator(".plot svg").count()


@pytest.mark.parametrize("opened", [{"n": 300}], indirect=True)
def test_charts_are_drawn_when_they_come_into_view_or_before_they_are_printed(opened):
    opened.locator("#splits .plot").scroll_into_view_if_needed()
    opened.wait_for_selector("#splits .plot svg")
    assert drawn(opened) < 20, "hundreds are far below"
    opened.locator("#work .plot").first.scroll_into_view_if_needed()
    opened.wait_for_selector("#work .plot svg")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert drawn(opened) == opened.locator(".plot").count() > 300
    empty = opened.evaluate("[...document.querySelectorAll('.plot svg')].filter(svg => !svg.querySelector('path')).length")
    assert empty == 0


def test_the_search_finds_features_everywhere(opened):
    expect = pytest.importorskip("playwright.sync_api").expect
    opened.locator("#loadings .plot").first.scroll_into_view_if_needed()
    opened.wait_for_selector("#loadings .plot svg")
    opened.fill("#search", "X5")
    expect(opened.locator("#found")).to_have_text("1 found")
    assert opened.locator("#distributions figure:visible").count() == 1
    labels = opened.locator("#loadings .plot svg").first.locator("text", has_text="x5")
    labels.first.wait_for(state="attached")
    opened.fill("#search", "")
    expect(opened.locator("#found")).to_be_empty()
    assert opened.locator("#distributions figure:visible").count() == 8


def test_a_chart_that_the_search_has_hidden_is_drawn_when_it_is_seen_again(opened):
    """It would be drawn without a width, or with an infinite height, if no row is left."""
    expect = pytest.importorskip("playwright.sync_api").expect
    opened.fill("#search", "x5")
    expect(opened.locator("#found")).to_have_text("1 found")
    hidden = opened.locator("#distributions figure[hidden] .plot")
    assert hidden.count() == 7
    assert opened.locator("#drift figure").is_hidden()  # its columns have other names
    assert opened.locator("#loadings figure").first.is_visible()
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.emulate_media(color_scheme="dark")
    opened.wait_for_timeout(100)
    assert hidden.locator("svg").count() == 0
    opened.fill("#search", "no feature")
    expect(opened.locator("#found")).to_have_text("0 found")
    assert opened.locator("#loadings figure:visible").count() == 0
    opened.fill("#search", "")
    expect(opened.locator("#found")).to_be_empty()
    opened.locator("#drift .plot").scroll_into_view_if_needed()
    opened.wait_for_selector("#drift .plot[data-drawn=dark] svg")
    opened.locator("#distributions .plot").last.scroll_into_view_if_needed()
    expect(opened.locator("#distributions .plot svg")).to_have_count(8)
    assert opened.locator("#distributions .plot[data-drawn=dark]").count() == 8


def test_numbers_of_a_chart_are_a_table_for_the_keyboard(opened):
    summary = opened.locator("#splits summary").first
    summary.focus()
    opened.keyboard.press("Enter")
    opened.wait_for_selector("#splits details[open] td")
    assert opened.locator("#splits details th").all_text_contents() == ["begin", "end", "rows", "split"]


def test_a_stride_is_chosen_from_a_list(opened):
    opened.locator("#components .plot").first.scroll_into_view_if_needed()
    select = opened.locator("#components select").first
    select.wait_for()
    points = opened.locator("#components .plot").first.locator(".mark-symbol.role-mark path")
    before = points.count()
    select.select_option(label="5")
    assert before > 4 * points.count() > 0


@pytest.mark.parametrize(
    "opened", [{"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True}], indirect=True
)
def test_a_phone_has_nothing_to_scroll_sideways(opened):
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert (
        opened.evaluate("Math.max(...[...document.querySelectorAll('.plot svg')].map(s => s.getBoundingClientRect().right))")
        <= 390
    )


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_in_the_dark_the_paper_is_dark_and_prints_are_light(opened):
    opened.locator("#splits .plot").scroll_into_view_if_needed()
    opened.wait_for_selector("#splits .plot[data-drawn=dark] svg")
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, paper.removeprefix("rgb(").removesuffix(")").split(","))) < 64
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.locator(".plot[data-drawn=dark]").count() == 0
