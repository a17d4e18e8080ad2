"""The site of docs/: it builds strictly, its links lead somewhere, and its pages ask nothing of any server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytestmark = pytest.mark.xdist_group("readme")

ROOT = Path(__file__).parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given.get("id", ""), given.get("name", "")}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        self.loaded |= {given[name] for name in ("src", "srcset", "data", "poster") if name in given}
        if tag == "link":
            self.loaded.add(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def outside(address: str) -> bool:
    """Whether an address is of another host."""
    return bool(urlsplit(address).netloc) or address.startswith(("http:", "https:", "//"))


def test_no_page_loads_anything_from_outside(site, pages):
    assert len(pages) > 25
    assert {name: sorted(filter(outside, page.loaded)) for name, page in pages.items() if any(map(outside, page.loaded))} == {}
    styles = {
        path.name: re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", path.read_text())
        for path in site.rglob("*.css")
    }
    assert {name: found for name, found in styles.items() if found} == {}


def test_every_link_leads_to_a_file_or_to_an_anchor_of_a_page(site, pages):
    broken = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            path = unquote(parts.path) or name
            anchors = pages[path].anchors if path in pages else ()
            if not (site / path).is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append((name, link))
    assert broken == []


def test_numbered_lists_are_one_list_each(site):
    """What belongs to an item is indented as in the repository, where it ends no list either."""
    text = (site / "deployments.html").read_text(encoding="utf-8")
    longest = max(text.split("<ol>")[1:], key=lambda part: part.split("</ol>")[0].count("<li>"))
    assert longest.split("</ol>")[0].count("<li>") == 10


def test_every_page_is_in_the_navigation(pages):
    reachable = {urlsplit(link).path for link in pages["index.html"].links}
    assert {*pages} - {"404.html", "index.html"} <= reachable


def named(nav: Any) -> Iterator[str]:
    for entry in nav if isinstance(nav, list) else nav.values():
        yield from [entry] if isinstance(entry, str) else named(entry)


def test_every_page_of_the_repository_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = set(named(yaml.safe_load(text[text.index("\nnav:") :])["nav"]))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= nav


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_pages_open_as_files_and_can_be_searched(site):
    from playwright.sync_api import TimeoutError, sync_playwright

    told, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index.html", "tutorial.html", "api.html"):
            page.goto((site / name).as_uri())
        found = page.locator(".md-search-result__item", has_text="open_result")
        # What is typed before the page's script listens is lost, and nothing on the page tells when it does.
        for _ in range(60):
            page.locator("[data-md-component=search-query]").fill("open_result")
            with suppress(TimeoutError):
                found.first.wait_for(state="attached", timeout=1_000)
                break
        n_found = found.count()
        browser.close()
    assert n_found > 0
    assert told == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
