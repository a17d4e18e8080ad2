"""A feature is what its formula says: pandas evaluates it, and knows nothing of the kinds of columns."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from emberharmony.features.columns import ColumnRoles, FeatureColumn
from emberharmony.features.kinds.registry import KINDS, kind_named
from emberharmony.features.preprocessing import datetime_features, encode, fit_preprocessing
from emberharmony.features.specs import CategorySpec, CyclicalSpec, FeatureSpecs, NumberSpec
from emberharmony.stats.categories import TopCategories
from emberharmony.steps.profile import profile_rows

N = 60
RNG = np.random.default_rng(0)
MISSING = RNG.random(N) < 0.2
SECONDS = RNG.integers(-(10**9), 2 * 10**9, N)
FLOATS = np.where(RNG.random(N) < 0.1, np.inf, RNG.normal(1e6, 3.0, N))
FEW = RNG.integers(-1, 6, N)


def of(values, type_=None, **kwargs):
    return pa.array(values, type_, mask=MISSING, **kwargs)


TIMES = of(SECONDS * 1_000, pa.timestamp("ms"))
COLUMNS = {
    "int": ("numeric", of(RNG.integers(-100, 100, N), pa.int16())),
    "float": ("numeric", of(FLOATS)),
    "nan": ("numeric", pa.array(np.where(MISSING, np.nan, FLOATS))),
    "decimal": ("numeric", pa.array([None if m else Decimal(int(i)) / 8 for m, i in zip(MISSING, FEW, strict=True)])),
    "duration": ("numeric", of(SECONDS, pa.duration("ms"))),
    "time": ("numeric", of(SECONDS % 86_400, pa.int32()).cast(pa.time32("s"))),
    "flag": ("boolean", of(FEW > 2)),
    "text": ("categorical", of([f"it's {i}" for i in FEW])),
    "dictionary": ("categorical", of([f"a {i}" for i in FEW]).dictionary_encode()),
    "whole": ("categorical", of(FEW)),
    "fraction": ("categorical", of(FEW / 10, pa.float32())),
    "cents": ("categorical", pa.array([None if m else Decimal(int(i)) / 8 for m, i in zip(MISSING, FEW, strict=True)])),
    "endless": ("categorical", of(np.where(FEW > 3, -np.inf, FEW / 4))),
    "truth": ("categorical", of(FEW > 2)),
    "bytes": ("categorical", of([f"{i} é".encode() for i in FEW], pa.binary())),
    "one": ("categorical", pa.array(["same"] * N)),
    "naive": ("datetime", TIMES),
    "utc": ("datetime", TIMES.cast(pa.timestamp("us", "UTC"))),
    "zoned": ("datetime", TIMES.cast(pa.timestamp("ms", "Asia/Kolkata"))),
    "date": ("datetime", of(SECONDS // 86_400, pa.int32()).cast(pa.date32())),
    "date64": ("datetime", of(SECONDS // 86_400 * 86_400_000, pa.int64()).cast(pa.date64())),
}
SPECS = {
    "defaults": FeatureSpecs(),
    "scaled": FeatureSpecs(numbers=NumberSpec(scale="all"), categories=CategorySpec(max_categories=3)),
    "calendar": FeatureSpecs(datetime=CyclicalSpec(cycle="calendar", time_zone="America/New_York", epoch=True)),
    "offset": FeatureSpecs(datetime=CyclicalSpec(time_zone="-03:30", epoch=True), numbers=NumberSpec(scale="all")),
}


def fitted(rows, specs, kinds):
    features = tuple(FeatureColumn(name, kinds[name]) for name in rows.column_names)
    profiles = profile_rows(rows, features, specs)
    most = specs.categories.max_categories
    top = {name: TopCategories(p.categories.top(most), p.categories.n_distinct) for name, p in profiles.items()}
    roles = ColumnRoles(features=features, time=None, target=None, passthrough=(), dropped=())
    return fit_preprocessing(roles, profiles, top, specs, high_null_threshold=0.9)


@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS.keys())
def test_pandas_computes_every_feature_from_its_formula(specs):
    rows = pa.table({name: values for name, (_, values) in COLUMNS.items()})
    found = fitted(rows.slice(0, N // 2), specs, {name: kind for name, (kind, _) in COLUMNS.items()})
    assert {column.kind for column in found.columns} == KINDS.keys()
    block = encode(rows, datetime_features(rows, found), found)
    frame, place = rows.to_pandas(), 0
    for column in found.columns:
        formulas = kind_named(column.kind).formulas(column, rows.schema.field(column.name).type)
        assert len(formulas) == len(column.features)
        for name, formula in zip(column.features, formulas, strict=True):
            expected = eval(formula.expression, {"np": np, "pd": pd, "x": frame[column.name]})
            np.testing.assert_allclose(block[place], np.asarray(expected, float), atol=2e-5, rtol=1e-5, err_msg=name)
            np.testing.assert_array_equal(formula.evaluate(frame[column.name]), np.asarray(expected, float))
            assert column.name in formula.text
            place += 1
    assert place == len(block)


def test_the_numbers_in_a_text_are_those_of_the_expression():
    rows = pa.table({"delay": [1.0, 2.0, 6.0, 7.0], "t": pa.array([0] * 4, pa.timestamp("s")), "c": ["a", "a", "b", None]})
    kinds = {"delay": "numeric", "t": "datetime", "c": "categorical"}
    formulas = {
        name: formula
        for column in fitted(rows, FeatureSpecs(), kinds).columns
        for name, formula in zip(
            column.features, kind_named(column.kind).formulas(column, rows.schema.field(column.name).type), strict=True
        )
    }
    assert formulas["delay"].text == "(delay - 4) / 2.54951"
    assert formulas["delay"].parameters == {"median": 4.0, "mean": 4.0, "deviation": np.sqrt(6.5)}
    assert formulas["t_sin_hour"].text == "sin(2π · hour(t) / 23)"
    assert formulas["t_cos_day"].text == "cos(2π · (day(t) - 1) / 30)"
    assert formulas["c_a"].text == "1 where c is 'a', else 0"
    assert formulas["c_other"].text == "1 where c is none of the 2 values with a feature of their own, else 0"
    assert "become the training median 4" in formulas["delay"].missing


def test_code_in_a_value_is_a_text():
    value = "') or __import__('os').abort() or ('"
    rows = pa.table({"c": [value, "b", dt.date.min.isoformat()]})
    (column,) = fitted(rows, FeatureSpecs(), {"c": "categorical"}).columns
    ones = [f.evaluate(rows.to_pandas()["c"]).tolist() for f in kind_named("categorical").formulas(column, pa.string())]
    assert ones == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
