"""Settings of a source in files."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec


@pytest.mark.parametrize(
    ("path", "places", "name"),
    [("a.parquet", ("a.parquet",), "a.parquet"), (("a", "b", "c"), ("a", "b", "c"), "a and 2 more")],
)
def test_places_and_name(path, places, name):
    spec = ParquetSourceSpec(path)
    assert (spec.places, str(spec)) == (places, name)
    assert spec.has_order
    assert not spec.profiles_by_query


@pytest.mark.parametrize("path", ["", (), "hdfs://node/t.parquet", ("a", "https://host/t"), "s3://bucket/t?secret_key=x"])
def test_what_is_no_address_is_refused(path):
    with pytest.raises(PlanError):
        ParquetSourceSpec(path)


def test_addresses_of_buckets_are_paths_too():
    places = ("gs://lake/t.parquet", "s3://lake/day=?/*.parquet?region=x", "file:///data/t", "t")
    assert ParquetSourceSpec(places).places == places
    assert str(ParquetSourceSpec(places[1])) == "s3://lake/day=?/*.parquet"


@pytest.mark.parametrize("columns", [(), ("a", "a"), ("",)])
def test_wrong_columns_are_refused(columns):
    with pytest.raises(ValueError, match="`columns`"):
        ParquetSourceSpec("t", columns=columns)
