"""Law 3: a run that was killed, at any moment, and started again publishes what an undisturbed run publishes."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from emberharmony.io.store.opening import result_at
from tests.faults.victims import (
    contents,
    contents_by_snapshot,
    contents_of_published,
    receipts,
    run,
    run_here,
    small_job,
    start,
    wait_until,
)

N_POINTS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def undisturbed(folder) -> tuple[dict[str, str], int]:
    """The result of an undisturbed run, and how many changes it made to the file system."""
    job = small_job(folder, sink="undisturbed")
    assert run(job, told=folder / "changes") == 0
    return contents(folder / "undisturbed"), int((folder / "changes").read_text())


def test_the_job_has_every_kind_of_file(undisturbed, folder):
    files, n_changes = undisturbed
    assert {name.split("/")[0] for name in files} == {"features", "windows", "state", "manifest.json"}
    assert sum(name.startswith("features/") for name in files) >= 6
    assert n_changes > 100
    assert not (folder / "undisturbed/.staging").exists()


@pytest.mark.parametrize("workers", [1, 2], ids=["one after the other", "two at a time"])
@pytest.mark.parametrize("point", range(N_POINTS))
def test_killed_at_any_change_of_the_file_system(undisturbed, folder, point, workers):
    expected, n_changes = undisturbed
    die_at = 1 + (n_changes - 1) * point // (N_POINTS - 1)
    job = small_job(folder, sink=f"killed-{point}-{workers}", runtime={"workers": workers})
    sink = Path(job["sink"]["path"])
    status = run(job, die_at=die_at)
    assert status == -signal.SIGKILL or (workers == 2 and status == 0)  # with threads, the number of changes varies a little
    if (sink / "manifest.json").exists():
        assert contents_of_published(sink) == expected
    run_here(job)
    assert contents(sink) == expected
    shutil.rmtree(sink)


@pytest.mark.parametrize("back", range(0, 90, 6))
def test_killed_while_it_replaces_an_older_result(undisturbed, folder, older, back):
    """Kill at changes counted from the end: withdrawing the older result, moving files, the manifest, the clean-up."""
    expected, _ = undisturbed
    job = small_job(folder, sink=f"replaced-{back}")
    sink = Path(job["sink"]["path"])
    shutil.copytree(older[0], sink)
    assert run(job, overwrite=True, die_at=older[1] - back) == -signal.SIGKILL
    assert contents_by_snapshot(result_at(sink).snapshot()) in (expected, contents(older[0]))
    run_here(job)  # goes on without being told again to overwrite
    assert contents(sink) == expected
    (kept,) = (sink / ".versions").iterdir()
    assert contents(kept) == contents(older[0])
    assert not (sink / ".staging").exists()
    shutil.rmtree(sink)


@pytest.fixture(scope="module")
def older(folder) -> tuple[Path, int]:
    """An older result with other windows, and the number of changes it takes to replace it."""
    job = small_job(folder, sink="older", windows={"size": 2, "strides": [1, 3]})
    assert run(job) == 0
    copy = folder / "older-to-replace"
    shutil.copytree(folder / "older", copy)
    assert run(small_job(folder, sink=copy.name), overwrite=True, told=folder / "changes-of-replacing") == 0
    return folder / "older", int((folder / "changes-of-replacing").read_text())


def test_killed_at_random_times_again_and_again(undisturbed, folder):
    expected, _ = undisturbed
    times = random.Random(0)
    kills = finished = 0
    job = small_job(folder, sink="random-0", runtime={"workers": 2})
    for _ in range(40):
        process = start(job)
        process.join(times.uniform(0.02, 0.3))
        if process.exitcode is None:
            process.kill()
            kills += 1
        process.join()
        if process.exitcode == 0:  # a fast machine finishes some runs; each gets a new sink
            assert contents(Path(job["sink"]["path"])) == expected
            finished += 1
            job = small_job(folder, sink=f"random-{finished}", runtime={"workers": 2})
        if kills >= 10:
            break
    assert kills >= 2
    run_here(job)
    assert contents(Path(job["sink"]["path"])) == expected


def test_what_is_done_is_not_done_again(undisturbed, folder):
    job = small_job(folder, sink="half")
    process = start(job)
    wait_until(lambda: len(receipts(job)) >= 9)
    process.kill()
    process.join()
    before = {path: path.stat().st_mtime_ns for path in receipts(job)}
    time.sleep(0.01)
    again = start(job)
    wait_until(lambda: len(receipts(job)) > len(before) or not again.is_alive())
    kept = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    again.join()
    assert kept.items() <= before.items(), "receipts were written again"  # fewer once the run tidies up
    assert contents(Path(job["sink"]["path"])) == undisturbed[0]


def test_points_are_spread_over_the_run():
    points = [1 + 399 * point // (N_POINTS - 1) for point in range(N_POINTS)]
    assert points[0] == 1
    assert points[-1] == 400
    assert np.diff(points).max() <= 22
