"""What is at a sink already, and what of it may be replaced: nothing that this product did not publish there."""

import json
import os
import shutil
from pathlib import Path

import pytest

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.store.local_target import damaged_files, foreign_files, owned_names
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import contents, small_job


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("targets")


@pytest.fixture(scope="module")
def original(folder) -> Path:
    run(folder / "original")
    return folder / "original"


@pytest.fixture
def sink(folder, original, request) -> Path:
    """A copy of the published result, at a place of its own."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(original, copy)
    return copy


def run(sink, *, engine=LocalEngine, overwrite=False, verify=False, **changes):
    """Run a job of a few chunks: these tests are about what it finds at its sink."""
    job = small_job(sink.parent, sink=sink.name, runtime={"chunk_rows": 500}, **changes)
    return run_job(parse_job(job), engine(1), overwrite=overwrite, verify=verify)


def everything(folder):
    """Every file, folder and link below a folder, with the content of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


FOREIGN = {
    "a file beside the parts": "features/notes.txt",
    "a part that no run named": "features/split=train/part-99999.parquet",
    "a file in a folder of its own": "windows/mine/data.parquet",
    "a file in the state": "state/model.pkl",
    "a hidden file": "features/split=train/.hidden",
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_no_run_wrote_is_named_and_never_touched(sink, name, overwrite):
    (sink / name).parent.mkdir(exist_ok=True)
    (sink / name).write_text("mine")
    before = everything(sink)
    if not overwrite:  # the same job has nothing to do; another one is refused
        assert not run(sink).did_work
    with pytest.raises(DataError, match="another job" if not overwrite else "that no run of emberharmony published there"):
        run(sink, overwrite=overwrite, windows={"size": 2, "strides": [1]})
    assert everything(sink) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["features", "windows", "state"])
def test_folders_without_a_manifest_are_somebody_elses(folder, name, overwrite):
    sink = folder / f"foreign-{name}-{overwrite}"
    (sink / name).mkdir(parents=True)
    (sink / name / "part-00000.parquet").write_text("mine")
    with pytest.raises(DataError, match=f"{name}/part-00000.parquet.*Move them away") as caught:
        run(sink, overwrite=overwrite)
    assert "--overwrite" not in str(caught.value)
    assert everything(sink) == {name: None, f"{name}/part-00000.parquet": b"mine"}


@pytest.mark.parametrize("name", ["features", "state", ".staging", ".versions"])
def test_a_linked_folder_is_refused_and_not_followed(sink, folder, name):
    elsewhere = folder / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    if (sink / name).exists():
        (sink / name).rename(elsewhere)
    else:
        elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    (sink / name).symlink_to(elsewhere)
    before = everything(elsewhere)
    with pytest.raises(DataError, match=f"{name} is a link"):
        run(sink, overwrite=True)
    assert everything(elsewhere) == before


def test_a_linked_part_is_refused(sink, folder):
    (part, *_) = (sink / "features/split=train").iterdir()
    part.rename(folder / "moved.parquet")
    part.symlink_to(folder / "moved.parquet")
    with pytest.raises(DataError, match=part.name):
        run(sink, overwrite=True)
    assert (folder / "moved.parquet").exists()


def test_somebody_elses_manifest_is_not_replaced(folder):
    sink = folder / "an app"
    sink.mkdir(exist_ok=True)
    for content in ('{"name": "my app"}', "not JSON", "[1]"):
        (sink / "manifest.json").write_text(content)
        with pytest.raises(DataError, match=r"manifest\.json"):
            run(sink, overwrite=True)
        assert everything(sink) == {"manifest.json": content.encode()}


def test_what_somebody_keeps_in_staging_stays(folder):
    sink = folder / "with-staging"
    mine = sink / ".staging/mine"
    mine.mkdir(parents=True)
    (mine / "table.parquet").write_text("mine")
    (sink / ".staging/.old-mine").mkdir()
    run(sink)
    run(sink, overwrite=True)
    assert (mine / "table.parquet").read_text() == "mine"
    assert (sink / ".staging/.old-mine").is_dir()


NO_MANIFESTS = {
    "empty": b"",
    "zeros": bytes(100),
    "cut": b"{",
    "odd": b'{"fingerprint": 1, "files": 7}',
    "another version": None,
}


@pytest.mark.parametrize("damage", NO_MANIFESTS.values(), ids=NO_MANIFESTS.keys())
def test_overwrite_works_whatever_became_of_the_manifest(sink, original, damage):
    manifest = sink / "manifest.json"
    another = json.dumps(json.loads(manifest.read_bytes()) | {"version": 0}).encode()
    content = another if damage is None else damage
    manifest.write_bytes(content)
    with pytest.raises(DataError, match="--overwrite"):
        run(sink)
    run(sink, overwrite=True)
    assert contents(sink) == contents(original)


@pytest.fixture(scope="module")
def interrupted(folder) -> Path:
    """A copy of what an interrupted run left at the sink `damaged-plan`."""
    with pytest.raises(KeyboardInterrupt):
        run(folder / "damaged-plan", engine=_Interrupted)
    return (folder / "damaged-plan").rename(folder / "interrupted")


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"{", b"[]", b'{"facts": {}}'])
def test_a_damaged_plan_is_written_again(folder, original, interrupted, content):
    sink = shutil.copytree(interrupted, folder / "damaged-plan")
    (plan,) = sink.glob(".staging/*/plan.json")
    plan.write_bytes(content)
    run(sink)
    assert contents(sink) == contents(original)
    shutil.rmtree(sink)


class _Interrupted(LocalEngine):
    def map(self, stage, ref, chunks):
        if stage.name == "fit":
            raise KeyboardInterrupt
        return super().map(stage, ref, chunks)


DAMAGES = {
    "removed": Path.unlink,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "emptied": lambda path: path.write_bytes(b""),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"?" + path.read_bytes()[-8:]),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["features/split=test", "windows/stride=1/split=train", "state"])
def test_nothing_to_do_looks_at_what_is_there(sink, original, name, damage):
    (path, *_) = sorted((sink / name).iterdir())
    DAMAGES[damage](path)
    if damage == "flipped":
        assert not run(sink).did_work  # sizes are compared, contents on request
    with pytest.raises(DataError, match=rf"it was damaged since it was published: {name}/{path.name} is missing or changed"):
        run(sink, verify=True)
    run(sink, overwrite=True)
    assert contents(sink) == contents(original)
    assert not run(sink, verify=True).did_work


def test_owned_names_are_those_of_the_manifest(original):
    recorded = {file["name"] for file in json.loads((original / "manifest.json").read_bytes())["files"]}
    assert owned_names(original) - {"state/bigquery.json"} == recorded
    assert list(foreign_files(original, recorded)) == []
    assert set(foreign_files(original, set())) == {"features", "windows", "state", *_children(original)}


def _children(sink):
    return {f"{name}/{path.name}" for name in ("features", "windows", "state") for path in (sink / name).iterdir()}


def test_a_file_that_cannot_be_read_is_an_error(original, monkeypatch):
    from emberharmony.io.manifest import read_manifest
    from emberharmony.io.store.opening import open_store

    def refused(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    files = read_manifest(open_store(original)).files[:1]
    monkeypatch.setattr(Path, "stat", refused)  # a mock: nothing is unreadable for the superuser
    with pytest.raises(TerminalError, match="cannot be read: permission denied"):
        damaged_files(original, files, verify=False)
