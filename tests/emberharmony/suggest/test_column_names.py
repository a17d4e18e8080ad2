"""Names of columns."""

import pytest

from emberharmony.suggest.column_names import IDENTIFIER, SERIES, TARGET, TIME, has_word, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [("HTTPServer2", ("http", "server", "2")), ("a-b c", ("a", "b", "c")), ("é", ()), ("", ()), ("tsUTC", ("ts", "utc"))],
)
def test_words(name, words):
    assert words_of(name) == words


def test_words_of_roles():
    assert has_word("created_date", TIME)
    assert has_word("is_fraud", TARGET)
    assert has_word("CustomerID", SERIES)
    assert has_word("CustomerID", IDENTIFIER)
    assert not has_word("idea", IDENTIFIER)
