"""Profiles of rows: each column by its kind, any chunking the same."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.errors import DataError
from emberharmony.features.columns import FeatureColumn
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.steps.profile import profile_rows

RNG = np.random.default_rng(3)
X = np.where(RNG.random(300) < 0.1, np.nan, RNG.normal(size=300))
WORDS = RNG.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2])
ROWS = pa.table({"x": pa.array(X, from_pandas=True), "s": pa.array(WORDS), "unused": pa.nulls(300)})
COLUMNS = (FeatureColumn("x", "numeric"), FeatureColumn("s", "categorical"))


@pytest.mark.parametrize("cuts", [[], [100], [0, 1, 299]])
def test_profiles_are_those_of_numpy(cuts):
    edges = [0, *cuts, 300]
    parts = [ROWS.slice(a, b - a) for a, b in pairwise(edges)]
    profiles = [profile_rows(part, COLUMNS, FeatureSpecs()) for part in parts]
    assert all(profile.keys() == {"x", "s"} for profile in profiles)
    x, s = (reduce(ColumnProfile.merge, (profile[name] for profile in profiles)) for name in ("x", "s"))
    known = X[np.isfinite(X)]
    assert (x.n_rows, x.n_null, x.moments.count) == (300, 300 - len(known), len(known))
    assert x.moments.mean == pytest.approx(known.mean(), rel=1e-12)
    assert x.moments.variance == pytest.approx(known.var(), rel=1e-12)
    assert x.quantiles.median() == pytest.approx(np.median(known), rel=1e-12)
    values, counts = np.unique(WORDS, return_counts=True)
    assert dict(s.categories.top(5)) == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_an_error_names_the_column():
    rows = ROWS.append_column("raw", pa.array([b"\xff"] * 300))
    with pytest.raises(DataError, match="'raw'"):
        profile_rows(rows, [*COLUMNS, FeatureColumn("raw", "categorical")], FeatureSpecs())
