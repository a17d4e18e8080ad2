"""All backends agree with NumPy at signed zeros, infinities, NaN and the limits of integers; NumPy's deviations are fixed."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from emberharmony import ops
from emberharmony.backend import using_backend
from emberharmony.ops import elementwise, logic
from tests.backends import BACKENDS, on_device

FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    np.inf,
    -np.inf,
    np.nan,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    1e-30,
    -1e-30,
    1e30,
    -1e30,
    3.4e38,
    -3.5,
    2.5,
    1.5,
]
PARTS = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5]
KINDS = {
    "f": ["float32", "float64"],
    "c": ["complex64", "complex128"],
    "i": ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"],
    "b": ["bool"],
}
DEFINED_FOR = {
    "i": ["bitwise_left_shift", "bitwise_right_shift"],
    "ib": ["bitwise_and", "bitwise_invert", "bitwise_or", "bitwise_xor"],
    "b": ["logical_and", "logical_not", "logical_or", "logical_xor"],
    "f": ["atan2", "copysign", "hypot", "logaddexp", "nextafter", "signbit"],
    "c": ["conj", "imag", "real"],
    "fcib": ["equal", "not_equal"],
    "fi": ["greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "floor_divide", "remainder", "ceil",
           "floor", "trunc"],
    "fc": ["acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log", "log1p", "log2", "log10",
           "reciprocal", "sin", "sinh", "sqrt", "tan", "tanh", "divide"],
}  # fmt: skip
KINDS_OF = {name: kinds for kinds, names in DEFINED_FOR.items() for name in names}
NAMES = [name for name in elementwise.__all__ + logic.__all__ if name not in ("clip", "where")]
CASES = [(name, dtype) for name in NAMES for kind in KINDS_OF.get(name, "fci") for dtype in KINDS[kind]]


def values_of(dtype: str) -> np.ndarray:
    kind = np.dtype(dtype).kind
    if kind == "f":
        return np.array(FLOATS, dtype)
    if kind == "c":
        return np.array([complex(a, b) for a in PARTS for b in PARTS], dtype)
    if kind == "b":
        return np.array([True, False])
    limits = np.iinfo(dtype)
    return np.array([0, 1, 2, 3, 5, 7, limits.max] + ([-1, -5, limits.min + 1] if kind == "i" else []), dtype)


def arguments(name: str, dtype: str) -> list[np.ndarray]:
    values = values_of(dtype)
    if len(inspect.signature(getattr(ops, name)).parameters) == 1:
        return [values]
    a, b = np.meshgrid(values, values, indexing="ij")
    if np.dtype(dtype).kind in "iu":  # avoid what the standard leaves undefined for integers
        if name in ("floor_divide", "remainder"):
            b = np.where(b == 0, 1, b).astype(dtype)
        elif name == "pow":
            b = (np.abs(b) % 4).astype(dtype)
        elif "shift" in name:
            b = (np.abs(b) % 70).astype(dtype)  # also shifts beyond the width
    return [a, b]


def same_reals(a: np.ndarray, b: np.ndarray, rtol: float) -> np.ndarray:
    exact = (a == b) & (np.signbit(a) == np.signbit(b))
    close = np.isfinite(a) & np.isfinite(b) & (np.abs(a - b) <= rtol * np.maximum(np.abs(a), np.abs(b)))
    return exact | close & (a != 0) & (b != 0) | np.isnan(a) & np.isnan(b)


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    rtol = 1e-13 if b.dtype.itemsize // (2 if b.dtype.kind == "c" else 1) == 8 else 3e-6
    if b.dtype.kind == "f":
        return same_reals(a, b, rtol)
    if b.dtype.kind == "c":
        near = np.isfinite(a) & np.isfinite(b) & (np.abs(a - b) <= 10 * rtol * np.maximum(np.abs(a), np.abs(b)))
        return same_reals(a.real, b.real, rtol) & same_reals(a.imag, b.imag, rtol) | near
    return a == b


@pytest.mark.parametrize("backend", ["torch", "mlx"])
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_as_on_numpy(name: str, dtype: str, backend: str) -> None:
    if backend == "mlx" and dtype == "complex128":
        pytest.skip("mlx has no complex128")
    results = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # NumPy warns of NaN and infinity, which are wanted here
        for used in ("numpy", on_device(backend)):
            with using_backend(used):
                result = getattr(ops, name)(*map(ops.asarray, arguments(name, dtype)))
                results.append(result.numpy())
        want, got = results
        assert got.dtype == want.dtype
        wrong = ~same(got, want)
        if name in ("maximum", "minimum") and result.device != "cpu":  # either zero is allowed, and GPUs return the other
            wrong &= (got != 0) | (want != 0)
    where = [tuple(a[wrong][0] for a in arguments(name, dtype)), got[wrong][0], want[wrong][0]] if wrong.any() else []
    assert not wrong.any(), where


@pytest.mark.parametrize("backend", BACKENDS)
def test_floor_divide_at_infinity(backend: str) -> None:
    """Special cases of the standard that NumPy handles differently."""
    inf = np.inf
    with using_backend(on_device(backend)), np.errstate(all="ignore"):
        x1 = ops.asarray([inf, inf, -inf, -inf, 1.0, -1.0, 1.0, -1.0])
        x2 = ops.asarray([1.0, -1.0, 1.0, -1.0, inf, inf, -inf, -inf])
        got = ops.floor_divide(x1, x2).numpy()
    np.testing.assert_array_equal(got[:4], [inf, -inf, -inf, inf])
    np.testing.assert_array_equal(np.signbit(got[4:]), [False, True, True, False])
    assert (got[4:] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_complex_expm1_at_infinity(backend: str) -> None:
    """Special cases of the standard in which NumPy's formula gives NaN."""
    inf, nan = np.inf, np.nan
    z = [complex(inf, 0.0), complex(-inf, inf), complex(-inf, nan), complex(inf, inf), complex(inf, nan), complex(nan, 0.0)]
    with using_backend(on_device(backend)), np.errstate(all="ignore"):
        got = ops.expm1(ops.asarray(np.array(z, np.complex64))).numpy()
    np.testing.assert_array_equal(got.real, [inf, -1, -1, inf, inf, nan])
    np.testing.assert_array_equal(got.imag, [0, 0, 0, nan, nan, 0])


ROOTS = [
    (-np.inf, 0.5, np.inf),
    (-np.inf, -0.5, 0.0),
    (-0.0, 0.5, 0.0),
    (-0.0, -0.5, np.inf),
    (np.inf, 0.5, np.inf),
    (4.0, 0.5, 2.0),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("base", "exponent", "want"), ROOTS)
def test_power_is_no_square_root(base: float, exponent: float, want: float, dtype: str, backend: str) -> None:
    """Libraries compute an exponent of 0.5 as a square root, which turns -inf into NaN and keeps the sign of -0."""
    with using_backend(on_device(backend)), np.errstate(all="ignore"):
        x, y = ops.asarray(base, dtype=dtype), ops.asarray(exponent, dtype=dtype)
        vector = ops.asarray([base] * 9, dtype=dtype)
        for got in (ops.pow(x, y), x**exponent, base**y, vector**exponent, vector**y):
            values = got.numpy()
            assert got.dtype.name == dtype
            assert (values == want).all()
            assert not np.signbit(values).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_number_divided_by_tensor_is_rounded_once(backend: str) -> None:
    """Division is not computed as multiplication by the reciprocal, which overflows for the smallest numbers."""
    values = np.array([3.0, 7.0, 10.0, 49.0, 5e-324, 1e-310])
    with using_backend(on_device(backend)):
        x = ops.asarray(values)
        np.testing.assert_array_equal((0.0 / x).numpy(), 0.0 / values)
        np.testing.assert_array_equal((5.0 / x[:4]).numpy(), 5.0 / values[:4])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_acos_of_zero(backend: str, dtype: str) -> None:
    with using_backend(on_device(backend)):
        got = ops.acos(ops.asarray([0j, complex(-0.0, 0.0)], dtype=dtype)).numpy()
    np.testing.assert_allclose(got.real, np.pi / 2, rtol=1e-6)
    np.testing.assert_array_equal(got.imag, [0.0, 0.0])
    assert np.signbit(got.imag).all()
