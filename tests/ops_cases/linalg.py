"""Arguments for linear algebra and Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.ops_cases.arguments import ALL, COMPLEX, FLOATS, NUMERIC, Arg, D, array, axes_of, case


@st.composite
def matrices(draw: Any, dtypes: list[str], *, square: bool = False, well: bool = False) -> Arg:
    """Stacks of matrices, diagonally dominant if they are to be inverted."""
    batch = draw(hnp.array_shapes(min_dims=0, max_dims=1, min_side=0, max_side=2))
    rows = draw(st.integers(1 if well else 0, 3))
    x = draw(array(dtypes, (*batch, rows, rows if square else draw(st.integers(0, 3)))))
    if well:
        x = Arg((x.values + 40 * np.eye(rows)).astype(x.values.dtype))
    return x


@case("matmul")
def _(draw, name):
    a = draw(matrices(NUMERIC))
    shape = draw(st.sampled_from([(*a.values.shape[:-2], a.values.shape[-1], 2), (a.values.shape[-1],)]))
    return (a, draw(array([str(a.values.dtype)], shape))), {}


@case("linalg.matrix_transpose", "matrix_transpose")
def _(draw, name):
    return (draw(matrices(ALL)),), {}


@case("tensordot")
def _(draw, name):
    dtype = draw(st.sampled_from(NUMERIC))
    axes = draw(st.sampled_from([0, 1, 2, ((0, 1), (1, 0)), ((1,), (0,))]))
    return (draw(array([dtype], (3, 3))), draw(array([dtype], (3, 3)))), {"axes": axes}


@case("vecdot")
def _(draw, name):
    x = draw(array(NUMERIC, dims=(1, 3)))
    return (x, draw(array([str(x.values.dtype)], x.values.shape))), {"axis": draw(st.integers(-x.values.ndim, -1))}


@case("linalg.det", "linalg.inv", "linalg.slogdet")
def _(draw, name):
    return (draw(matrices(FLOATS + COMPLEX, square=True, well=True)),), {}


@case("linalg.cholesky", "linalg.eigvalsh")
def _(draw, name):
    x = draw(matrices(FLOATS + COMPLEX, square=True, well=True)).values
    return (Arg((x + np.conj(np.swapaxes(x, -2, -1))) / 2),), {}


@case("linalg.solve")
def _(draw, name):
    x = draw(matrices(FLOATS + COMPLEX, square=True, well=True))
    return (x, draw(array([str(x.values.dtype)], (x.values.shape[-1], 2)))), {}


@case("linalg.cross")
def _(draw, name):
    dtype = draw(st.sampled_from(NUMERIC))
    return (draw(array([dtype], (2, 3))), draw(array([dtype], (2, 3)))), {}


@case("linalg.diagonal", "linalg.trace")
def _(draw, name):
    return (draw(matrices(NUMERIC)),), {"offset": draw(st.integers(-2, 2))}


@case("linalg.outer")
def _(draw, name):
    dtype = draw(st.sampled_from(NUMERIC))
    return (draw(array([dtype], dims=(1, 1))), draw(array([dtype], dims=(1, 1)))), {}


@case("linalg.matrix_norm")
def _(draw, name):
    x = draw(matrices(FLOATS + COMPLEX, square=True, well=True))
    return (x,), {"keepdims": draw(st.booleans()), "ord": draw(st.sampled_from(["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]))}


@case("linalg.matrix_power")
def _(draw, name):
    return (draw(matrices(FLOATS, square=True, well=True)), draw(st.integers(-2, 3))), {}


@case("linalg.matrix_rank", "linalg.pinv", "linalg.svdvals")
def _(draw, name):
    return (draw(matrices(FLOATS + COMPLEX, square=True, well=True)),), {}


@case("linalg.vector_norm")
def _(draw, name):
    x = draw(array(FLOATS, side=(1, 3)))
    keywords = {"keepdims": draw(st.booleans()), "ord": draw(st.sampled_from([1, 2, 3, 0.5, np.inf, -np.inf, 0, -1]))}
    return (x,), {"axis": axes_of(draw, x), **keywords}


NORMS = st.sampled_from(["backward", "ortho", "forward"])


@case("fft.fft", "fft.ifft", "fft.hfft", "fft.irfft", "fft.rfft", "fft.ihfft")
def _(draw, name):
    x = draw(array(FLOATS if name in ("fft.rfft", "fft.ihfft") else COMPLEX, dims=(1, 2), side=(2, 4)))
    keywords = {"n": draw(st.sampled_from([None, 2, 5])), "axis": draw(st.integers(-x.values.ndim, -1)), "norm": draw(NORMS)}
    return (x,), keywords


@case("fft.fftn", "fft.ifftn", "fft.irfftn", "fft.rfftn")
def _(draw, name):
    x = draw(array(FLOATS if name == "fft.rfftn" else COMPLEX, dims=(2, 2), side=(2, 4)))
    return (x,), {"s": draw(st.sampled_from([None, (3, 4)])), "axes": (0, 1), "norm": draw(NORMS)}


@case("fft.fftfreq", "fft.rfftfreq")
def _(draw, name):
    return (draw(st.integers(1, 6)),), {"d": draw(st.sampled_from([1.0, 0.5])), "dtype": D(draw(st.sampled_from(FLOATS)))}


@case("fft.fftshift", "fft.ifftshift")
def _(draw, name):
    x = draw(array(FLOATS + COMPLEX, dims=(1, 3)))
    return (x,), {"axes": axes_of(draw, x)}
