"""A result in a bucket: one conditional write commits it, earlier versions are kept, leftovers are removed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emberharmony.errors import DamagedError, DataError, PlanError, TerminalError
from emberharmony.io.manifest import MANIFEST, read_manifest
from emberharmony.io.store.object_result import ObjectResult, result_prefix
from tests.stored import manifest_of
from tests.stores import BUCKETS, objects_of

pytestmark = pytest.mark.xdist_group("stores")

NAME = "0123456789abcdef-4-76543210"
OTHER = "fedcba9876543210-4-76543210"


@pytest.fixture(params=BUCKETS)
def result(request):
    objects, address = objects_of(request.param, request)
    return ObjectResult(objects, address / "out")


def make(result, content, *, name=NAME, discard=False, tidy=True, keep=1):
    """Publish a result with one part; returns its store."""
    with result.lease():
        run = result.stage(name, discard=discard)
        run.write_json("receipts/featurize/00000.json", {})
        files = (run.keep("features/split=train/part-00000.parquet", content), run.keep("state/job.json", b"{}"))
        late = run.keep("features/split=train/part-00000.parquet", content + b" of a worker that was late")
        run.make_durable([*files, late])
        manifest = manifest_of(name.partition("-")[0], files, keep=keep)
        run.write_json(MANIFEST, manifest.to_json())
        result.check_staged(run, manifest)
        result.commit(run, manifest)
        if tidy:
            result.tidy()
    return run


def part(published):
    return published.get("features/split=train/part-00000.parquet")


def keys(result):
    start = len(result.prefix.key) + 1
    return [info.key[start:] for info in result.objects.list(result.prefix.key)]


def test_the_first_result(result):
    assert result.find(NAME[:16], overwrite=False) is None
    run = make(result, b"one")
    found = result.find(NAME[:16], overwrite=False, verify=True)
    assert found == read_manifest(result.published)
    assert found.root == f".versions/{run.prefix.key.rpartition('/')[2]}"
    assert part(result.published) == b"one"
    assert result.published.get("state/job.json") == b"{}"
    assert not result.has_leftovers()
    # What is there is what the manifest names: no receipt, and no part that lost to another worker's.
    assert len(keys(result)) == 6
    assert {found.file_name(file) for file in found.files} < {*keys(result)}
    assert result_prefix(run) == result.prefix


def test_another_job_is_refused_and_may_replace(result):
    make(result, b"one")
    with pytest.raises(DataError, match=f"another job or of other data.*{NAME[:16]}.*--overwrite"):
        result.find(OTHER[:16], overwrite=False)
    assert result.find(OTHER[:16], overwrite=False, accumulates=True) is None
    assert result.find(OTHER[:16], overwrite=True) is None
    make(result, b"two", name=OTHER, discard=True)
    assert part(result.published) == b"two"


def test_a_reader_keeps_the_version_that_it_began_with(result):
    make(result, b"one")
    reader = result.published
    read_manifest(reader)
    make(result, b"two", discard=True)
    assert (part(reader), part(result.published)) == (b"one", b"two")


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_as_many_earlier_versions_are_kept_as_the_job_says(result, keep):
    contents = (b"four", b"three", b"two", b"one")
    for content in reversed(contents):
        make(result, content, discard=True, keep=keep)
    versions = result.versions()
    assert [version.is_current for version in versions] == [True] + [False] * keep
    assert {version.fingerprint for version in versions} == {NAME[:16]}
    snapshots = [result.snapshot(version.name) for version in versions]
    assert [snapshot.get(snapshot.manifest.files[0]) for snapshot in snapshots] == list(contents[: 1 + keep])
    assert part(result.published) == b"four"
    assert not result.has_leftovers()


def test_an_interrupted_run_is_found_again_and_a_discarded_one_is_not(result):
    with result.lease():
        first = result.stage(NAME)
        first.put("plan.json", b"{}")
        assert [run.address for run in result.staged(NAME[:16], "plan.json")] == [first.address]
        assert result.staged(OTHER[:16], "plan.json") == []
        assert result.stage(NAME).address == first.address == result.address_of_run(NAME)
        assert result.has_leftovers()
        second = result.stage(NAME, discard=True)
        assert second.address != first.address
        assert result.staged(NAME[:16], "plan.json") == []
        assert result.stage(NAME).address == second.address
    make(result, b"one")
    assert not first.exists("plan.json")  # now nobody can commit it any more


def test_a_run_that_was_to_replace_may_do_so_when_it_is_resumed(result):
    make(result, b"one")
    with result.lease():
        result.stage(OTHER, discard=True)
    assert result.find(OTHER[:16], overwrite=False) is None
    make(result, b"two", name=OTHER)
    assert part(result.published) == b"two"


def test_a_run_without_the_lease_is_refused_before_its_sink_publishes(result):
    with result.lease():
        run = result.stage(NAME)
        manifest = manifest_of(NAME[:16], (run.keep("features/split=train/part-00000.parquet", b"one"),))
        result.check_staged(run, manifest)
    with pytest.raises(TerminalError, match=r"has taken over .* Nothing was published by this run"):
        result.check_staged(run, manifest)
    assert run.exists("run.json")


def test_a_commit_again_changes_nothing(result):
    run = make(result, b"one", tidy=False)
    before = result.published.get(MANIFEST)
    assert result.has_leftovers()
    result.commit(run, read_manifest(run))
    assert result.published.get(MANIFEST) == before
    with result.lease():
        result.tidy(fingerprint=NAME[:16])
    assert not result.has_leftovers()


def test_a_commit_fails_if_another_run_has_published_since(result):
    with result.lease():
        run = result.stage(NAME)
        manifest = manifest_of(NAME[:16], (run.keep("features/split=train/part-00000.parquet", b"one"),))
    note = run.read_json("run.json")
    run.write_json("run.json", {**note, "lease": None})  # as if the lease were held: the manifest itself is guarded too
    make(ObjectResult(result.objects, result.prefix), b"two", name=OTHER, tidy=False)
    with pytest.raises(TerminalError, match=r"Another run has published to .* since this one began"):
        result.check_staged(run, manifest)  # before a sink publishes its rows elsewhere
    with pytest.raises(TerminalError, match=r"Another run has published to .* since this one began"):
        result.commit(run, manifest)
    assert part(result.published) == b"two"


def test_a_commit_fails_without_the_lease(result):
    with result.lease():
        run = result.stage(NAME)
        manifest = manifest_of(NAME[:16], (run.keep("features/split=train/part-00000.parquet", b"one"),))
    with pytest.raises(TerminalError, match="gave no sign of life for too long"):
        result.commit(run, manifest)
    assert read_manifest(result.published) is None


def test_missing_parts_are_found_before_and_after(result):
    run = make(result, b"one")
    manifest = read_manifest(result.published)
    part_name = manifest.file_name(manifest.files[0])
    result.objects.delete([f"{result.prefix.key}/{part_name}"])
    with pytest.raises(
        DataError, match=r"damaged since it was published: features/split=train/part-00000\.parquet is missing"
    ):
        result.find(NAME[:16], overwrite=False)
    with pytest.raises(DamagedError, match="1 staged files are missing") as told:
        result.check_staged(run, manifest)
    assert told.value.file == manifest.files[0].kept_as
    assert not run.exists(MANIFEST)


def test_a_changed_part_is_found_on_demand(result):
    make(result, b"one")
    manifest = read_manifest(result.published)
    result.objects.put(f"{result.prefix.key}/{manifest.file_name(manifest.files[0])}", b"two")
    assert result.find(NAME[:16], overwrite=False) == manifest
    with pytest.raises(DataError, match="damaged since it was published"):
        result.find(NAME[:16], overwrite=False, verify=True)


@pytest.mark.parametrize("content", [b"[]", b"text", b'{"a": 1}'])
def test_a_manifest_of_others_is_never_replaced(result, content):
    result.objects.put(f"{result.prefix.key}/{MANIFEST}", content)
    for check in (lambda: result.find(NAME[:16], overwrite=True), result.check_replaceable):
        with pytest.raises(DataError, match=r"no run of emberharmony published there: manifest\.json"):
            check()


def test_the_runs_of_another_holder_are_left_alone(result):
    """A run that was paused for too long publishes nothing, and removes nothing of the run that works now."""
    with result.lease():
        mine = result.stage(NAME)
        stolen = json.loads(result.objects.get(f"{result.prefix.key}/.lease.json")[0])
        result.objects.put(f"{result.prefix.key}/.lease.json", json.dumps({**stolen, "token": "other"}).encode())
        theirs = ObjectResult(result.objects, result.prefix).stage(OTHER)
        result.tidy()
        assert theirs.exists("run.json")
        assert mine.exists("run.json")


def test_leftovers_are_named_measured_and_removed(result):
    for content in (b"one", b"two"):
        make(result, content, discard=True)
    with result.lease():
        run = result.stage(OTHER)
        run.put("plan.json", b"x" * 1000)
        earlier, name = result.versions()[1], result_name(run)
        assert [(found.name, found.what) for found in result.leftovers(keep=1)] == [(f".versions/{name}", "interrupted run")]
        found = result.leftovers(keep=0)
        assert [(one.name, one.what) for one in found[1:]] == [(f".versions/{earlier.name}", "earlier result")]
        assert found[0].n_bytes >= 1000
        result.remove([*found, replace(found[0], name=f".versions/{result.versions()[0].name}")])
        assert result.leftovers(keep=0) == []
    assert part(result.published) == b"two"


def test_a_snapshot_reads_its_version_until_that_is_removed(result):
    make(result, b"one")
    snapshot = result.snapshot()
    make(result, b"two", discard=True)
    assert snapshot.get(snapshot.manifest.files[0]) == snapshot.open(snapshot.manifest.files[0]).read() == b"one"
    make(result, b"three", discard=True)
    with pytest.raises(DataError, match=rf"Version {snapshot.version} of .* was removed while it was read"):
        snapshot.get(snapshot.manifest.files[0])
    with pytest.raises(DataError, match="has no version 'x'"):
        result.snapshot("x")


def result_name(run):
    return run.prefix.key.rpartition("/")[2]


class Table:
    """A source in files, of which only their places matter."""

    def __init__(self, file="", prefix=""):
        self.file, self.prefix = file, prefix

    def file_within(self, folder):
        return self.file if self.file.startswith(folder) else None

    def would_read(self, address):
        return bool(self.prefix) and address.startswith(self.prefix)


def test_places_within_each_other_are_refused(result):
    address = str(result.prefix)
    result.check_apart(Table("/elsewhere/t.parquet"), state=str(result.prefix.root / "output"))
    with pytest.raises(PlanError, match="the state that is applied is in"):
        result.check_apart(Table(), state=str(result.prefix / "state"))
    with pytest.raises(PlanError, match=r"lies inside sink\.path"):
        result.check_apart(Table(file=f"{address}/t.parquet"))
    with pytest.raises(PlanError, match="would read this one's result"):
        result.check_apart(Table(prefix=result.prefix.shown))
