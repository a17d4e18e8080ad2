"""What has changed from one state to the next, in lines of text."""

from __future__ import annotations

from dataclasses import replace

from emberharmony.pipeline.state_comparison import StateComparison, VocabularyChange
from emberharmony.report.state_changes import change_texts, comparison_lines

NOTHING = StateComparison((9, 9), (3, 3), (), (), {}, {}, {}, {})


def texts(**changes):
    return list(change_texts(replace(NOTHING, **changes)))[1:]


def test_rows_and_features():
    assert list(change_texts(replace(NOTHING, rows=(1200, 1300), features=(45, 46)))) == [
        "1,200 -> 1,300 training rows, 45 -> 46 features"
    ]


def test_columns_and_kinds():
    found = texts(columns_added=("a", "b"), columns_removed=("c",), kinds={"d": ("numeric", "categorical")})
    assert found == ["columns added: a, b", "columns removed: c", "d was numeric and is categorical"]


def test_categories_with_the_most_changes_come_first():
    few, many = VocabularyChange(("x",), ()), VocabularyChange(tuple("abcdefg"), ("z",))
    assert texts(categories={"few": few, "many": many}) == [
        "categories of many: 7 added (a, b, c, d, e and 2 more), 1 removed (z)",
        "categories of few: 1 added (x)",
    ]
    assert texts(categories={f"c{i}": few for i in range(8)})[-1] == "categories of 3 more columns"


def test_medians_that_moved_furthest_come_first():
    assert texts(medians={"a": 0.09, "b": -0.01}) == ["no median of 2 columns has moved by 0.1 of the earlier scale or more"]
    assert texts(medians={"a": 0.11, "b": -1.5, "c": 0.0}) == [
        "medians moved, in units of the earlier scale: b -1.50, a +0.11"
    ]
    assert texts(medians={f"c{i}": 1.0 for i in range(7)})[0].endswith("c4 +1.00 and 2 more")


def test_explained_variance():
    found = texts(explained={"1": ((0.5, 0.25), (0.5,)), "3": ((), (0.125,)), "5": ((0.5, 0.25), (0.5, 0.125))})
    assert found == [
        "stride 1: 75.0% by 2 components -> 50.0% by 1 component",
        "stride 3: no windows -> 12.5% by 1 component",
        "stride 5: 75.0% -> 62.5% of the training windows' variance, 2 components",
    ]


def test_lines_of_a_manifest():
    assert list(comparison_lines({})) == []
    comparison = {"address": "s3://lake/states/a?region=x", "fingerprint": "0123", **NOTHING.to_json()}
    assert list(comparison_lines(comparison)) == [
        ("compared", "with s3://lake/states/a, fingerprint 0123:"),
        ("", "9 -> 9 training rows, 3 -> 3 features"),
    ]
