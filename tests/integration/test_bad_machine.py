"""Full disks, missing permissions and places that are none, through the console script: see `test_bad_input`."""

import ctypes
import os
import subprocess
import sys

import pytest

from tests.integration.refusals import assert_done, assert_refused, run, run_config
from tests.jobs import small_table, write_table


@pytest.fixture
def table():
    return small_table(400)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of its own that is full after some kilobytes."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip() or 'not root'}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(table, tmp_path, tiny_disk):
    source = write_table(table, tmp_path / "table.parquet")
    assert_refused(run(source, tiny_disk / "out"), tiny_disk / "out", "no space|full", str(tiny_disk))


def test_full_disk_then_room(table, tmp_path, tiny_disk):
    """The run goes on where it stopped once there is room."""
    source = write_table(table, tmp_path / "table.parquet")
    assert run(source, tiny_disk / "out").returncode == 1
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
    assert_done(run_config(tmp_path / "job.yaml"), tiny_disk / "out")


def bound_by_permissions():
    """Let even root be refused what the file's mode refuses its owner."""
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture
def permissions(tmp_path):
    """What makes a process obey file modes; not every container lets root give up its powers."""
    if not sys.platform.startswith("linux"):
        pytest.skip("asks Linux to bind root to permissions")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    try:
        probe = subprocess.run(
            ["touch", str(closed / "file")], capture_output=True, preexec_fn=bound_by_permissions, check=False
        )
    except subprocess.SubprocessError:
        pytest.skip("root cannot be bound to permissions here")
    if probe.returncode == 0:
        pytest.skip("this machine does not enforce permissions")
    return bound_by_permissions


def test_no_permission_to_write(table, tmp_path, permissions):
    source = write_table(table, tmp_path / "table.parquet")
    sink = tmp_path / "closed" / "out"
    result = run(source, sink, preexec_fn=permissions)
    assert_refused(result, sink, "permission", "closed")


def test_no_permission_to_read(table, tmp_path, permissions):
    source = write_table(table, tmp_path / "table.parquet")
    source.chmod(0)
    result = run(source, tmp_path / "out", preexec_fn=permissions)
    assert_refused(result, tmp_path / "out", "permission", r"table\.parquet")


def test_a_sink_below_a_file(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    (tmp_path / "file").write_text("not a folder")
    result = run(source, tmp_path / "file" / "out")
    assert_refused(result, tmp_path / "file" / "out", "file")


def test_a_sink_that_is_a_file(table, tmp_path):
    source = write_table(table, tmp_path / "table.parquet")
    (tmp_path / "out").write_text("mine")
    assert_refused(run(source, tmp_path / "out"), tmp_path / "out", "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_read_only_disk(table, tmp_path, tiny_disk):
    source = write_table(table, tmp_path / "table.parquet")
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert_refused(run(source, tiny_disk / "out"), tiny_disk / "out", "read-only", str(tiny_disk / "out"), "sink.path")


@pytest.mark.parametrize(
    ("sink", "reason"), [("/proc/x", "no such file or directory"), ("n" * 300, "file name too long")], ids=["kernel", "long"]
)
def test_a_sink_that_no_disk_would_take(table, tmp_path, sink, reason):
    source = write_table(table, tmp_path / "table.parquet")
    assert_refused(run(source, tmp_path / sink), tmp_path / sink, sink, reason, "choose another path")
