"""What could be removed is listed with its size, and only that is removed."""

from __future__ import annotations

import pytest

from emberharmony.io.store import local_commit
from emberharmony.io.store.local_leftovers import local_leftovers, remove_leftovers
from emberharmony.io.store.local_versions import kept_versions
from emberharmony.io.store.opening import result_at
from emberharmony.io.store.snapshot import Leftover
from tests.stored import publish_by_hand, stage_by_hand


@pytest.fixture
def sink(tmp_path):
    """A result, three earlier ones, an interrupted run, and folders whose removal was interrupted."""
    for text in ("first", "second", "third", "fourth"):
        publish_by_hand(tmp_path, text, keep=3)
    stage_by_hand(tmp_path, "interrupted")
    for folder in (".staging", ".versions"):
        (tmp_path / folder / ".old-0badc0de").mkdir()
        (tmp_path / folder / ".old-0badc0de/file").write_bytes(bytes(1000))
    return tmp_path


def test_leftovers_are_listed(sink):
    found = local_leftovers(sink, keep=1)
    assert [leftover.what for leftover in found] == ["interrupted run", *["earlier result"] * 2, *["removed in part"] * 2]
    assert [leftover.name.split("/")[0] for leftover in found] == [".staging", *[".versions"] * 2, ".staging", ".versions"]
    assert [leftover.name for leftover in found[1:3]] == [f".versions/{path.name}" for path in kept_versions(sink)[1:]]
    assert [leftover.n_bytes for leftover in found[3:]] == [1000, 1000]
    run = sink / found[0].name
    assert found[0].n_bytes == sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) > 22
    assert found[0].modified.startswith("20")


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_only_leftovers_are_removed(sink, keep):
    result = result_at(sink)
    with result.lease():
        result.remove(result.leftovers(keep=keep))
        assert result.leftovers(keep=keep) == []
    assert [version.is_current for version in result.versions()] == [True] + [False] * keep
    assert result.snapshot().manifest.fingerprint == "fourth"
    assert not (sink / ".staging").exists()
    assert (sink / ".versions").exists() == (keep > 0)


@pytest.mark.parametrize("name", ["features", "..", ".versions", ".staging/mine", "manifest.json", ".versions/../features"])
def test_nothing_else_is_ever_removed(sink, name):
    (sink / ".staging/mine").mkdir()
    before = {path for path in sink.rglob("*") if ".old-" not in str(path)}
    remove_leftovers(sink, [Leftover(name, "earlier result", 0, "")])
    assert {path for path in sink.rglob("*") if ".old-" not in str(path)} == before


def test_a_commit_that_was_killed_is_undone_before_its_run_is_removed(tmp_path, monkeypatch):
    publish_by_hand(tmp_path, "old")
    swap = local_commit._swap

    def dying(store, folder, sink):
        swap(store, folder, sink)
        raise KeyboardInterrupt

    monkeypatch.setattr(local_commit, "_swap", dying)
    with pytest.raises(KeyboardInterrupt):
        publish_by_hand(tmp_path, "new")
    monkeypatch.undo()
    assert (tmp_path / "features/part").read_text() == "new"
    result = result_at(tmp_path)
    with result.lease():
        result.remove(result.leftovers(keep=1))
    assert (tmp_path / "features/part").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features", "manifest.json", "report", "state"]
