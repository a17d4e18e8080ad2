"""Every state is a monoid: `empty` is neutral, the order of merges does not matter, and its codec round-trips."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.features.kinds.registry import KINDS
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.store.arrays import prefixed
from emberharmony.io.store.local import LocalStore
from emberharmony.stats import CategoryCounts, Moments, Quantiles, WindowGram

finite = st.floats(-1e6, 1e6)
numbers = st.lists(finite, max_size=12).map(lambda values: np.array(values, np.float64))
texts = st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=3)), max_size=12)


def _profile(kind, values):
    return KINDS[kind].profile(pa.chunked_array([values]), FeatureSpecs())


STATES = {
    "Moments": (Moments, numbers.map(Moments.of)),
    "Quantiles": (Quantiles, numbers.map(Quantiles.of)),
    "CategoryCounts": (CategoryCounts, texts.map(lambda values: CategoryCounts.of(pa.array(values, pa.string())))),
    "numeric profile": (ColumnProfile, numbers.map(lambda x: _profile("numeric", pa.array(x)))),
    "categorical profile": (ColumnProfile, texts.map(lambda values: _profile("categorical", pa.array(values, pa.string())))),
}


def comparable(state):
    """Arrays of a state, with categories sorted."""
    if isinstance(state, CategoryCounts):
        return {"top": np.array(sorted(state.top(state.n_distinct)), object)}
    if isinstance(state, ColumnProfile):
        arrays = {"rows": np.array([state.n_rows, state.n_null, state.n_nonfinite])}
        return arrays | {
            f"{name}.{key}": array
            for name in ("moments", "quantiles", "categories")
            for key, array in comparable(getattr(state, name)).items()
        }
    return dict(state.to_arrays())


def assert_alike(a, b):
    a, b = comparable(a), comparable(b)
    assert a.keys() == b.keys()
    for name in b:
        assert a[name].dtype == b[name].dtype
        if a[name].dtype == np.float64 and "keys" not in name:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-6)
        else:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize(("kind", "states"), STATES.values(), ids=STATES.keys())
@given(data=st.data())
def test_monoid(kind, states, data):
    a, b, c = (data.draw(states) for _ in range(3))
    assert_alike(a.merge(kind.empty()), a)
    assert_alike(kind.empty().merge(a), a)
    assert_alike(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_alike(a.merge(b), b.merge(a))


@pytest.mark.parametrize(("kind", "states"), STATES.values(), ids=STATES.keys())
@given(data=st.data())
def test_survives_the_store(kind, states, data, tmp_path_factory):
    store = LocalStore(tmp_path_factory.mktemp("store"))
    written = {"1": data.draw(states), "11": data.draw(states), "2": data.draw(states)}
    file = store.keep_arrays("states.safetensors", prefixed({name: state.to_arrays() for name, state in written.items()}))
    for name, state in written.items():
        again = kind.from_arrays(store.read_arrays(file, prefix=f"{name}/"))
        assert_alike(again, state)
        assert_alike(again.merge(state), state.merge(again))


def test_window_states_survive_the_store(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2, 60)).astype(np.float32)
    store, files = LocalStore(tmp_path), []
    for i in range(3):
        states = WindowGram.of_strides(rows[:, 20 * i : 20 * i + 20], start=20 * i, size=4, strides=[1, 3])
        files.append(store.keep_arrays(f"{i}.safetensors", prefixed({str(s.stride): s.to_arrays() for s in states})))
    for stride in (1, 3):
        read = [WindowGram.from_arrays(store.read_arrays(file, prefix=f"{stride}/")) for file in files]
        whole = WindowGram.of(rows, start=0, size=4, stride=stride)
        merged = reduce(WindowGram.merge, read)
        assert merged.n_windows == whole.n_windows
        np.testing.assert_allclose(merged.gram, whole.gram, atol=1e-10)
