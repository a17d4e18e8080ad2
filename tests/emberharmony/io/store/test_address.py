"""Addresses: parsed and written back, options by name, and no credentials in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.errors import PlanError
from emberharmony.io.store.address import BucketAddress, child_address, is_bucket, without_query

NAMES = st.text("abcXYZ019 _=%+-.ä", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))


@given(
    scheme=st.sampled_from(["s3", "gs", "az"]),
    parts=st.lists(NAMES, max_size=4),
    options=st.dictionaries(st.sampled_from(["region", "block", "account"]), st.text("ab-1&=? ", min_size=1), max_size=3),
)
def test_an_address_survives_being_written(scheme, parts, options):
    address = BucketAddress(scheme, "my-bucket", "/".join(parts), tuple(options.items()))
    assert BucketAddress.parse(str(address)) == address
    assert BucketAddress.parse(child_address(str(address), "features")) == address / "features"


@pytest.mark.parametrize("text", ["S3://lake/out", "s3a://lake/out/", "s3://lake//out"])
def test_spellings_of_one_address(text):
    assert BucketAddress.parse(text) == BucketAddress("s3", "lake", "out")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://lake/out", "begin with s3://, gs:// or az://"),
        ("s3:///out", "names no bucket"),
        ("s3://", "names no bucket"),
        ("s3://lake/../b", "has a part '.' or '..'"),
        ("s3://lake/out?colour=red", "holds 'colour', which is not known"),
        ("s3://lake/out?region=", "gives region no value"),
        ("s3://lake/out?endpoint=127.0.0.1:9", "begins with https://"),
        ("s3://lake/out?endpoint=http://me:pw@host", "holds a user or a password"),
        ("s3://lake/out?endpoint=http://me:pw@host/t.parquet", "holds a user or a password"),
        ("s3://lake?region=eu-west-1/out", "s3://lake gives region the value 'eu-west-1/out', which ends in a path"),
        ("az://lake?account=a/out/{slice}", "write the path before the question mark"),
        ("s3://lake?region=x&endpoint=http://h:9/s3/t.parquet", "gives endpoint the value 'http://h:9/s3/t.parquet'"),
    ],
)
def test_what_is_no_address(text, said):
    with pytest.raises(PlanError, match=said.replace("?", r"\?")):
        BucketAddress.parse(text)


@pytest.mark.parametrize("name", ["secret_access_key", "AWS_SESSION_TOKEN", "sas_key", "X-Amz-Signature", "password"])
def test_credentials_are_refused_and_not_repeated(name):
    with pytest.raises(PlanError, match="Credentials have no place in an address") as told:
        BucketAddress.parse(f"s3://lake/out?{name}=hunter2")
    assert "hunter2" not in str(told.value)


def test_an_endpoint_may_have_a_path():
    options = (("endpoint", "https://host/storage/v1/s3"),)
    assert BucketAddress.parse("s3://lake/out?endpoint=https://host/storage/v1/s3").options == options


def test_paths_are_no_buckets():
    assert not any(map(is_bucket, ("data/out", "/s3://x", "s3:", "file:///x", "C://x")))
    assert child_address("/", "x") == "/x"
    assert without_query("a?b") == "a?b"
