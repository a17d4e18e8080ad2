"""Which files are read: all that were meant, each once, and nothing that is no file."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.listing import list_files, place_of


def write(path: Path, n_rows: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": [float(n_rows)] * n_rows}), path)
    return path


def names(folder: Path, *places: str) -> list[str]:
    return [
        str(Path(file.address).relative_to(folder)) for file in list_files([place_of(str(folder / place)) for place in places])
    ]


TREE = ["a.parquet", "b.PARQUET", "000000_0", "deep/er/c.parquet", "spark.parquet/part-0.parquet", "day=1/d.parquet"]
NO_DATA = ["_SUCCESS", "_metadata", ".d.parquet.crc", ".hidden/e.parquet", "_temporary/0/f.parquet"]


@pytest.fixture
def tree(tmp_path):
    for name in TREE:
        write(tmp_path / name)
    for name in NO_DATA:
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no table")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_folder_is_all_of_its_parquet_files(tree):
    assert names(tree, "") == sorted(TREE, key=Path)


PATTERNS = {
    "*.parquet": ["a.parquet", "spark.parquet/part-0.parquet"],
    "?.parquet": ["a.parquet"],
    "[ab].*": ["a.parquet", "b.PARQUET"],
    "**/*.parquet": [name for name in TREE if name.endswith(".parquet")],
    "**": TREE,
    "day=*": ["day=1/d.parquet"],
    "*/er": ["deep/er/c.parquet"],
    "deep/**/c.*": ["deep/er/c.parquet"],
    "*/*.parquet": ["day=1/d.parquet", "spark.parquet/part-0.parquet"],
    "_meta*": ["_metadata"],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_what_it_matches_and_what_lies_in_it(tree, pattern):
    (tree / "notes.txt").unlink()
    assert names(tree, pattern) == sorted(PATTERNS[pattern], key=Path)


def test_linked_folders_and_files_are_followed(tree):
    elsewhere = tree.parent / f"{tree.name}-elsewhere"
    write(elsewhere / "g.parquet")
    (tree / "day=2").symlink_to(elsewhere)
    (tree / "linked.parquet").symlink_to(elsewhere / "g.parquet")
    assert {"day=2/g.parquet", "linked.parquet"} <= set(names(tree, ""))
    assert "day=2/g.parquet" in names(tree, "day=*/*.parquet")
    shutil.rmtree(elsewhere)
    for place in ("", "day=*"):
        with pytest.raises(DataError, match=r"day=2 is a broken link|day=2 .*no such file|cannot be read"):
            names(tree, place)


def test_a_link_that_leads_back_is_an_error(tree):
    (tree / "deep/er/back").symlink_to(tree / "deep")
    with pytest.raises(DataError, match="is a link to a folder that contains it"):
        names(tree, "")


@pytest.mark.parametrize("place", ["", "*", "**/*.parquet", "*/*.parquet"])
def test_a_folder_that_cannot_be_listed_is_an_error(tree, place, monkeypatch):
    """A mock of the system's answer, since nothing is unreadable for the superuser; the next test asks as another user."""
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"deep in .* cannot be read: permission denied"):
        names(tree, place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can ask as another user")
def test_another_users_folder_is_an_error():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        write(Path(name) / "t/a.parquet")
        write(Path(name) / "t/closed/b.parquet")
        (Path(name) / "t/closed").chmod(0o700)
        os.seteuid(65534)
        try:
            with pytest.raises(DataError, match=r"closed in .* cannot be read: permission denied"):
                list_files([place_of(f"{name}/t")])
        finally:
            os.seteuid(0)


def test_what_is_no_file_is_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.parquet")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    for place, kind in {"/dev/zero": "a device", tmp_path / "pipe.parquet": "a pipe", tmp_path / "s": "a socket"}.items():
        with pytest.raises(DataError, match=f"is {kind}, not a file"):
            list_files([place_of(str(place))])
    with pytest.raises(DataError, match=r"pipe\.parquet is a pipe"):
        list_files([place_of(str(tmp_path))])


@pytest.mark.parametrize("place", ["/", "/**", "/**/*.parquet"])
def test_the_whole_file_system_is_refused(place):
    with pytest.raises(DataError, match="is the whole file system"):
        list_files([place_of(place)])


def test_places_that_name_nothing(tree):
    for place, told in {
        "none.parquet": "does not exist",
        "*.csv": "matches no file",
        "empty": "holds no Parquet files",
        "a**b": r"'a\*\*b': '\*\*' stands for folders at any depth",
        "n" * 300: "file name too long",
        "a.parquet/b": "does not exist",
    }.items():
        with pytest.raises(DataError, match=told):
            names(tree, place)
    (tree / "empty/data.csv").write_text("x")
    with pytest.raises(DataError, match=r"holds no Parquet files, but others such as data\.csv"):
        names(tree, "empty")


@pytest.mark.parametrize("pattern", ["", "/b.*", "/**/c.parquet"])
def test_a_file_url_names_the_same_files(tree, pattern):
    (tree / "a b").mkdir()
    write(tree / "a b/c.parquet")
    for folder in (tree, tree / "a b"):
        url = place_of(folder.as_uri() + pattern)
        if (folder, pattern) != (tree / "a b", "/b.*"):
            assert url.files == place_of(f"{folder}{pattern}").files


def test_a_folder_with_brackets_in_its_name_is_a_folder(tmp_path):
    write(tmp_path / "data [new]/a.parquet")
    assert names(tmp_path, "data [new]") == ["data [new]/a.parquet"]


@pytest.mark.parametrize(
    ("place", "file", "expected"),
    [
        ("t", "t/a/b.parquet", True),
        ("t", "u/b.parquet", False),
        ("t/**/*.parquet", "t/a/b/c.parquet", True),
        ("t/*.parquet", "t/b.parquet", True),
        ("t/*.parquet", "t/a/b.parquet", False),
        ("t/day=*", "t/day=1/b.parquet", True),
        ("t/day=*", "t/out/b.parquet", False),
        ("t/*", "t/out/features/b.parquet", True),
    ],
)
def test_would_take_in(tmp_path, monkeypatch, place, file, expected):
    monkeypatch.chdir(tmp_path)
    assert place_of(place).would_take_in(file) == expected


def test_nothing_in_a_bucket_is_a_local_file(tree, monkeypatch):
    monkeypatch.chdir(tree)
    for place in (".", "**", "*"):
        assert not place_of(place).would_take_in("s3://lake/a.parquet")
        assert place_of(place).file_within("s3://lake") is None
