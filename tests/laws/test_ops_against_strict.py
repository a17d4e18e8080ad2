"""Every function of the namespace gives what array-api-strict gives: dtype, shape and values, on every backend."""

from __future__ import annotations

import warnings
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from emberharmony import ops
from emberharmony.backend import available_backends, using_backend
from emberharmony.ops import Tensor
from tests.backends import BACKENDS, on_device
from tests.ops_cases import CASES
from tests.ops_cases.arguments import Arg, D

INSTALLED = [name for name in BACKENDS if name in available_backends()]


def given_to(xp: Any, argument: Any) -> Any:
    if isinstance(argument, Arg):
        return xp.asarray(argument.values.copy(), dtype=getattr(xp, argument.values.dtype.name))
    if isinstance(argument, D):
        return getattr(xp, argument.name)
    return [given_to(xp, a) for a in argument] if isinstance(argument, list) else argument


def function(xp: Any, name: str) -> Any:
    for part in name.split("."):
        xp = getattr(xp, part)
    return xp


def host(x: Any) -> np.ndarray:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x._array)


def assert_same(got: Any, want: Any, what: str) -> None:
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want), what
        for g, w in zip(got, want, strict=True):
            assert_same(g, w, what)
        return
    assert isinstance(got, Tensor), what
    a, b = host(got), host(want)
    assert got.dtype is getattr(ops, b.dtype.name), f"{what}: dtype {got.dtype.name}, not {b.dtype}"
    assert got.shape == b.shape, f"{what}: shape {got.shape}, not {b.shape}"
    rtol, atol = (2e-5, 2e-4) if b.dtype in (np.float32, np.complex64) else (1e-11, 1e-10)
    if b.dtype.kind in "fc":
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=what)
    else:
        np.testing.assert_array_equal(a, b, err_msg=what)


def uses_complex128(x: Any) -> bool:
    if isinstance(x, (tuple, list)):
        return any(uses_complex128(e) for e in x)
    if isinstance(x, D):
        return x.name == "complex128"
    values = x.values if isinstance(x, Arg) else x if isinstance(x, np.ndarray) else getattr(x, "_array", None)
    return isinstance(values, (np.ndarray, np.generic)) and values.dtype == np.complex128


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(data=st.data())
def test_same_as_strict(name: str, data: Any) -> None:
    """Each example is drawn once for all backends: drawing takes longer than computing."""
    args, keywords = CASES[name](data.draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of NaN and infinity, which are wanted here
        want = function(strict, name)(
            *(given_to(strict, a) for a in args), **{k: given_to(strict, v) for k, v in keywords.items()}
        )
        arrays = [a.values for a in args if isinstance(a, Arg)]
        promoted = np.empty(0, np.result_type(*arrays) if arrays else None)  # complex64 beside float64
        double = uses_complex128([*args, *keywords.values(), want, promoted])
        for backend in (backend for backend in INSTALLED if not (backend == "mlx" and double)):
            note(f"backend {backend}")
            with using_backend(on_device(backend)):
                got = function(ops, name)(
                    *(given_to(ops, a) for a in args), **{k: given_to(ops, v) for k, v in keywords.items()}
                )
                assert_same(got, want, f"{backend}: {name}(*{args}, **{keywords})")
