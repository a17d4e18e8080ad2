"""Cleaning removes what nobody needs, and never anything of a run at work."""

from __future__ import annotations

import pytest

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.clean import clean
from tests.stored import publish_by_hand, stage_by_hand


@pytest.fixture
def sink(tmp_path):
    """A result, two earlier ones, and an interrupted run."""
    for text in ("first", "second", "third"):
        publish_by_hand(tmp_path, text, keep=2)
    stage_by_hand(tmp_path, "interrupted")
    return tmp_path


def names(sink):
    return {path.relative_to(sink) for path in sink.rglob("*") if path.name not in (".unfinished", "lock")}


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
    with result_at(sink).lease():
        for dry_run in (True, False):
            with pytest.raises(TerminalError, match="Another run is at work"):
                clean(result_at(sink), keep=0, dry_run=dry_run)
    assert names(sink) == before


def test_a_place_where_the_first_run_was_interrupted(tmp_path):
    stage_by_hand(tmp_path, "interrupted")
    (found,) = clean(result_at(tmp_path))
    assert found.what == "interrupted run"
    assert list(tmp_path.iterdir()) == []


def test_a_place_without_anything(tmp_path):
    with pytest.raises(DataError, match=r"Nothing is published at .*nowhere, and no run was interrupted there"):
        clean(result_at(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
