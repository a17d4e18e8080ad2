"""Text never becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from emberharmony.page.markup import Html, element, name, plain, table
from tests.pages import HOSTILE


class Read(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.attributes = [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_text_and_attributes_are_escaped(text):
    read = Read(element("p", text, title=text, data_name=text))
    assert read.tags == ["p"]
    assert [key for key, _ in read.attributes] == ["title", "data-name"]
    assert read.text == read.attributes[0][1]
    assert "\u202e" not in read.text, "what turns the direction of writing around is shown as its code"


def test_html_is_kept():
    assert element("p", Html("<b>1</b>"), "<") == "<p><b>1</b>&lt;</p>"


def test_a_table_has_a_head_a_name_for_each_row_and_numbers_on_the_right():
    html = table(["column", "rows"], [[name("<A>"), "1,000"]], numbers=(1,), searched=True)
    read = Read(html)
    assert read.tags == ["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "th", "bdi", "td"]
    assert read.text == "columnrows<A>1,000"
    assert ("data-name", "<a>") in read.attributes
    assert '<td class="n">1,000</td>' in html
    assert "<thead>" not in table([], [["a", "b"]])


def test_the_search_compares_small_letters():
    assert plain(name("A&B")) == "a&b"
