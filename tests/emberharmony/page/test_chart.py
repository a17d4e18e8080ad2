"""The data of charts, in few bytes, give the rows that went in."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from emberharmony.page.chart import binned, choice, columns, grid, in_digits
from tests.pages import HOSTILE, rows_of


def test_columns_hold_four_digits_and_every_text_once():
    x, names = [np.pi * 1000, -1e-7 / 3, 5.0, np.nan], [*HOSTILE[:2], *HOSTILE[:2]]
    data = columns(x=x, name=names)
    assert [row["name"] for row in rows_of(data)] == names
    assert [row["x"] for row in rows_of(data)] == [3142, -3.333e-08, 5, None]
    assert len(data["columns"][1]["names"]) == 2


def test_a_grid_is_the_product_of_its_axes():
    values = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4))
    rows = rows_of(grid({"a": [1, 2], "b": list("xyz"), "c": range(4)}, "v", values, step=0.001))
    expected = [(a, b, c) for a, b, c in itertools.product([1, 2], "xyz", range(4))]
    assert [(row["a"], row["b"], row["c"]) for row in rows] == expected
    np.testing.assert_allclose([row["v"] for row in rows], values.ravel(), atol=0.0005)


def test_bins_are_as_wide_as_those_of_pandas():
    rows = rows_of(binned({"training": [0.25, 0.5, 0.25], "rest": [0.0, 1.0, 0.0]}, -3.0, 3.0))
    edges = pd.interval_range(-3.0, 3.0, periods=3)
    assert [(row["value"], row["value_end"]) for row in rows[:3]] == [(edge.left, edge.right) for edge in edges]
    assert [row["share"] for row in rows if row["group"] == "rest"] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_json_cannot_hold_is_null(value):
    assert in_digits(value) is None


def test_a_choice_begins_with_its_first_option():
    assert choice("stride", "Stride", [3, 5])["value"] == 3
