"""Staged runs are found by their names and removed; what belongs to others stays."""

from __future__ import annotations

import pytest

from emberharmony.io.store.local_staging import removed_folders, staged_runs, tidy

RUNS = ("0123456789abcdef-2-00000001", "0123456789abcdef-1-0000000a", "fedcba9876543210-1-00000001")
FOREIGN = ("0123456789abcdef", "0123456789ABCDEF-2-00000001", "notes", "0123456789abcdef-2-00000001.bak", ".old-mine")


@pytest.fixture
def sink(tmp_path):
    for name in (*RUNS, *FOREIGN, ".old-0badc0de"):
        (tmp_path / ".staging" / name).mkdir(parents=True)
        (tmp_path / ".staging" / name / "file").touch()
    (tmp_path / ".staging" / "ffffffffffffffff-1-00000001").touch()  # a file
    (tmp_path / ".staging" / "eeeeeeeeeeeeeeee-1-00000001").symlink_to(tmp_path / ".staging" / RUNS[0])
    return tmp_path


def test_runs_are_found_by_their_names(sink):
    assert [run.name for run in staged_runs(sink)] == sorted(RUNS)
    assert [run.name for run in removed_folders(sink / ".staging")] == [".old-0badc0de"]


@pytest.mark.parametrize(("of", "left"), [("", []), ("0123456789abcdef-", [RUNS[2]])])
def test_runs_are_removed_and_nothing_else(sink, of, left):
    (sink / ".staging" / ".unfinished").mkdir()
    (sink / ".staging" / ".unfinished" / ".writable-1").touch()
    (sink / ".staging" / ".writable-2").touch()
    tidy(sink, of=of)
    assert [run.name for run in staged_runs(sink)] == left
    links = {"ffffffffffffffff-1-00000001", "eeeeeeeeeeeeeeee-1-00000001"}
    assert {path.name for path in (sink / ".staging").iterdir()} == {*FOREIGN, *links, *left}
    assert all((sink / ".staging" / name / "file").exists() for name in FOREIGN)


def test_a_place_without_staged_runs(tmp_path):
    assert staged_runs(tmp_path) == removed_folders(tmp_path / ".staging") == []
    tidy(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_linked_staging_folder_belongs_to_others(tmp_path, sink):
    other = tmp_path / "other"
    other.mkdir()
    (other / ".staging").symlink_to(sink / ".staging")
    assert staged_runs(other) == []
