"""Column profiles: what is counted, merged in any order and written down."""

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.features.kinds.registry import KINDS
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.specs import CyclicalSpec, FeatureSpecs, NumberSpec

RNG = np.random.default_rng(0)
COLUMNS = {
    "numeric": pa.array([1.0, None, np.nan, np.inf, -np.inf, 2.5, 2.5] * 20),
    "boolean": pa.array([True, None, False, False] * 30),
    "categorical": pa.array(["a", None, "b", "a", "c"] * 25),
    "datetime": pa.array([0, None, 10**9, 5, 86_400] * 25, pa.timestamp("s")),
}


def figures(profile):
    q, c = profile.quantiles, profile.categories.table.sort_by("value").to_pydict()
    return profile.n_rows, profile.n_null, profile.n_nonfinite, q.keys.tolist(), q.counts.tolist(), c


def moments(profile):
    return [(m.count, m.minimum, m.maximum) for m in (profile.moments, *profile.features)]


def means(profile):
    return [value for m in (profile.moments, *profile.features) for value in (m.mean, m.variance)]


def profile_of(kind, values):
    return KINDS[kind].profile(pa.chunked_array([values]), FeatureSpecs(CyclicalSpec(epoch=True), numbers=NumberSpec("all")))


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("chunk_rows", [1, 7, 1000])
def test_any_chunking_gives_the_same_profile(kind, chunk_rows):
    values = COLUMNS[kind]
    starts = RNG.permutation(np.arange(0, len(values), chunk_rows)).tolist()
    profiles = [profile_of(kind, values.slice(start, chunk_rows)) for start in starts]
    merged = reduce(ColumnProfile.merge, profiles, ColumnProfile.empty())
    whole = profile_of(kind, values)
    assert figures(merged) == figures(whole)
    assert moments(merged) == moments(whole)
    assert means(merged) == pytest.approx(means(whole), rel=1e-12, abs=1e-12)


def test_missing_numbers():
    profile = profile_of("numeric", COLUMNS["numeric"])
    assert (profile.n_rows, profile.n_null, profile.n_nonfinite, profile.n_missing) == (140, 20, 60, 80)
    assert profile.moments.count == 60
    assert profile.quantiles.median() == 2.5


def test_missing_categories():
    profile = profile_of("categorical", COLUMNS["categorical"])
    assert (profile.n_missing, profile.categories.top(9)) == (25, [("a", 50), ("b", 25), ("c", 25)])
    forced = profile_of("categorical", pa.array([1.0, np.nan, None, 1.0]))
    assert (forced.n_missing, forced.categories.top(9)) == (2, [("1", 2)])
    in_dictionary = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, None], pa.int8()), pa.array(["a", None]))
    assert profile_of("categorical", in_dictionary).n_missing == 3


@pytest.mark.parametrize("kind", COLUMNS)
def test_survives_its_codec(kind):
    profile = profile_of(kind, COLUMNS[kind])
    again = ColumnProfile.from_arrays(profile.to_arrays())
    assert (figures(again), moments(again), means(again)) == (figures(profile), moments(profile), means(profile))
    empty = ColumnProfile.from_arrays(ColumnProfile.empty().to_arrays())
    assert figures(empty) == figures(ColumnProfile.empty())
