"""A folder as the place of a result: staged, published once, kept in versions, and cleared of what is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emberharmony.errors import DamagedError, DataError, TerminalError
from emberharmony.io.manifest import MANIFEST
from emberharmony.io.store import local_commit
from emberharmony.io.store.local_result import LocalResult
from tests.stored import publish_by_hand, stage_by_hand


def text_of(snapshot, name: str) -> str:
    return snapshot.get(name).decode()


def test_a_result_is_found_by_its_fingerprint(tmp_path):
    result = LocalResult(tmp_path / "out")
    assert result.find("first", overwrite=False) is None
    assert result.versions() == []
    publish_by_hand(result.address, "first")
    found = result.find("first", overwrite=False)
    assert found is not None
    assert found.fingerprint == "first"
    with pytest.raises(DataError, match="--overwrite"):
        result.find("second", overwrite=False)
    assert result.find("second", overwrite=True) is None


def test_what_is_staged_is_found_newest_first_and_goes_at_the_end(tmp_path):
    result = LocalResult(tmp_path / "out")
    job, other = "a" * 16, "b" * 16
    first, second, third = f"{job}-1-00000001", f"{job}-1-00000002", f"{other}-1-00000001"
    for age, name in enumerate((second, first, third)):
        result.stage(name).put("plan.json", b"{}")
        os.utime(Path(result.address_of_run(name)) / "plan.json", ns=(age, age))
    assert [store.address for store in result.staged(job, "plan.json")] == [
        result.address_of_run(first),
        result.address_of_run(second),
    ]
    assert result.staged(job, "manifest.json") == []
    assert not result.stage(first, discard=True).exists("plan.json")
    with result.lease():
        result.tidy(fingerprint=job)
    assert result.staged(job, "plan.json") == []
    assert len(result.staged(other, "plan.json")) == 1


def test_only_one_run_holds_the_lease(tmp_path):
    result = LocalResult(tmp_path / "out")
    with result.lease(), pytest.raises(TerminalError, match="Another run is at work"), LocalResult(tmp_path / "out").lease():
        pass
    with result.lease():
        pass


def test_a_damaged_file_is_found_before_the_commit(tmp_path):
    result = LocalResult(tmp_path / "out")
    publish_by_hand(result.address, "first")
    with result.lease():
        run, manifest = stage_by_hand(result.address, "second")
        run.path(manifest.files[0]).write_bytes(b"x" * manifest.files[0].n_bytes)
        with pytest.raises(DamagedError, match="1 staged files are missing or were changed"):
            result.check_staged(run, manifest)
    assert result.find("first", overwrite=False) is not None


def test_earlier_results_are_kept_read_and_removed(tmp_path):
    result = LocalResult(tmp_path / "out")
    for text in ("first", "second", "third"):
        publish_by_hand(result.address, text, keep=3)
    versions = result.versions()
    assert [version.is_current for version in versions] == [True, False, False]
    read = [result.snapshot(version.name).manifest.fingerprint for version in versions]
    assert read == ["third", "second", "first"]
    left = result.leftovers(keep=1)
    assert len(left) == 1
    result.remove(left)
    assert [result.snapshot(version.name).manifest.fingerprint for version in result.versions()] == ["third", "second"]


def test_somebody_elses_files_are_not_replaced(tmp_path):
    result = LocalResult(tmp_path / "out")
    publish_by_hand(result.address, "first")
    result.check_replaceable()
    (result.folder / "features" / "mine.txt").write_text("kept")
    with pytest.raises(DataError, match=r"mine\.txt"):
        result.check_replaceable()
    assert (result.folder / MANIFEST).exists()


@pytest.mark.parametrize("n_exchanged", range(4))
@pytest.mark.parametrize("follows", ["the same run from its beginning", "the same job in other chunks"])
def test_what_a_killed_commit_has_replaced_goes_back_before_another_run_begins(tmp_path, monkeypatch, n_exchanged, follows):
    result, exchanged, swap = LocalResult(tmp_path / "out"), [], local_commit._swap

    def swap_or_die(*arguments):
        if len(exchanged) == n_exchanged:
            raise KeyboardInterrupt
        exchanged.append(arguments)
        swap(*arguments)

    publish_by_hand(result.address, "first")
    before = {path: path.read_bytes() for path in result.folder.rglob("*") if path.is_file()}
    with result.lease():
        run, manifest = stage_by_hand(result.address, "second")
        with monkeypatch.context() as patch:
            patch.setattr(local_commit, "_swap", swap_or_die)
            patch.setattr(Path, "replace", die_at_the_manifest)
            with pytest.raises(KeyboardInterrupt):
                result.commit(run, manifest)
        assert len(exchanged) == n_exchanged
        name = Path(run.address).name
        if follows == "the same run from its beginning":
            assert not result.stage(name, discard=True).exists(MANIFEST)
        else:
            result.stage(f"{name.split('-')[0]}-2-00000002")
    assert {path: path.read_bytes() for path in before} == before


def die_at_the_manifest(path: Path, target: Path) -> None:
    if path.name == MANIFEST:
        raise KeyboardInterrupt
    path.rename(target)


def test_a_run_from_its_beginning_keeps_what_its_commit_has_replaced(tmp_path):
    result = LocalResult(tmp_path / "out")
    publish_by_hand(result.address, "first")
    with result.lease():
        run, manifest = stage_by_hand(result.address, "second")
        result.commit(run, manifest)  # and is killed
        result.stage(Path(run.address).name, discard=True)
    assert [result.snapshot(version.name).manifest.fingerprint for version in result.versions()] == ["second", "first"]
