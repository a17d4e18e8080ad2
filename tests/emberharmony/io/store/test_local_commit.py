"""The old result or the new one, never a mix, whatever happens while one takes the other's place."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from emberharmony.errors import DataError, TerminalError
from emberharmony.io.store import local_commit as commit
from emberharmony.io.store.local_staging import REPLACES
from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import contents, contents_of_published, small_job

OLDER = {"windows": {"size": 2, "strides": [1, 3]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("commits")


@pytest.fixture(scope="module")
def new(folder) -> dict[str, str]:
    publish(folder / "new")
    return contents(folder / "new")


@pytest.fixture(scope="module")
def old(folder) -> dict[str, str]:
    publish(folder / "old", **OLDER)
    return contents(folder / "old")


@pytest.fixture(scope="module")
def staged(folder) -> Path:
    """What a run of the newer job has staged at the sink when it is about to publish in place of another result."""
    return stage(folder / "staged")


@pytest.fixture(scope="module")
def staged_older(folder) -> Path:
    """The same of a run of the older job."""
    return stage(folder / "staged-older", **OLDER)


@pytest.fixture
def sink(folder, old) -> Path:
    """A sink with the older result."""
    copy = folder / "sink"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "old", copy)
    return copy


@pytest.fixture
def ready(sink, staged) -> Path:
    """A sink with the older result, in whose place a run of the newer job, when it goes on, only has to publish."""
    shutil.copytree(staged, sink / ".staging", dirs_exist_ok=True)
    return sink


def job_of(sink, **changes):
    """A job of a few chunks: these tests are about what comes after them."""
    return parse_job(small_job(sink.parent, sink=sink.name, runtime={"chunk_rows": 500}, **changes))


def publish(sink, *, overwrite=False, **changes):
    return run_job(job_of(sink, **changes), LocalEngine(1), overwrite=overwrite)


class Stopping(LocalEngine):
    """Stops when it is asked to publish."""

    def map(self, stage, ref, chunks):
        if stage.name == "publish":
            raise KeyboardInterrupt
        return super().map(stage, ref, chunks)


def stage(kept, **changes):
    """Move what a stopped run has staged at the sink, with whose place it is staged, to where tests copy it from."""
    sink = kept.with_name("sink")
    shutil.rmtree(sink, ignore_errors=True)
    with pytest.raises(KeyboardInterrupt):
        run_job(job_of(sink, **changes), Stopping(1), overwrite=True)
    return (sink / ".staging").rename(kept)


@pytest.fixture
def failing(monkeypatch):
    """Let the n-th exchange of a folder fail in the given way."""

    def fail_at(number, error):
        calls, swap = [], commit._swap

        def swap_or_fail(*args):
            calls.append(args)
            if len(calls) == number:
                raise error
            swap(*args)

        monkeypatch.setattr(commit, "_swap", swap_or_fail)

    return fail_at


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_that_fails_puts_the_old_result_back(ready, old, new, failing, monkeypatch, number):
    failing(number, PermissionError(13, "Permission denied", "somewhere"))
    with pytest.raises(TerminalError, match="permission denied"):
        publish(ready)
    assert contents_of_published(ready) == old
    monkeypatch.undo()
    publish(ready)  # goes on without being told again to overwrite
    assert contents(ready) == new


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_that_was_killed_is_rolled_back_by_another_job(ready, old, failing, monkeypatch, number):
    failing(number, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        publish(ready)
    monkeypatch.undo()
    assert not publish(ready, **OLDER).did_work
    assert contents_of_published(ready) == old


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("first", [False, True], ids=["replaces", "is the first"])
@pytest.mark.parametrize(
    "name",
    ["features/split=train/part-00001.parquet", "windows/stride=2/split=train/part-00002.parquet", "state/pca.safetensors"],
)
def test_damage_after_the_decision_is_never_published(ready, new, failing, monkeypatch, number, first, name):
    if first:
        for path in ready.iterdir():
            if path.name != ".staging":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        next(ready.glob(f".staging/*/{REPLACES}")).unlink()
    failing(number, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        publish(ready)
    monkeypatch.undo()
    (staged,) = ready.glob(f".staging/*-*-*/{commit.ASSEMBLED}")
    in_place = number > ["features", "windows", "state"].index(name.split("/")[0]) + 1
    path = ready / name if in_place else staged / name
    path.write_bytes(bytes(path.stat().st_size))
    publish(ready)
    assert contents(ready) == new
    assert not (ready / ".staging").exists()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink], ids=["changed", "removed"])
@pytest.mark.parametrize(
    "name",
    [
        "windows/stride=1/split=test/part-*",
        "state/preprocessing*",
        "features/split=test/part-*",
        "features/split=train/part-00000-*",  # whose schema the manifest holds
    ],
)
def test_damage_right_before_publishing_is_found(folder, new, name, damage):
    class Damaging(LocalEngine):
        done = False

        def map(self, stage, ref, chunks):
            if stage.name == "publish" and not self.done:
                self.done = True
                damage(next(Path(ref.staging).glob(name)))
            return super().map(stage, ref, chunks)

    sink = folder / "damaged"
    run_job(job_of(sink), Damaging(1))
    assert contents(sink) == new
    shutil.rmtree(sink)


def test_a_file_put_beside_the_parts_while_a_run_works_stops_it_and_stays(sink, old, new):
    class Disturbed(LocalEngine):
        def map(self, stage, ref, chunks):
            if stage.name == "fit-pca":
                (sink / "features/notes.txt").write_text("mine")
            return super().map(stage, ref, chunks)

    with pytest.raises(DataError, match=r"features/notes\.txt"):
        run_job(job_of(sink), Disturbed(1), overwrite=True)
    assert (sink / "features/notes.txt").read_text() == "mine"
    (sink / "features/notes.txt").unlink()
    assert contents_of_published(sink) == old
    publish(sink)
    assert contents(sink) == new


def test_a_file_put_there_at_the_last_moment_stays(ready, monkeypatch):
    exchange = commit.exchange

    def late(staged, place):
        (place / "late.txt").write_text("mine")
        exchange(staged, place)

    monkeypatch.setattr(commit, "exchange", late)
    publish(ready)
    assert {path.parent for path in ready.rglob("late.txt")} == {ready / name for name in ("features", "windows", "state")}


def test_a_fit_takes_the_place_of_a_whole_result(sink, old):
    from flows.config.job import FitJob

    job = small_job(sink.parent, sink=sink.name)
    run_job(parse_job(job, model=FitJob), LocalEngine(1), overwrite=True)
    (kept,) = (sink / ".versions").iterdir()
    assert contents(kept) == old
    assert sorted(path.name for path in sink.iterdir()) == [".versions", "manifest.json", "state"]


def test_a_user_who_may_not_replace_the_folders_is_told_before(sink, old, monkeypatch):
    """A mock of the system's answer: the superuser may write everywhere."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "windows" and access(path, mode))
    with pytest.raises(TerminalError, match="windows cannot be replaced"):
        publish(sink, overwrite=True)
    assert contents_of_published(sink) == old


def test_a_reader_sees_one_whole_result_at_any_time(sink, old, new, staged, staged_older):
    """A reader that opens the folder, as a snapshot does, finds the parts of one result; the folder is never missing."""
    whole = [{name: digest for name, digest in found.items() if name.startswith("features/")} for found in (old, new)]
    seen, over = [], threading.Event()

    def look():
        import hashlib

        while not over.is_set():
            found = {}
            top = os.open(sink / "features", os.O_RDONLY)
            for split in os.listdir(top):  # noqa: PTH208 - an open folder
                inner = os.open(split, os.O_RDONLY, dir_fd=top)
                for part in os.listdir(inner):  # noqa: PTH208
                    with os.fdopen(os.open(part, os.O_RDONLY, dir_fd=inner), "rb") as file:
                        found[f"features/{split}/{part}"] = hashlib.sha256(file.read()).hexdigest()
                os.close(inner)
            os.close(top)
            seen.append(found)

    failures = []

    def looking():
        try:
            look()
        except FileNotFoundError as error:
            # A folder that was opened before it was replaced is emptied behind its reader.
            failures.append(error) if not over.is_set() and not (sink / "features").is_dir() else looking()

    reader = threading.Thread(target=looking)
    reader.start()
    try:
        for run, changes in ((staged, {}), (staged_older, OLDER)) * 2:
            shutil.copytree(run, sink / ".staging", dirs_exist_ok=True)
            publish(sink, **changes)
    finally:
        over.set()
        reader.join()
    assert not failures
    assert seen
    mixed = [found for found in seen if not any(found.items() <= result.items() for result in whole)]
    assert not mixed
