"""NumPy's own functions and our corrections, against array-api-compat, which corrects NumPy for everybody."""

from __future__ import annotations

import subprocess
import sys

import array_api_compat.numpy as reference
import numpy as np
import pytest

from emberharmony.backend import _numpy

RNG = np.random.default_rng(7)
TIES = RNG.integers(0, 4, (3, 11)).astype(np.float64)
REPEATED = np.array([3.0, np.nan, -1.0, 3.0, np.nan, 0.0, -0.0])


def same(got, want):
    """Equal values and dtypes, of one array or of several."""
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert isinstance(one, np.ndarray | np.generic)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_sorting(name, axis, descending):
    """Equal elements keep their order in both directions."""
    settings = {"axis": axis, "descending": descending, "stable": True}
    same(getattr(_numpy, name)(TIES, **settings), getattr(reference, name)(TIES, **settings))


def test_equal_elements_keep_their_order_when_descending():
    assert _numpy.argsort(np.array([1, 2, 1, 2]), axis=0, descending=True, stable=True).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse", "unique_values"])
@pytest.mark.parametrize("x", [REPEATED, TIES], ids=["nan", "ties"])
def test_distinct_values_are_sorted_and_every_nan_is_one_of_them(name, x):
    same(getattr(_numpy, name)(x), getattr(reference, name)(x))


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_counts_are_arrays(axis, keepdims):
    got = _numpy.count_nonzero(TIES, axis=axis, keepdims=keepdims)
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got, (TIES != 0).sum(axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int32])
def test_signs(dtype):
    x = np.array([-3, 0, 5, 3 + 4j], dtype) if np.dtype(dtype).kind == "c" else np.array([-3, 0, 5], dtype)
    with np.errstate(invalid="ignore"):  # the reference divides complex zeros by their absolute values
        same(_numpy.sign(x), reference.sign(x))


def test_the_backend_imports_numpy_alone():
    slow = {"numpy.f2py", "numpy.testing", "numpy.ma", "array_api_compat", "scipy"}
    code = f"import sys, emberharmony.backend._numpy; print({slow} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
