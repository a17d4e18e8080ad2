"""scikit-learn's array API dispatch computes with tensors, on every backend."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler

from emberharmony import ops
from emberharmony.ops import Tensor

# SciPy reads this once, when it is imported, which another test has done long before.
DISPATCH = os.environ.get("SCIPY_ARRAY_API") == "1"
dispatches = pytest.mark.skipif(not DISPATCH, reason="runs in the process that test_in_a_process_of_its_own starts")


@pytest.mark.skipif(DISPATCH, reason="this is that process")
def test_in_a_process_of_its_own():
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env={**os.environ, "SCIPY_ARRAY_API": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.fixture
def x(backend) -> Tensor:
    return ops.asarray(np.random.default_rng(0).normal(size=(40, 6)))


ESTIMATORS = [
    StandardScaler(),
    MinMaxScaler(),
    MaxAbsScaler(),
    Normalizer(),
    PCA(n_components=3, svd_solver="full"),
    PCA(n_components=3, svd_solver="covariance_eigh"),
    PCA(n_components=2, svd_solver="full", whiten=True),
]


@dispatches
# scikit-learn silences NumPy where it divides zero by zero on purpose, but not NumPy behind another namespace.
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_transformers(estimator, x):
    want = estimator.fit_transform(np.array(x))
    with config_context(array_api_dispatch=True):
        got = estimator.fit_transform(x)
    assert isinstance(got, Tensor)
    assert got.backend == x.backend
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6, atol=1e-8)


@dispatches
def test_ridge(x):
    y = x[:, 0] * 2 + x[:, 1]
    want = Ridge(solver="svd").fit(np.array(x), np.array(y)).predict(np.array(x))
    with config_context(array_api_dispatch=True):
        got = Ridge(solver="svd").fit(x, y).predict(x)
    assert got.backend == x.backend
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6, atol=1e-8)


@dispatches
def test_linear_discriminant_analysis(x):
    y = ops.astype(x[:, 0] > 0, ops.int64)
    want = LinearDiscriminantAnalysis().fit(np.array(x), np.array(y)).predict(np.array(x))
    with config_context(array_api_dispatch=True):
        got = LinearDiscriminantAnalysis().fit(x, y).predict(x)
    assert got.backend == x.backend
    np.testing.assert_array_equal(got.numpy(), want)


@dispatches
def test_metrics(x):
    a, b = x[:, 0], x[:, 1]
    with config_context(array_api_dispatch=True):
        assert float(mean_squared_error(a, b)) == pytest.approx(mean_squared_error(np.array(a), np.array(b)))
        assert float(r2_score(a, b)) == pytest.approx(r2_score(np.array(a), np.array(b)))
        p, q = ops.astype(a > 0, ops.int64), ops.astype(b > 0, ops.int64)
        assert float(accuracy_score(p, q)) == pytest.approx(accuracy_score(np.array(p), np.array(q)))
        distances = euclidean_distances(x)
    np.testing.assert_allclose(distances.numpy(), euclidean_distances(np.array(x)), atol=1e-7)
