"""Laws 3 and 8 where the result is in a bucket: killed runs go on, and a bad line changes nothing."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import timedelta

import pytest

from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.store import clients
from emberharmony.io.store.opening import result_at
from tests.faults.victims import contents, contents_by_snapshot, run, run_here, small_job
from tests.servers.proxy import BUSY, CUT, EXPIRED, LOST, PASS, SLOW, proxy

pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bucket")


@pytest.fixture(scope="module")
def expected(folder):
    """What an undisturbed run publishes on a disk."""
    assert run(three_chunks(folder, sink="undisturbed")) == 0
    return contents(folder / "undisturbed")


def three_chunks(folder, **changes):
    return small_job(folder, runtime={"chunk_rows": 750}, **changes)


def in_bucket(folder, address, prefix):
    return three_chunks(folder) | {"sink": {"path": address.replace("?", f"/{prefix}?")}}


def published(job):
    return contents_by_snapshot(result_at(job["sink"]["path"]).snapshot())


@pytest.mark.parametrize(("cloud", "n_points"), [("s3", 20), ("azure", 5), ("gcs", 5)])
def test_killed_at_any_change_of_the_bucket(folder, expected, cloud, n_points, request):
    address = request.getfixturevalue(cloud)
    job = in_bucket(folder, address, "undisturbed")
    assert run(job, told=folder / "changes") == 0
    assert published(job) == expected
    n_changes = int((folder / "changes").read_text())
    assert n_changes > 40
    statuses = Counter()
    for point in range(n_points):
        job = in_bucket(folder, address, f"killed-{point}")
        statuses[run(job, die_at=1 + (n_changes - 1) * point // (n_points - 1))] += 1
        run_here(job)
        assert published(job) == expected
        assert not result_at(job["sink"]["path"]).has_leftovers()
    # A slow machine renews its lease once more while it counts, so that a run may end before the last moment comes.
    assert statuses[-signal.SIGKILL] >= n_points - 2
    assert statuses.total() == statuses[-signal.SIGKILL] + statuses[0]


@pytest.fixture
def disturbed(s3_endpoint, s3, monkeypatch):
    """A proxy before the S3 server, and the address of a bucket behind it; clients give up early."""
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr(clients, "MAX_RETRIES", 4)
    monkeypatch.setattr(clients, "RETRY_TIMEOUT", timedelta(seconds=30))
    clients._made.cache_clear()
    with proxy(s3_endpoint) as running:
        yield running, s3.replace(s3_endpoint, running.url)
    clients._made.cache_clear()


def is_part(path):
    return "/features/" in path or "/windows/" in path


FATES = {
    "503 in bursts": lambda method, path, number: BUSY if number % 20 < 3 else PASS,
    "uploads are cut": lambda method, path, number: CUT if method == "PUT" and number % 7 == 0 else PASS,
    "slow": lambda method, path, number: SLOW if number % 40 == 5 else PASS,
    "answers are lost": lambda method, path, number: LOST if method == "PUT" and number % 5 == 0 else PASS,
}


@pytest.mark.parametrize("name", ["undisturbed", *FATES])
def test_a_bad_line_changes_nothing(folder, expected, disturbed, name):
    running, address = disturbed
    running.fate = FATES.get(name, running.fate)
    job = in_bucket(folder, address, "out")
    for _ in range(4):  # where a conditional write is cut off too often, the run is started again
        try:
            run_here(job)
            break
        except TransientError:
            continue
    faults = Counter(fate for _, _, fate in running.seen)
    assert name == "undisturbed" or faults.total() - faults[PASS] >= 3
    assert published(job) == expected
    # No part is uploaded twice, except where the answer to an upload did not arrive in time.
    uploads = Counter(filter(is_part, running.uploads()))
    unanswered = Counter(path for _, path, fate in running.seen if is_part(path) and fate in (LOST, SLOW))
    assert all(count <= 1 + unanswered[path] for path, count in uploads.items())


def test_requests_of_a_chunk_are_few(folder, disturbed):
    """Three chunks of three stages with statistics: what a request costs is waited for once per file."""
    running, address = disturbed
    run_here(in_bucket(folder, address, "out"))
    n_files = len(set(running.uploads()))
    assert len(running.seen) < 6 * n_files


def test_an_expired_credential_stops_the_run_and_a_new_one_goes_on(folder, expected, disturbed):
    running, address = disturbed
    running.fate = lambda *_: EXPIRED if any("/receipts/featurize/" in path for path in running.uploads()) else PASS
    job = in_bucket(folder, address, "out")
    with pytest.raises(TerminalError, match=r"refused the credentials of this process \(status 403"):
        run_here(job)
    receipts = {path.rpartition("/")[2].partition(".")[0] for path in running.uploads() if "/receipts/featurize/" in path}
    # A part of another chunk may be there without its receipt, which was refused.
    done = [path for path in filter(is_part, running.uploads()) if path.rpartition("/")[2].split("-")[1] in receipts]
    assert done
    running.fate = lambda method, path, number: PASS
    run_here(job)
    assert published(job) == expected
    uploads = Counter(running.uploads())
    assert {uploads[path] for path in done} == {1}
