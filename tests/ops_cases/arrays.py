"""Arguments for the functions that fold, order, rearrange and make arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.ops_cases.arguments import ALL, COMPLEX, FLOATS, INTS, NUMERIC, REAL, Arg, D, array, axes_of, case, elements, pair


@case("sum", "prod")
def _(draw, name):
    x = draw(array(NUMERIC))
    keywords = {"axis": axes_of(draw, x), "keepdims": draw(st.booleans())}
    if draw(st.booleans()):
        keywords["dtype"] = D(str(x.values.dtype))
    return (x,), keywords


@case("mean", "std", "var")
def _(draw, name):
    x = draw(array(FLOATS, side=(2, 3)))
    keywords = {"axis": axes_of(draw, x), "keepdims": draw(st.booleans())}
    if name != "mean":
        keywords["correction"] = draw(st.sampled_from([0, 0.0, 1.0, 0.5]))
    return (x,), keywords


@case("max", "min")
def _(draw, name):
    x = draw(array(REAL, side=(1, 3)))
    return (x,), {"axis": axes_of(draw, x), "keepdims": draw(st.booleans())}


@case("all", "any", "count_nonzero")
def _(draw, name):
    x = draw(array(ALL))
    return (x,), {"axis": axes_of(draw, x), "keepdims": draw(st.booleans())}


@case("argmax", "argmin")
def _(draw, name):
    x = draw(array(REAL, side=(1, 3)))
    return (x,), {"axis": axes_of(draw, x, several=False), "keepdims": draw(st.booleans())}


@case("cumulative_sum", "cumulative_prod")
def _(draw, name):
    x = draw(array(NUMERIC, dims=(1, 3)))
    axis = draw(st.integers(-x.values.ndim, x.values.ndim - 1))
    return (x,), {"axis": axis, "include_initial": draw(st.booleans())}


@case("diff")
def _(draw, name):
    x = draw(array(NUMERIC, dims=(1, 3), side=(1, 3)))
    keywords: dict[str, Any] = {"axis": draw(st.integers(-x.values.ndim, x.values.ndim - 1)), "n": draw(st.integers(0, 2))}
    for end in ("prepend", "append"):
        if draw(st.booleans()):
            keywords[end] = draw(array([str(x.values.dtype)], x.values.shape))
    return (x,), keywords


@case("sort", "argsort")
def _(draw, name):
    x = draw(array(REAL, dims=(1, 3)))
    axis = draw(st.integers(-x.values.ndim, x.values.ndim - 1))
    return (x,), {"axis": axis, "descending": draw(st.booleans())}


@case("searchsorted")
def _(draw, name):
    dtype = draw(st.sampled_from(REAL))
    x = draw(array([dtype], dims=(1, 1)))
    order = np.argsort(x.values, kind="stable")
    v = draw(array([dtype]))
    if draw(st.booleans()):
        return (x, v), {"side": draw(st.sampled_from(["left", "right"])), "sorter": Arg(order)}
    return (Arg(x.values[order]), v), {"side": draw(st.sampled_from(["left", "right"]))}


@case("isin")
def _(draw, name):
    dtype = draw(st.sampled_from(INTS))
    return (draw(array([dtype])), draw(array([dtype]))), {}  # not `invert`: array-api-strict inverts what it has inverted


@case("nonzero")
def _(draw, name):
    return (draw(array(ALL, dims=(1, 3))),), {}


@case("unique_all", "unique_counts", "unique_inverse", "unique_values")
def _(draw, name):
    return (draw(array(ALL)),), {}


@case("take")
def _(draw, name):
    x = draw(array(ALL, dims=(1, 3), side=(1, 3)))
    axis = draw(st.integers(-x.values.ndim, x.values.ndim - 1))
    n = x.values.shape[axis]
    indices = draw(st.lists(st.integers(-n, n - 1), max_size=4))
    return (x, Arg(np.array(indices, dtype=draw(st.sampled_from(["int32", "int64", "int8"]))))), {"axis": axis}


@case("take_along_axis")
def _(draw, name):
    x = draw(array(ALL, dims=(1, 3), side=(1, 3)))
    axis = draw(st.integers(-x.values.ndim, x.values.ndim - 1))
    n = x.values.shape[axis]
    indices = draw(hnp.arrays("int64", x.values.shape, elements=st.integers(-n, n - 1)))
    return (x, Arg(indices)), {"axis": axis}


@case("concat")
def _(draw, name):
    a, b = draw(pair(ALL, scalars=False))
    shape = a.values.shape or (2,)
    a, b = Arg(np.resize(a.values, shape)), Arg(np.resize(b.values, shape))
    return ([a, b, a],), {"axis": draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))}


@case("stack")
def _(draw, name):
    x = draw(array(ALL))
    return ([x, x],), {"axis": draw(st.integers(-x.values.ndim - 1, x.values.ndim))}


@case("unstack")
def _(draw, name):
    x = draw(array(ALL, dims=(1, 3)))
    return (x,), {"axis": draw(st.integers(-x.values.ndim, x.values.ndim - 1))}


@case("expand_dims")
def _(draw, name):
    x = draw(array(ALL))
    return (x,), {"axis": draw(st.integers(-x.values.ndim - 1, x.values.ndim))}


@case("squeeze")
def _(draw, name):
    x = draw(array(ALL))
    n = x.values.ndim + 1
    axis = draw(st.integers(0, n - 1))
    return (Arg(np.expand_dims(x.values, axis)),), {"axis": draw(st.sampled_from([axis, axis - n, (axis,)]))}


@case("flip")
def _(draw, name):
    x = draw(array(ALL))
    return (x,), {"axis": axes_of(draw, x)}


@case("roll")
def _(draw, name):
    x = draw(array(ALL))
    axis = axes_of(draw, x)
    shift = tuple(range(1, len(axis) + 1)) if isinstance(axis, tuple) else draw(st.integers(-4, 4))
    return (x, shift), {"axis": axis}


@case("permute_dims")
def _(draw, name):
    x = draw(array(ALL))
    return (x, tuple(draw(st.permutations(range(x.values.ndim))))), {}


@case("moveaxis")
def _(draw, name):
    x = draw(array(ALL, dims=(1, 3)))
    axis = st.integers(-x.values.ndim, x.values.ndim - 1)
    return (x, draw(axis), draw(axis)), {}


@case("reshape")
def _(draw, name):
    x = draw(array(ALL))
    shapes = [x.values.shape[::-1], (x.values.size,)] + ([(-1,), (1, -1)] if x.values.size else [])
    return (x, draw(st.sampled_from(shapes))), draw(st.sampled_from([{}, {"copy": True}]))


@case("repeat")
def _(draw, name):
    x = draw(array(ALL, dims=(1, 3)))
    axis = axes_of(draw, x, several=False)
    n = x.values.size if axis is None else x.values.shape[axis]
    each = Arg(np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=np.int64))
    return (x, draw(st.sampled_from([0, 2, each]))), {"axis": axis}


@case("tile")
def _(draw, name):
    return (draw(array(ALL)), tuple(draw(st.lists(st.integers(0, 2), max_size=4)))), {}


@case("broadcast_to")
def _(draw, name):
    x = draw(array(ALL))
    return (x, (2, *x.values.shape)), {}


@case("broadcast_arrays")
def _(draw, name):
    return draw(pair(ALL, scalars=False)), {}


@case("meshgrid")
def _(draw, name):
    dtype = draw(st.sampled_from(NUMERIC))
    vectors = [draw(array([dtype], dims=(1, 1))) for _ in range(draw(st.integers(1, 3)))]
    return tuple(vectors), {"indexing": draw(st.sampled_from(["xy", "ij"]))}


@case("tril", "triu")
def _(draw, name):
    return (draw(array(ALL, dims=(2, 3))),), {"k": draw(st.integers(-3, 3))}


@case("zeros", "ones")
def _(draw, name):
    shape = draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3).map(tuple)))
    return (shape,), {"dtype": D(draw(st.sampled_from(ALL)))}


@case("zeros_like", "ones_like")
def _(draw, name):
    return (draw(array(ALL)),), draw(st.sampled_from([{}, {"dtype": D("int16")}]))


@case("full")
def _(draw, name):
    dtype = draw(st.sampled_from(ALL))
    return (draw(st.lists(st.integers(0, 3), max_size=3).map(tuple)), draw(elements(dtype))), {"dtype": D(dtype)}


@case("full_like")
def _(draw, name):
    x = draw(array(ALL))
    return (x, draw(elements(str(x.values.dtype)))), {}


@case("eye")
def _(draw, name):
    sizes = (draw(st.integers(0, 4)), draw(st.sampled_from([None, 0, 2, 5])))
    return sizes, {"k": draw(st.integers(-6, 6)), "dtype": D(draw(st.sampled_from(NUMERIC)))}


@case("arange")
def _(draw, name):
    step = draw(st.sampled_from([1, 2, 3, -1, 0.5]))
    return (draw(st.integers(-5, 5)), draw(st.integers(-5, 5)), step), {"dtype": D("float64")}


@case("linspace")
def _(draw, name):
    ends = (draw(st.integers(-5, 5)), draw(st.integers(-5, 5)))
    return (*ends, draw(st.integers(0, 6))), {"endpoint": draw(st.booleans()), "dtype": D(draw(st.sampled_from(FLOATS)))}


@case("astype")
def _(draw, name):
    x = draw(array(ALL))
    targets = {"c": COMPLEX, "f": FLOATS + COMPLEX, "b": ALL}.get(x.values.dtype.kind, INTS + FLOATS + COMPLEX)
    return (x, D(draw(st.sampled_from(targets)))), {"copy": draw(st.booleans())}
