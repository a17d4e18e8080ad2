"""Booleans: zeros and ones, imputed, and scaled only where the job scales all features."""

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.kinds.boolean import Boolean
from emberharmony.features.specs import FeatureSpecs, NumberSpec
from tests.kinds import chunked, learnt, moved, psi, survives_json

BOOLEAN = Boolean()
VALUES = chunked([True, None, False, True], pa.bool_())


def test_left_unscaled(backend):
    fitted, _ = learnt(BOOLEAN, VALUES)
    assert BOOLEAN.transform(VALUES, fitted).tolist() == [[1.0, 1.0, 0.0, 1.0]]
    assert survives_json(fitted)


def test_scaled_where_the_job_scales_all(backend):
    fitted, _ = learnt(BOOLEAN, VALUES, FeatureSpecs(numbers=NumberSpec("all")))
    x = np.array([1.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(BOOLEAN.transform(VALUES, fitted)[0], (x - x.mean()) / x.std(), rtol=1e-6)


def test_constants_are_kept():
    fitted, _ = learnt(BOOLEAN, chunked([True, True]))
    assert fitted.features == ("c",)


def test_what_is_accepted():
    assert BOOLEAN.accepts(pa.bool_())
    assert not BOOLEAN.accepts(pa.int8())
    assert BOOLEAN.counted(FeatureSpecs()) == "nothing"


def test_drift():
    found = moved(BOOLEAN, chunked([True] * 25 + [False] * 75), chunked([True, True, False, None]))
    assert found["mean_shift"] == pytest.approx((2 / 3 - 0.25) / np.sqrt(0.25 * 0.75))
    assert found["psi"] == pytest.approx(psi([75, 25, 0], [1, 2, 1]))


def test_aggregates():
    found = BOOLEAN.aggregates("`b`", "BOOL", n_quantiles=10, n_top=3)
    assert found["mean"] == "AVG(CAST(CAST(`b` AS INT64) AS FLOAT64))"
    assert found["nonfinite"] == "0"
