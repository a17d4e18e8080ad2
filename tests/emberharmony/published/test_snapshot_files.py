"""The files of a snapshot as a file system: read-only, and of this version alone."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyarrow import fs

from emberharmony.io.store.local_snapshot import open_snapshot
from emberharmony.published.snapshot_files import SnapshotFiles
from tests.stored import publish_by_hand


@pytest.fixture
def files(tmp_path):
    publish_by_hand(tmp_path, "first")
    snapshot = open_snapshot(tmp_path)
    return fs.PyFileSystem(SnapshotFiles(snapshot, snapshot.manifest.files))


def test_files_are_read(files):
    (info,) = files.get_file_info(["features/part"])
    assert (info.type, info.size) == (fs.FileType.File, 5)
    assert [found.path for found in files.get_file_info(fs.FileSelector("features"))] == ["features/part"]
    for opened in (files.open_input_file, files.open_input_stream):
        with opened("features/part") as file:
            assert file.read() == b"first"
    with files.open_input_file("features/part") as file:
        assert file.size() == 5
        file.seek(3)
        assert file.read(1) == b"s"


@pytest.mark.parametrize("name", ["manifest.json", "features", "../features/part", "/etc/hostname"])
def test_nothing_else_is(files, name):
    (info,) = files.get_file_info([name])
    assert info.type == fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        files.open_input_file(name)


@pytest.mark.parametrize(
    "write",
    [
        lambda files: files.open_output_stream("features/part"),
        lambda files: files.open_append_stream("features/part"),
        lambda files: files.delete_file("features/part"),
        lambda files: files.delete_dir("features"),
        lambda files: files.delete_dir_contents("features"),
        lambda files: files.create_dir("mine"),
        lambda files: files.move("features/part", "mine"),
        lambda files: files.copy_file("features/part", "mine"),
    ],
)
def test_nothing_is_written(files, write):
    with pytest.raises(OSError, match="A published result is read-only"):
        write(files)


def test_two_are_equal_if_they_read_the_same_version(files, tmp_path):
    snapshot = open_snapshot(tmp_path)
    assert files == fs.PyFileSystem(SnapshotFiles(snapshot, snapshot.manifest.files))
    publish_by_hand(tmp_path, "second")
    later = open_snapshot(tmp_path)
    assert files != fs.PyFileSystem(SnapshotFiles(later, later.manifest.files))
    assert isinstance(files.open_input_file("state/part"), pa.NativeFile)
