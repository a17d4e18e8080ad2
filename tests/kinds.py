"""What the tests of every kind of column ask: fit one chunk of values, and see how others have moved."""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from emberharmony.features.drift import Baseline
from emberharmony.features.kinds.registry import fitted_from_json
from emberharmony.features.specs import FeatureSpecs
from emberharmony.stats.categories import TopCategories


def chunked(values, type_=None):
    return pa.chunked_array([pa.array(values, type_, from_pandas=True)])


def learnt(kind, values, specs=None, name="c"):
    """What a kind fits on one chunk of rows, and their counts; both through JSON."""
    specs = specs or FeatureSpecs()
    profile = kind.profile(values, specs)
    top = TopCategories(profile.categories.top(specs.categories.max_categories), profile.categories.n_distinct)
    fitted = kind.fit(name, profile, specs, top)
    baseline = kind.baseline(profile, fitted, top)
    return fitted, Baseline.from_json(json.loads(json.dumps(baseline.to_json())))


def moved(kind, then, now):
    """The drift from one chunk of rows to another."""
    fitted, baseline = learnt(kind, then)
    return kind.drift(baseline, kind.count(now, fitted, baseline))


def psi(then, now):
    """The population stability index of counts by bin, with half a row more in every bin."""
    then, now = ((np.asarray(counts) + 0.5) / (np.sum(counts) + 0.5 * len(counts)) for counts in (then, now))
    return np.sum((now - then) * np.log(now / then))


def survives_json(fitted):
    return fitted_from_json(json.loads(json.dumps(asdict(fitted)))) == fitted


def assert_any_chunking_counts_the_same(kind, values):
    fitted, baseline = learnt(kind, values)
    whole = kind.count(values, fitted, baseline)
    merged = kind.count(values.slice(0, 10), fitted, baseline)
    for part in (values.slice(10, 500), values.slice(510)):
        state = kind.count(part, fitted, baseline)
        merged = merged.merge(type(state).from_arrays(state.to_arrays()))
    assert (merged.n_rows, merged.n_missing) == (whole.n_rows, whole.n_missing)
    np.testing.assert_array_equal(merged.bins, whole.bins)
    np.testing.assert_allclose(merged.moments.mean, whole.moments.mean)


def as_version_2(data):
    """As it was written before each kind kept what it fits: all fields in every column, and the cycles once."""
    every = {"scalings": (), "vocabulary": (), "epoch": None}
    columns = [every | column for column in data["columns"]]
    cycles = next(column.pop("cycles") for column in columns if "cycles" in column)
    for column in columns:
        if "scaling" in column:
            column["scalings"] = [column.pop("scaling")]
    return data | {"columns": columns, "cycles": cycles}
