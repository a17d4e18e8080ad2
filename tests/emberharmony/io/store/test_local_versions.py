"""Earlier results are kept whole, as many as the job says, whatever kills a run in between."""

from __future__ import annotations

import json
from itertools import repeat
from pathlib import Path

import pytest

from emberharmony.io.store.local_staging import VERSIONS
from emberharmony.io.store.local_versions import (
    described,
    kept_versions,
    name_of,
    prune,
    settle,
    version_name,
    versions_to_keep,
)
from emberharmony.io.store.opening import result_at
from tests import stored
from tests.stored import manifest_text, publish_by_hand, stage_by_hand

FOREIGN = ("notes", "20261128T031500Z-xyz", "20261128T031500Z-0123abcd.bak")


def names(sink: Path) -> list[str]:
    return [path.name for path in kept_versions(sink)]


def test_a_replaced_result_is_kept_whole(tmp_path):
    publish_by_hand(tmp_path, "first")
    name = name_of(tmp_path)
    publish_by_hand(tmp_path, "second")
    assert names(tmp_path) == [name]
    (kept,) = kept_versions(tmp_path)
    assert (kept / "features/part").read_text() == (kept / "state/part").read_text() == "first"
    assert json.loads((kept / "manifest.json").read_text())["fingerprint"] == "first"
    assert (tmp_path / "features/part").read_text() == "second"
    assert not (tmp_path / ".staging").exists()


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_as_many_are_kept_as_the_job_says_the_newest_of_them(tmp_path, keep):
    published = []
    for number in range(6):
        publish_by_hand(tmp_path, f"run {number}", keep=keep)
        published.append(name_of(tmp_path))
    assert names(tmp_path) == published[-2 : -2 - keep : -1]
    assert (tmp_path / VERSIONS).exists() == (keep > 0)
    assert versions_to_keep(tmp_path) == keep


def test_of_two_results_of_one_second_the_later_one_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "_created", repeat(7))
    for number in range(8):
        publish_by_hand(tmp_path, f"run {number}")
        if number:
            assert json.loads((kept_versions(tmp_path)[0] / "manifest.json").read_text())["fingerprint"] == f"run {number - 1}"


def test_fewer_are_kept_once_a_job_says_so(tmp_path):
    for number in range(4):
        publish_by_hand(tmp_path, f"run {number}", keep=3)
    assert len(names(tmp_path)) == 3
    publish_by_hand(tmp_path, "last", keep=0)
    assert names(tmp_path) == []
    assert not (tmp_path / VERSIONS).exists()


def test_what_belongs_to_others_stays(tmp_path):
    publish_by_hand(tmp_path, "first")
    publish_by_hand(tmp_path, "second")
    for name in FOREIGN:
        (tmp_path / VERSIONS / name).mkdir()
    (tmp_path / VERSIONS / "20261128T031500Z-00000000").touch()  # a file
    prune(tmp_path, keep=0)
    assert {path.name for path in (tmp_path / VERSIONS).iterdir()} == {*FOREIGN, "20261128T031500Z-00000000"}


def test_a_removal_that_was_interrupted_is_ended(tmp_path):
    publish_by_hand(tmp_path, "first")
    (tmp_path / VERSIONS / ".old-0badc0de/features").mkdir(parents=True)
    prune(tmp_path, keep=1)
    assert not (tmp_path / VERSIONS).exists()


@pytest.mark.parametrize("moved", [False, True], ids=["before the old result is moved", "after that"])
def test_a_run_that_was_killed_after_its_manifest_is_ended_by_the_next(tmp_path, moved):
    publish_by_hand(tmp_path, "first")
    first, result = name_of(tmp_path), result_at(tmp_path)
    with result.lease():
        run, manifest = stage_by_hand(tmp_path, "second")
        run.put("replaces", b"")  # it was told to overwrite
        result.commit(run, manifest)
    staged = Path(run.address)
    if moved:
        (tmp_path / VERSIONS).mkdir()
        (staged / "published").rename(tmp_path / VERSIONS / first)
    assert staged.exists()
    with result_at(tmp_path).lease():
        assert not staged.exists()
        assert names(tmp_path) == [first]
        assert result.find("second", overwrite=False) == manifest, "it is not computed again"
    assert (kept_versions(tmp_path)[0] / "features/part").read_text() == "first"


def test_a_run_that_has_not_committed_keeps_its_folder(tmp_path):
    publish_by_hand(tmp_path, "first")
    run, _ = stage_by_hand(tmp_path, "second")
    settle(tmp_path)
    assert run.exists("manifest.json")
    assert names(tmp_path) == []


def test_an_old_manifest_that_was_copied_and_not_replaced_is_no_version(tmp_path):
    """The run's own manifest was damaged and removed, to be written again: nothing was replaced by then."""
    publish_by_hand(tmp_path, "first")
    run, _ = stage_by_hand(tmp_path, "second")
    run.put("published/manifest.json", (tmp_path / "manifest.json").read_bytes())
    run.put("committing.json", b"{}")
    run.delete("manifest.json")
    settle(tmp_path)
    assert names(tmp_path) == []
    assert run.exists("committing.json")


def test_versions_are_named_by_time_and_content():
    first, second, later = (manifest_text(f, created=c) for f, c in (("a", 1), ("b", 1), ("a", 2)))
    found = [version_name(content, otherwise=0) for content in (first, second, later)]
    assert len({*found}) == 3
    assert found[0][:17] == found[1][:17] < found[2][:17]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\x00", b'{"created": 7}', b'{"created": "yesterday"}'])
def test_a_damaged_manifest_has_a_name_too(content):
    assert version_name(content, otherwise=86400).startswith("19700102T000000Z-")


def test_results_of_other_versions_of_the_library_are_described(tmp_path):
    publish_by_hand(tmp_path, "first")
    assert described(tmp_path, is_current=True).n_bytes == len("first") * 3
    (tmp_path / "manifest.json").write_text('{"version": 0, "fingerprint": "f", "created": "2020-01-01T00:00:00+00:00"}')
    found = described(tmp_path, is_current=True)
    assert (found.fingerprint, found.n_bytes, found.name[:16]) == ("f", 0, "20200101T000000Z")


def test_the_versions_of_a_result(tmp_path):
    assert result_at(tmp_path / "nowhere").versions() == []
    publish_by_hand(tmp_path, "first", keep=2)
    publish_by_hand(tmp_path, "second", keep=2)
    publish_by_hand(tmp_path, "third", keep=2)
    found = result_at(tmp_path).versions()
    assert [version.fingerprint for version in found] == ["third", "second", "first"]
    assert [version.is_current for version in found] == [True, False, False]
    assert [version.n_bytes for version in found] == [15, 18, 15]
