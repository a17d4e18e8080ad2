"""Folders that change places."""

import errno

import pytest

from emberharmony.io.store import exchange as module
from emberharmony.io.store.exchange import exchange


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["one step", "three renames"])
def folders(request, tmp_path, monkeypatch):
    if request.param == "three renames":
        monkeypatch.setattr(module, "_system_call", lambda: None)
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    return tmp_path / "new", tmp_path / "old"


def test_both_folders_are_kept(folders):
    new, old = folders
    exchange(new, old)
    assert (names(new), names(old)) == (["old"], ["new"])
    assert names(new.parent) == ["new", "old"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_systems_without_it_are_served_by_renames(folders, monkeypatch, code):
    def unsupported(first, second):
        module.ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(module, "_system_call", lambda: unsupported)
    exchange(*folders)
    assert names(folders[1]) == ["new"]


def test_a_missing_folder_is_an_error_and_nothing_moves(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / folder.name).touch()
    with pytest.raises(FileNotFoundError):
        exchange(new / "none", old)
    assert (names(new), names(old)) == (["new"], ["old"])


def test_a_reader_never_finds_the_folder_missing(tmp_path):
    """On this system's own file system, where one step does it."""
    import threading

    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    missing, over = [], threading.Event()

    def look():
        while not over.is_set():
            if not (tmp_path / "old").is_dir():
                missing.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(2000):
        exchange(tmp_path / "new", tmp_path / "old")
    over.set()
    reader.join()
    assert not missing
