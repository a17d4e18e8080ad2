"""Who may read what a job writes."""

import os
import stat
from contextlib import suppress
from pathlib import PurePath

import pytest

from emberharmony.io.store.access import make_folder
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table


@pytest.fixture
def open_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


MODES = [("private", 0o700, 0o600), ("group", 0o750, 0o640), ("umask", 0o755, 0o644)]


def modes_below(folder):
    """Permission bits of folders and of files, each as a set."""
    found = {True: set(), False: set()}
    for path in [folder, *folder.rglob("*")]:
        with suppress(FileNotFoundError):  # a file that was being written, and has its own name now
            mode = path.stat().st_mode
            found[stat.S_ISDIR(mode)].add(stat.S_IMODE(mode))
    return found[True], found[False]


@pytest.mark.parametrize(("access", "of_folders", "of_files"), MODES, ids=[access for access, *_ in MODES])
def test_files_can_be_read_by_whoever_can_read_their_root(tmp_path, open_umask, access, of_folders, of_files):
    make_folder(tmp_path / "root", access)
    store = LocalStore(tmp_path / "root")
    store.put("a/b.bin", b"1")
    store.keep("c/d/e.bin", b"2")
    assert modes_below(tmp_path / "root") == ({of_folders}, {of_files})


def test_a_folder_that_exists_stays_as_it_is(tmp_path, open_umask):
    (tmp_path / "root").mkdir(mode=0o711)
    make_folder(tmp_path / "root", "group")
    assert stat.S_IMODE((tmp_path / "root").stat().st_mode) == 0o711


@pytest.mark.parametrize(("access", "of_folders", "of_files"), MODES, ids=[access for access, *_ in MODES])
def test_a_result_is_private_unless_the_sink_says_otherwise(tmp_path, open_umask, access, of_folders, of_files):
    source = write_table(small_table(200), tmp_path / "table.parquet")
    sink = {"path": str(tmp_path / "result")} | ({} if access == "private" else {"mode": access})
    job = {"source": {"path": str(source)}, "sink": sink, "columns": {"time": "t"}, "windows": {"size": 2}}
    job["runtime"] = {"engine": "local", "backend": "numpy", "chunk_rows": 100}
    result, seen = tmp_path / "result", list[str]()

    class Looking(LocalEngine):
        """Looks at all files after every chunk, while the run is at work."""

        def map(self, stage, ref, chunks):
            for chunk in super().map(stage, ref, chunks):
                folders, files = modes_below(result)
                assert {mode | of_folders for mode in folders} == {of_folders}, stage.name
                assert {mode | of_files for mode in files} == {of_files}, stage.name
                seen.extend(path.relative_to(result).as_posix() for path in result.rglob("*"))
                yield chunk

    for size in (2, 3):  # the second one replaces the first, which is kept
        run_job(parse_job(job | {"windows": {"size": size}}), Looking(1), overwrite=True)
        assert modes_below(result) == ({of_folders}, {of_files})
    for kind in (".staging/*/plan.json", ".staging/lock", "manifest.json", "state/*.json", "features/*/*.parquet"):
        assert any(PurePath(path).match(kind) for path in seen), f"no {kind}"
    assert list(result.glob(".versions/*/manifest.json"))
