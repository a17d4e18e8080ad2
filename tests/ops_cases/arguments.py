"""Arguments for functions of the array namespace, before they are given to one library or the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

BOOL = ["bool"]
INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float32", "float64"]
COMPLEX = ["complex64", "complex128"]
REAL = INTS + FLOATS
NUMERIC = REAL + COMPLEX
ALL = BOOL + NUMERIC


class Arg:
    """An array argument, before it is given to one library or the other."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __repr__(self) -> str:
        return f"Arg({self.values!r}, {self.values.dtype})"


class D:
    """A data type argument."""

    def __init__(self, name: str) -> None:
        self.name = name


# Strategies are made once: to check and resolve a new one takes longer than to draw from it.
@cache
def elements(dtype: str) -> st.SearchStrategy[Any]:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        return st.integers(0 if kind == "u" else -9, 9)
    real = st.integers(-40, 40).map(lambda i: i / 8)
    return real if kind == "f" else st.builds(complex, real, real)


@cache
def shapes(dims: tuple[int, int], side: tuple[int, int]) -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=dims[0], max_dims=dims[1], min_side=side[0], max_side=side[1])


@cache
def arrays(dtype: str, shape: Any) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(dtype, shape, elements=elements(dtype))


_two_shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)


@st.composite
def array(
    draw: Any,
    dtypes: list[str] = NUMERIC,
    shape: Any = None,
    *,
    dims: tuple[int, int] = (0, 3),
    side: tuple[int, int] = (0, 3),
):
    dtype = draw(st.sampled_from(dtypes))
    return Arg(draw(arrays(dtype, shapes(dims, side) if shape is None else shape)))


@st.composite
def pair(draw: Any, dtypes: list[str], scalars: bool = True) -> tuple[Any, Any]:
    first = draw(st.sampled_from(dtypes))
    kind = np.dtype(first).kind
    same = [d for d in dtypes if np.dtype(d).kind == kind]
    second = draw(st.sampled_from(same))
    if kind == "c":
        second = draw(st.sampled_from([d for d in dtypes if d in COMPLEX + FLOATS]))
    one, other = draw(_two_shapes).input_shapes
    a, b = draw(array([first], one)), draw(array([second], other))
    if scalars and draw(st.integers(0, 3)) == 0:
        b = draw(elements(first))
        return (b, a) if draw(st.booleans()) else (a, b)
    return a, b


def axes_of(draw: Any, x: Arg, *, several: bool = True) -> Any:
    n = x.values.ndim
    options: list[Any] = [st.none()]
    if n:
        options.append(st.integers(-n, n - 1))
        if several:
            options.append(st.lists(st.integers(0, n - 1), unique=True, min_size=1).map(tuple))
    return draw(st.one_of(*options))


Case = Callable[[Any], tuple[tuple[Any, ...], dict[str, Any]]]
CASES: dict[str, Case] = {}


def case(*names: str) -> Callable[[Any], Any]:
    def register(make: Any) -> Any:
        for name in names:
            CASES[name] = lambda draw, name=name: make(draw, name)
        return make

    return register
