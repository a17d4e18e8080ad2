"""The system's own errors, most of them made by real paths, in words."""

import errno
import os
import sys
from pathlib import Path

import pytest

from emberharmony.errors import DataError, TerminalError, TransientError
from emberharmony.io.sources.parquet.footers import open_footer
from emberharmony.io.sources.parquet.listing import list_files, place_of
from emberharmony.io.sources.parquet.local_files import LocalFile
from emberharmony.io.store.errors import translate, translated
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.lock import locked
from emberharmony.pipeline.retry import with_retries

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the files of Linux's /proc")


def refused(path):
    """Write below a path as a job does, and return what is said; nobody may wait for what will not pass."""

    def waited(seconds):
        pytest.fail(f"waited {seconds} s for {path}")

    with pytest.raises(TerminalError) as caught:
        with_retries(LocalStore(path).check_writable, sleep=waited)
    return str(caught.value)


def test_places_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "away")
    for name, reason in {
        "file": "a part of its path is a file",
        "nowhere": "a link to nothing",
        "n" * 300: "file name too long",
        "loop": "a link to nothing",
        "loop/out": "too many levels of symbolic links",
    }.items():
        said = refused(tmp_path / name)
        assert said.startswith(str(tmp_path / name))
        assert reason in said
        assert "choose another" in said.lower()


@linux
def test_a_folder_of_the_kernel():
    assert refused(Path("/proc/x")) == (
        "/proc/x cannot be used: no such file or directory. Mend that or choose another path, then run the same command again."
    )


@linux
def test_what_may_pass_is_waited_for():
    waits = []
    with pytest.raises(TransientError, match=r"/proc/self/mem cannot be reached: input/output error\. .* mount it again"):
        with_retries(lambda: LocalStore(Path("/proc/self")).get("mem"), sleep=waits.append)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, TerminalError, "The disk is full: out/part could not be written. Free space"),
        (errno.EDQUOT, TerminalError, "quota of the disk is used up: out/part"),
        (errno.EROFS, TerminalError, "out/part cannot be written: read-only file system"),
        (errno.EFBIG, TerminalError, "out/part cannot be used: file too large"),
        (errno.ESTALE, TransientError, "out/part cannot be reached: stale file handle"),
        (errno.ETIMEDOUT, TransientError, "out/part cannot be reached: connection timed out"),
    ],
)
def test_passing_and_permanent(number, kind, words):
    error = translate(OSError(number, os.strerror(number)), "out/part")
    assert type(error) is kind
    assert words.lower() in str(error).lower()


def test_of_a_move_the_target_is_named():
    with pytest.raises(TerminalError, match=r"^sink/b cannot be used: invalid cross-device link"), translated():
        raise OSError(errno.EXDEV, "Invalid cross-device link", "staging/a", None, "sink/b")


def test_a_source_that_the_system_cannot_look_up(tmp_path):
    with pytest.raises(DataError, match=r"^The source .*n cannot be read: file name too long\. Check `source\.path`"):
        list_files([place_of(str(tmp_path / ("n" * 300)))])


def test_a_source_that_is_away_is_waited_for(tmp_path, monkeypatch):
    """A read that fails in the disk or the share is no reason to have the file written again."""

    def away(handle):
        raise OSError(errno.ESTALE, "Stale file handle")

    (tmp_path / "table.parquet").touch()
    monkeypatch.setattr("emberharmony.io.sources.parquet.footers.pq.read_metadata", away)
    with pytest.raises(TransientError, match=r"table\.parquet cannot be reached: stale file handle"):
        open_footer(LocalFile(str(tmp_path / "table.parquet")))


def test_a_lock_on_a_share_that_goes_away_says_nothing_of_the_work(tmp_path, monkeypatch):
    """Seen with sshfs: the share was back and the work done, but the lock's old handle could not be closed."""

    def away(path, **_):
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch, locked(tmp_path / "staging" / "lock"):
        patch.setattr(Path, "unlink", away)
    lock = tmp_path / "staging" / "lock"
    with locked(lock), pytest.raises(TerminalError, match="Another run is at work"), locked(lock):
        pytest.fail("two held it")
    assert not (tmp_path / "staging").exists()
