"""Edges at which backends are known to fall short: gaps_<backend>.py lists who fails which, and why."""

from __future__ import annotations

import operator
import warnings
from importlib import import_module

import numpy as np
import pytest

from emberharmony import ops

GAPS = {name: import_module(f"tests.emberharmony.ops.gaps_{name}").GAPS for name in ("numpy", "torch", "mlx")}


@pytest.fixture(autouse=True)
def known_gap(request, backend):
    reason = GAPS[backend].get(request.node.originalname)
    if reason is not None:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def test_complex128(backend):
    assert ops.asarray([1j], dtype=ops.complex128).tolist() == [1j]


def test_spectrum_of_float64_is_complex128(backend):
    assert ops.fft.fft(ops.asarray([1.0, 2.0], dtype=ops.float64) + 0j).dtype is ops.complex128


def test_write_backwards_beside_index_arrays(backend):
    x = ops.zeros((3, 3))
    x[::-1, ops.asarray([0, 2])] = ops.asarray([[1.0, 2.0]] * 3)
    assert x.sum().item() == 9.0


def test_subnormal_numbers_survive(backend):
    tiny = np.float32(1e-44)
    assert (ops.asarray(np.array([tiny])) * 1.0).tolist() == [float(tiny)]


def test_float64_functions_are_accurate(backend):
    x = np.linspace(0.1, 5.0, 100)
    for name in ("sin", "cos", "exp", "log", "tanh"):
        np.testing.assert_allclose(getattr(ops, name)(ops.asarray(x)).numpy(), getattr(np, name)(x), rtol=1e-14)


def test_int64_is_exact(backend):
    x = ops.asarray([2**62 + 1, -(2**62) - 1])
    assert ((x // 3) * 3 + x % 3).tolist() == x.tolist()
    assert ops.sum(ops.asarray([2**53, 1])).item() == 2**53 + 1
    assert ops.take(x, ops.asarray([1])).tolist() == [-(2**62) - 1]


def test_mean_of_int64_does_not_overflow(backend):
    assert ops.mean(ops.asarray([2**62, 2**62])).item() == float(2**62)


ELEMENTARY = [
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log", "log1p", "log2", "log10",
    "reciprocal", "sin", "sinh", "sqrt", "tan", "tanh",
]  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTARY)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint64"])
def test_elementary_functions_of_integers_are_float64(backend, name, dtype):
    with np.errstate(all="ignore"):
        got = getattr(ops, name)(ops.ones(3, dtype=dtype))
        want = getattr(np, name)(np.ones(3))
    assert got.dtype is ops.float64
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-15)


@pytest.mark.parametrize("name", ["atan2", "copysign", "hypot", "logaddexp", "nextafter"])
def test_elementary_functions_of_two_integers_are_float64(backend, name):
    x = ops.asarray([1, 2, 3], dtype=ops.int8)
    want = getattr(np, name)(np.array([1.0, 2.0, 3.0]), 2.0)
    for got in (getattr(ops, name)(x, ops.full_like(x, 2)), getattr(ops, name)(x, 2), getattr(ops, name)(x, 2.0)):
        assert got.dtype is ops.float64
        np.testing.assert_allclose(got.numpy(), want, rtol=0 if x.device == "cpu" else 1e-15)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", "int64", "float64"])
def test_clip_by_bounds_that_are_read_only(backend, dtype):
    bounds = np.array([2, 3, 9], dtype)
    bounds.flags.writeable = False
    x = ops.asarray(np.array([1, 5, 7], dtype))
    low = ops.asarray(bounds)
    assert ops.clip(x, min=low).tolist() == [2, 5, 9]
    assert ops.clip(x, max=low).tolist() == [1, 3, 7]
    assert ops.clip(x).tolist() == x.tolist()
    assert bounds.tolist() == [2, 3, 9]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_linspace_of_unsigned_integers(backend, dtype):
    x = ops.linspace(0, 10, 5, dtype=dtype, endpoint=False)
    assert (x.dtype.name, x.tolist()) == (dtype, [0, 2, 4, 6, 8])


@pytest.mark.parametrize(
    ("start", "stop", "num", "dtype"),
    [(0, 2**53 + 1, 2, "uint64"), (2**64 - 7, 2**63 - 1, 4, "uint64"), (-(2**63), 2**63 - 1, 6, "int64"), (7, -9, 8, "int8")],
)
@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace_of_integers_is_exact(backend, start, stop, num, dtype, endpoint):
    x = ops.linspace(start, stop, num, dtype=dtype, endpoint=endpoint)
    steps = num - 1 if endpoint else num
    assert x.dtype.name == dtype
    assert x.tolist() == [start + i * (stop - start) // steps for i in range(num)]


def test_arange_of_large_integers(backend):
    x = ops.arange(0, 2**64 - 1, 2**62, dtype=ops.uint64)
    assert (x.dtype, x.tolist()) == (ops.uint64, [0, 2**62, 2**63, 3 * 2**62])
    assert ops.arange(0, 1, 2**63, dtype=ops.uint64).tolist() == [0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_totals_in_any_integer_data_type(backend, dtype):
    x = ops.asarray([[1, 2], [3, 4]], dtype=ops.int8)
    for name, want in (("sum", 10), ("prod", 24), ("linalg.trace", 5)):
        total = operator.attrgetter(name)(ops)(x, dtype=dtype)
        assert (total.dtype.name, total.tolist()) == (dtype, want)
    for name, want in (("cumulative_sum", [1, 3]), ("cumulative_prod", [1, 2])):
        total = getattr(ops, name)(x[0, :], dtype=dtype)
        assert (total.dtype.name, total.tolist()) == (dtype, want)


def test_index_arrays_of_several_data_types(backend):
    x = ops.asarray([[1, 2], [3, 4]])
    rows, columns = ops.asarray([1, 0]), ops.asarray([0, 1], dtype=ops.uint64)
    assert x[rows, columns].tolist() == [3, 2]
    x[rows, columns] = 0
    assert x.tolist() == [[1, 0], [0, 4]]


@pytest.mark.parametrize("place", [3, -4])
def test_index_arrays_out_of_bounds(backend, place):
    """MLX itself reads, and writes, what lies beyond."""
    x = ops.asarray([[1.0, 2.0]] * 3)
    i = ops.asarray([0, place])
    for reach in (
        lambda: x[i],
        lambda: x[i, ops.asarray([0, 1])],
        lambda: x.T[..., i],
        lambda: x[None, i, 0],
        lambda: x[ops.asarray([0, 1]), 2],
        lambda: ops.take(x, i, axis=0),
        lambda: ops.take(ops.ones(3), i),
        lambda: x.__setitem__(ops.asarray([place]), 0.0),
        lambda: x.__setitem__((ops.asarray([0]), ops.asarray([place])), 0.0),
    ):
        with pytest.raises(IndexError, match=r"out of (bounds|range)"):
            reach()
    assert x.tolist() == [[1.0, 2.0]] * 3


@pytest.mark.parametrize(("dtype", "number"), [("int8", 300), ("uint8", -1), ("int64", 2**63), ("uint64", 2**64)])
def test_numbers_out_of_range_are_not_written(backend, dtype, number):
    x = ops.ones(2, dtype=dtype)
    for key in (0, ops.asarray([True, False])):
        with pytest.raises(OverflowError, match=f"{number} is out of the range of {dtype}"):
            x[key] = number
    assert x.tolist() == [1, 1]


@pytest.mark.parametrize(("dtype", "number"), [("int8", 300), ("int8", -300), ("uint8", -1), ("uint8", 256), ("int64", 2**70)])
def test_numbers_out_of_range_beside_integers(backend, dtype, number):
    """torch wraps them round: there 255 is -1, and 0 is 256."""
    values = np.array([0, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    x = ops.asarray(values)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        compare = getattr(operator, name)
        assert compare(x, number).tolist() == [compare(v, number) for v in values.tolist()]
        assert compare(number, x).tolist() == [compare(number, v) for v in values.tolist()]
    assert ops.less(number, x).tolist() == [number < v for v in values.tolist()]
    if number < 2**63:
        assert (x == np.int64(number)).tolist() == [False] * 3
    for combine in (lambda: x + number, lambda: number - x, lambda: x * number, lambda: ops.maximum(x, number)):
        with pytest.raises(OverflowError, match=f"{number} is out of the range of {dtype}"):
            combine()


@pytest.mark.parametrize("given", [np.ones(1, np.float16), "text", None, np.array(["2024-01-01"], "M8[D]")])
def test_what_has_no_data_type_here_is_refused_at_once(backend, given):
    with pytest.raises(TypeError, match="is not a data type"):
        ops.asarray(given)


def test_complex_numbers_keep_their_imaginary_part(backend):
    x = ops.asarray([1j])
    for convert in (lambda: x.astype(ops.float32), lambda: ops.astype(x, ops.int8)):
        with pytest.raises(TypeError, match=r"complex.*ops\.real"):
            convert()
    assert x.astype(ops.bool).tolist() == [True]


def test_isin_of_booleans(backend):
    x = ops.asarray([True, False])
    assert ops.isin(x, ops.asarray([False])).tolist() == [False, True]


def test_reductions_of_nothing(backend):
    """On MLX each is tried many times: its own means of no elements now and then never end."""
    x = ops.zeros((0, 2), dtype=ops.float32)
    for _ in range(300):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.isnan(ops.mean(x).numpy())
            assert np.isnan(ops.var(x, axis=0).numpy()).all()
        assert ops.mean(x, axis=1).shape == (0,)
    assert ops.sum(x, axis=0).tolist() == [0, 0]
    assert ops.prod(x).tolist() == 1


def test_division_of_integers_and_booleans(backend):
    for dtype in ("int8", "uint8", "int64", "uint64", "bool"):
        a, b = (ops.asarray(values, dtype=dtype) for values in ([1, 0, 1], [1, 1, 1]))
        assert (ops.divide(a, b).dtype, ops.divide(a, b).tolist()) == (ops.float64, [1.0, 0.0, 1.0])
    a = ops.asarray([1, 2, 3])
    assert ((a / 2).tolist(), (3 / a).tolist(), (a / a).tolist()) == ([0.5, 1.0, 1.5], [3.0, 1.5, 1.0], [1.0] * 3)


@pytest.mark.parametrize("name", ["all", "any", "count_nonzero", "max", "mean", "min", "prod", "std", "sum", "var"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint16"])
def test_reductions_over_no_axes(backend, name, dtype):
    """Each element is reduced alone."""
    values = np.array([[0, 1, 2], [3, 0, 7]], dtype)
    with np.errstate(all="ignore"):
        want = getattr(np, name)(values, axis=())
    got = getattr(ops, name)(ops.asarray(values), axis=())
    np.testing.assert_array_equal(got.numpy(), want)
    assert getattr(ops, name)(ops.asarray(values), axis=(), keepdims=True).shape == (2, 3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_searchsorted_puts_nan_last(backend, side, dtype):
    nan = np.nan
    for values, wanted in (([1, 2, nan, nan], [nan, 2, 3, -1]), ([1, 2, 3], [nan, 2]), ([], [nan]), ([nan], [1, nan])):
        a, b = np.array(values, dtype), np.array(wanted, dtype)
        got = ops.searchsorted(ops.asarray(a), ops.asarray(b), side=side)
        np.testing.assert_array_equal(got.numpy(), np.searchsorted(a, b, side=side))
        assert got.dtype is ops.int64
    a, order = np.array([nan, 3, 1], dtype), np.array([2, 1, 0])
    got = ops.searchsorted(ops.asarray(a), ops.asarray(b), side=side, sorter=ops.asarray(order))
    np.testing.assert_array_equal(got.numpy(), np.searchsorted(a, b, side=side, sorter=order))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize(
    "matrix", [[[0, -1], [1, 0]], [[2, 1], [1, 2]], [[1, 2], [0, 3]]], ids=["turn", "symmetric", "triangle"]
)
def test_eigenvalues_of_any_square_matrices(backend, dtype, matrix):
    """Complex also where all of them are real."""
    x = np.stack([np.array(matrix, dtype)] * 2)
    single = dtype != "float64" or backend == "mlx"  # which has no complex128
    values, vectors = ops.linalg.eig(ops.asarray(x))
    alone = ops.linalg.eigvals(ops.asarray(x))
    assert values.dtype is vectors.dtype is alone.dtype is (ops.complex64 if single else ops.complex128)
    assert (values.shape, vectors.shape) == ((2, 2), (2, 2, 2))
    tolerance = 1e-5 if single else 1e-12
    np.testing.assert_allclose(x @ vectors.numpy(), vectors.numpy() * values.numpy()[:, None, :], atol=tolerance)
    want = np.sort_complex(np.linalg.eigvals(np.array(matrix, "complex128")).round(4))
    for got in (values, alone):
        np.testing.assert_allclose(np.sort_complex(got.numpy()[0].round(4)), want, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors.numpy(), axis=-2), 1, atol=tolerance)


def test_complex_zeros_lose_their_signs(backend):
    """The standard's special cases of `expm1` and `sign`."""
    zeros = np.array([complex(a, b) for a in (0.0, -0.0) for b in (0.0, -0.0)], np.complex64)
    x = ops.asarray(zeros)
    for vector in (ops.expm1(x), ops.sign(x)):
        assert (vector.numpy() == 0).all()
        assert not np.signbit(vector.numpy().real).any()
    np.testing.assert_array_equal(np.signbit(ops.expm1(x).numpy().imag), np.signbit(zeros.imag))
    assert not np.signbit(ops.sign(x).numpy().imag).any()
    assert not np.signbit(ops.expm1(x[2]).numpy().real)


def test_tuples_where_the_standard_has_tuples(backend):
    a, b = ops.asarray([1, 2]), ops.asarray([[3], [4]])
    assert type(ops.__array_namespace_info__().devices()) is type(ops.meshgrid(a, a)) is tuple
    assert type(ops.broadcast_arrays(a, b)) is type(ops.nonzero(a)) is type(ops.unstack(a)) is tuple
    assert [x.tolist() for x in ops.broadcast_arrays(a, b)] == [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    other = ops.convert_to_tensor([1], backend="torch" if backend == "numpy" else "numpy")
    with pytest.raises(TypeError, match="not moved between backends"):
        ops.broadcast_arrays(a, other)


@pytest.mark.parametrize("name", ["var", "std"])
def test_spread_of_complex_numbers_is_real(backend, name):
    values = np.array([1 + 2j, 3 - 1j, -2 + 0.5j], np.complex64)
    got = getattr(ops, name)(ops.asarray(values))
    assert got.dtype is ops.float32
    np.testing.assert_allclose(got.numpy(), getattr(np, name)(values), rtol=1e-6)
