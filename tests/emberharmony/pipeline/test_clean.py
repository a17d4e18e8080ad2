"""Cleaning removes what nobody needs, and never anything of a run at work."""

from __future__ import annotations

import pytest

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.store.address import BucketAddress, child_address, is_bucket
from emberharmony.io.store.bucket import Bucket
from emberharmony.io.store.lease import Timing
from emberharmony.io.store.object_result import ObjectResult
from emberharmony.io.store.opening import open_files, result_at
from emberharmony.pipeline.clean import clean
from tests.stored import publish_by_hand, stage_by_hand


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.xdist_group("stores"))])
def place(request, tmp_path):
    """Where nothing is yet: a folder, and a prefix of a bucket."""
    return str(tmp_path / "out") if request.param == "local" else child_address(request.getfixturevalue("s3"), "out")


@pytest.fixture
def sink(place):
    """A result, two earlier ones, and an interrupted run."""
    for text in ("first", "second", "third"):
        publish_by_hand(place, text, keep=2)
    stage_by_hand(place, "interrupted")
    return place


def quick(sink):
    """The result at a sink; a lease in a bucket shows signs of life often."""
    if is_bucket(sink):
        address = BucketAddress.parse(sink)
        return ObjectResult(Bucket(address), address, Timing(renew_s=0.05, watch_s=0.1))
    return result_at(sink)


def names(sink):
    """What is there, without the lock."""
    files = open_files(sink).list("")
    return {name for name in files if name.rpartition("/")[2] not in ("lock", ".lease.json") and ".unfinished" not in name}


@pytest.mark.parametrize(("keep", "removed"), [(None, 1), (2, 1), (1, 2), (0, 3), (9, 1)])
def test_what_is_removed_was_said_before(sink, keep, removed):
    before, result = names(sink), result_at(sink)
    said = clean(result, keep=keep, dry_run=True)
    assert names(sink) == before
    assert len(said) == removed
    assert list(clean(result, keep=keep)) == list(said)
    assert clean(result, keep=keep) == []
    left = 2 if keep is None else min(keep, 2)
    assert [version.fingerprint for version in result.versions()] == ["third", "second", "first"][: 1 + left]
    assert result.snapshot().manifest.fingerprint == "third"


def test_a_run_at_work_is_left_alone(sink):
    before = names(sink)
    with quick(sink).lease():
        for dry_run in (True, False):
            with pytest.raises(TerminalError, match="Another run is at work"):
                clean(quick(sink), keep=0, dry_run=dry_run)
    assert names(sink) == before


def test_a_place_where_the_first_run_was_interrupted(place):
    stage_by_hand(place, "interrupted")
    (found,) = clean(result_at(place))
    assert found.what == "interrupted run"
    assert found.n_bytes > 0
    assert names(place) == set()


def test_a_place_without_anything(place):
    with pytest.raises(DataError, match=r"Nothing is published at .*out, and no run was interrupted there"):
        clean(result_at(place))
    assert names(place) == set()
