"""Data types: the standard's table of promotions, against array-api-strict."""

from __future__ import annotations

import pickle
from itertools import product

import array_api_strict as strict
import numpy as np
import pytest

from emberharmony.backend import _dtypes
from emberharmony.backend._dtypes import ALL, as_dtype, in_kind, promote


@pytest.mark.parametrize(("a", "b"), [*product(ALL, ALL)], ids=lambda d: d.name)
def test_promotion_is_that_of_the_standard(a, b):
    try:
        expected = str(strict.result_type(getattr(strict, a.name), getattr(strict, b.name))).rsplit(".", 1)[-1]
    except TypeError:
        with pytest.raises(TypeError, match="do not promote"):
            promote(a, b)
    else:
        assert promote(a, b).name == expected


@pytest.mark.parametrize("kind", [*_dtypes.KINDS, ("bool", "integral")], ids=str)
@pytest.mark.parametrize("dtype", ALL, ids=lambda d: d.name)
def test_kinds_are_those_of_the_standard(dtype, kind):
    assert in_kind(dtype, kind) == strict.isdtype(getattr(strict, dtype.name), kind)


@pytest.mark.parametrize("dtype", ALL, ids=lambda d: d.name)
def test_a_data_type_is_one_object(dtype):
    assert as_dtype(dtype.name) is as_dtype(np.dtype(dtype.name)) is as_dtype(f"torch.{dtype.name}") is dtype
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert np.zeros(2, dtype).dtype == dtype.name
    assert dtype.itemsize == np.dtype(dtype.name).itemsize


@pytest.mark.parametrize(("python", "name"), [(float, "float64"), (complex, "complex128"), (bool, "bool"), (int, "int64")])
def test_types_of_python(python, name):
    assert as_dtype(python).name == name


def test_integers_out_of_range_are_refused():
    for dtype in (d for d in ALL if "integer" in d.kind):
        limits = np.iinfo(dtype.name)
        dtype.check_range(int(limits.min))
        dtype.check_range(int(limits.max))
        for wrong in (int(limits.min) - 1, int(limits.max) + 1):
            with pytest.raises(OverflowError, match=f"{wrong} is out of the range of {dtype.name}"):
                dtype.check_range(wrong)


@pytest.mark.parametrize("wrong", ["float16", "decimal", object, None])
def test_what_is_no_data_type(wrong):
    if wrong is None:  # NumPy's default
        assert as_dtype(wrong) is _dtypes.float64
        return
    with pytest.raises(TypeError, match="is not a data type"):
        as_dtype(wrong)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="Unknown kind of data type 'float'"):
        in_kind(_dtypes.float32, "float")
