"""Failures of disks, shares and files during a job are reported or survived, and never published."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DamagedError, DataError, TerminalError, TransientError
from emberharmony.io.store import local_commit as commit
from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.chunk_stages import PLAIN
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.run import open_run
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import contents, receipts, run, small_job, start, wait_until
from tests.jobs import small_table, write_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def undisturbed(folder) -> dict[str, str]:
    assert run(small_job(folder, sink="undisturbed")) == 0
    return contents(folder / "undisturbed")


class Between(LocalEngine):
    """A local engine that calls a function once, when a stage begins."""

    def __init__(self, stage: str, happening) -> None:
        super().__init__(1)
        self.stage, self.happening, self.stages = stage, happening, []

    def map(self, stage, ref, chunks):
        self.stages.append((stage.name, len(chunks)))
        self._happen(stage.name, ref)
        return super().map(stage, ref, chunks)

    def _happen(self, stage, ref):
        if stage == self.stage and self.happening:
            happening, self.happening = self.happening, None
            happening(Path(ref.staging))


def kept(staging: Path, name: str) -> Path:
    """Path of a staged part; its name contains the hash of its content."""
    (path,) = (staging / name).parent.glob(f"{Path(name).stem}-*")
    return path


def flip(path: Path) -> None:
    """Change one byte in the middle of a file, and keep its size and modification time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# The damaged file, the stage before which it is damaged, and the stage that reads it.
DAMAGES = [
    ("partition/00000.pieces", "arrange", "partition"),
    ("arranged/00003.pieces", "profile", "arrange"),
    ("arranged/00003.pieces", "featurize", "arrange"),
    ("profile/00002.safetensors", "featurize", None),  # has been read and is not read again
    ("features/split=train/part-00003.parquet", "project", "featurize"),
    ("halo/00004.arrow", "project", "featurize"),
]


@pytest.mark.parametrize(("name", "when", "again"), DAMAGES)
def test_a_file_damaged_while_the_job_runs_is_made_again(undisturbed, folder, name, when, again):
    job = small_job(folder, sink=f"damaged-{name.split('/')[0]}-{when}")
    engine = Between(when, lambda staging: flip(kept(staging, name)))
    run_job(parse_job(job), engine)
    assert contents(Path(job["sink"]["path"])) == undisturbed
    pending = [(name, n_chunks) for name, n_chunks in engine.stages if n_chunks]
    names = [name for name, _ in pending]
    repeated = [done for i, done in enumerate(pending) if done[0] in names[:i]]
    assert repeated[:1] == ([(again, 1)] if again else []), "only what is damaged is made again"
    assert {name for name, _ in repeated} <= {again, when}


@pytest.mark.parametrize(
    "name",
    ["windows/stride=1/split=train/part-00001.parquet", "state/pca.safetensors", "features/split=test/part-00005.parquet"],
)
@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(bytes(path.stat().st_size))])
def test_a_file_damaged_while_no_one_ran_is_made_again(undisturbed, folder, name, damage):
    job = small_job(folder, sink="damaged-at-rest")
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), Between("publish", _interrupt))
    (staging,) = (Path(job["sink"]["path"]) / ".staging").glob("*-*-*")
    damage(kept(staging, name))
    assert run(job) == 0
    assert contents(Path(job["sink"]["path"])) == undisturbed
    shutil.rmtree(job["sink"]["path"])


class WithLateWorker(LocalEngine):
    """A local engine in which a slower worker on other hardware also runs every chunk."""

    def __init__(self, *, commits: bool) -> None:
        super().__init__(1)
        self.commits = commits

    def map(self, stage, ref, chunks):
        def nearly(block):
            return block * np.float32(1 + 1e-6)

        steps = replace(
            PLAIN,
            encode=lambda *args: nearly(PLAIN.encode(*args)),
            project=lambda *args: {stride: nearly(scores) for stride, scores in PLAIN.project(*args).items()},
        )
        for done in super().map(stage, ref, chunks):
            if not stage.once:
                run = open_run(ref)
                receipt = stage.work(run, run.plan.chunks[done.item], "torch:cuda", steps)
                if self.commits:
                    run.receipts.commit(receipt)
            yield done


@pytest.mark.parametrize("commits", [False, True], ids=["cancelled before it commits", "commits as well"])
def test_a_late_worker_changes_nothing(undisturbed, folder, commits):
    job = small_job(folder, sink=f"late-{commits}")
    outcome = run_job(parse_job(job), WithLateWorker(commits=commits))
    assert contents(Path(job["sink"]["path"])) == undisturbed
    assert set(outcome.manifest.backends) == {"numpy:cpu"}


def test_a_late_worker_adds_nothing_to_what_is_being_published(undisturbed, folder, monkeypatch):
    """Publishing resumes after an interruption between two folders, and ignores files that a worker has written since."""
    job = small_job(folder, sink="late for publishing")
    sink, swaps = Path(job["sink"]["path"]), count(1)

    swap = commit._swap

    def interrupted(*args):
        if next(swaps) > 1:
            raise KeyboardInterrupt
        swap(*args)

    monkeypatch.setattr(commit, "_swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), LocalEngine(1))
    (staging,) = sink.glob(".staging/*-*-*")
    late = LocalStore(staging, within=sink).keep("features/split=train/part-00000.parquet", b"late")
    assert run(job) == 0
    assert contents(sink) == undisturbed
    with pytest.raises(TerminalError, match="was removed"):
        LocalStore(staging, within=sink).keep(late.name, b"later still")
    assert not staging.exists()


def test_receipts_that_are_no_receipts_are_not_believed(undisturbed, folder):
    job = small_job(folder, sink="zeros")
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), Between("project", _interrupt))
    for path in receipts(job)[::2]:
        path.write_bytes(bytes(path.stat().st_size))  # as after a power failure
    assert run(job) == 0
    assert contents(Path(job["sink"]["path"])) == undisturbed


def test_a_file_that_cannot_be_made_whole_stops_the_run(folder, monkeypatch):
    job = small_job(folder, sink="never whole")
    monkeypatch.setattr(LocalStore, "holds", lambda store, record: False)
    with pytest.raises(DamagedError, match="was changed since this job wrote it"):
        run_job(parse_job(job), LocalEngine(1))
    assert not (Path(job["sink"]["path"]) / "manifest.json").exists()


def test_a_share_that_vanishes_for_a_while_is_waited_for(undisturbed, folder):
    share = folder / "share"
    share.mkdir()
    job = small_job(folder, sink="share/result", runtime={"chunk_rows": 250})
    process = start(job)
    wait_until(lambda: len(receipts(job)) >= 3)
    share.rename(folder / "share-away")
    share.mkdir()  # only the empty mount point remains
    process.join(0.5)
    assert process.exitcode is None, "it has given up at once"
    assert not list(share.iterdir()), "it writes into the empty mount point"
    share.rmdir()
    (folder / "share-away").rename(share)
    process.join(300)
    assert process.exitcode == 0
    assert contents(Path(job["sink"]["path"])) == undisturbed


def test_a_share_that_stays_away_stops_the_run_which_goes_on_when_it_is_back(undisturbed, folder, monkeypatch):
    monkeypatch.setattr("emberharmony.pipeline.retry.RETRY_DELAYS_S", (0.01, 0.01))
    job = small_job(folder, sink="lost")
    sink, away = Path(job["sink"]["path"]), folder / "lost-away"
    with pytest.raises(TransientError, match=r"has vanished\. If it lies on a share, mount it again"):
        run_job(parse_job(job), Between("featurize", lambda _: sink.rename(away)))
    shutil.rmtree(sink, ignore_errors=True)
    away.rename(sink)
    kept = len(receipts(job))
    assert kept >= 7
    assert run(job) == 0
    assert contents(sink) == undisturbed


@pytest.mark.parametrize(("order", "stage"), [("sorted", "featurize"), ("shuffled", "partition")])
def test_a_source_replaced_while_the_job_reads_it_is_refused(tmp_path, order, stage):
    source = write_table(small_table(1500, order=order), tmp_path / "table.parquet", group_rows=100)
    job = small_job(tmp_path, sink="result")
    with pytest.raises(DataError, match=r"was changed (while the job ran|after the job was planned)"):
        run_job(parse_job(job), Between(stage, lambda _: write_table(small_table(1500, seed=1), source, group_rows=100)))
    assert not (tmp_path / "result/manifest.json").exists()


def test_a_source_replaced_after_its_rows_were_arranged_changes_nothing(undisturbed, folder):
    job, source = small_job(folder, sink="arranged"), folder / "table.parquet"
    before, times = source.read_bytes(), source.stat()
    run_job(parse_job(job), Between("profile", lambda _: write_table(small_table(1500, seed=1), source, group_rows=100)))
    source.write_bytes(before)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))  # other tests know the table by it
    assert contents(folder / "arranged") == undisturbed


def test_labels_put_in_another_order_between_two_attempts(tmp_path):
    """Size and footer of the file stay the same; the second attempt reuses nothing from the first."""
    source, table = tmp_path / "table.parquet", small_table(1500)
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, source, **options)
    job = small_job(tmp_path, sink="result")
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), Between("project", _interrupt))
    corrected = table.set_column(table.column_names.index("y"), "y", table["y"].combine_chunks()[::-1])
    pq.write_table(corrected, source, **options)
    run_job(parse_job(job), LocalEngine(1))
    rows = pq.read_table(tmp_path / "result/features", columns=["row_number", "y"], partitioning=None).sort_by("row_number")
    assert rows["y"].combine_chunks().equals(corrected["y"].combine_chunks())


def test_a_worker_that_opens_another_table_than_was_planned_refuses_it(tmp_path):
    """A late process opens a source with the same name and number of rows, but other content."""
    from emberharmony.pipeline.run import forget_runs

    write_table(small_table(1500, order="sorted"), tmp_path / "table.parquet", group_rows=100)
    job = small_job(tmp_path, sink="result")

    def replaced(_: Path) -> None:
        write_table(small_table(1500, seed=1), tmp_path / "table.parquet", group_rows=100)
        forget_runs()

    with pytest.raises(DataError, match="was changed after the job was planned"):
        run_job(parse_job(job), Between("featurize", replaced))
    assert not (tmp_path / "result/manifest.json").exists()
    assert run(job) == 0, "the same command plans anew"
    rows = pq.read_table(tmp_path / "result/features/split=test")
    assert rows.num_rows == 150


def test_a_disk_without_room_for_the_arranged_rows_is_told_before_they_are_written(undisturbed, folder, monkeypatch):
    job = small_job(folder, sink="no-room")
    with monkeypatch.context() as full:
        full.setattr(LocalStore, "free_bytes", lambda store: 100_000)
        with pytest.raises(TerminalError, match=r"takes about (\d+),\d+ more bytes of disk .* 100,000 are free at") as refused:
            run_job(parse_job(job), LocalEngine(1))
    (needed,) = re.findall(r"about ([\d,]+) more", str(refused.value))
    assert not receipts(job)
    with pytest.raises(KeyboardInterrupt):
        run_job(parse_job(job), Between("profile", _interrupt))
    written = [path for folder in ("partition", "arranged") for path in Path(job["sink"]["path"]).rglob(f"{folder}/*")]
    assert sum(path.stat().st_size for path in written) == pytest.approx(int(needed.replace(",", "")), rel=0.9)
    monkeypatch.setattr(LocalStore, "free_bytes", lambda store: 0)  # all rows are arranged, so that no room is needed for them
    run_job(parse_job(job), LocalEngine(1))
    assert contents(Path(job["sink"]["path"])) == undisturbed


FULL = """
import json, subprocess, sys
from pathlib import Path
job, disk, copy = sys.argv[1:]
command = [sys.executable, "-c", "from flows.cli.app import main; main()", "run", job, "--quiet"]
def run():
    done = subprocess.run(command, capture_output=True, text=True)
    stages = {path.parent.name for path in Path(disk).rglob("receipts/*/*.json")}
    return done.returncode, " ".join(done.stderr.split()), sorted(stages)
size = 236
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=True)
told = [run()]
while "takes about" not in told[-1][1] and size < 280:  # until there is room for what each run notes of itself
    size += 4
    subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
    told.append(run())
subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
told.append(run())
subprocess.run(["cp", "-r", disk, copy], check=True)
print(json.dumps(told))
"""


def test_a_disk_that_fills_while_rows_are_arranged_is_told_and_the_run_goes_on_when_there_is_room(undisturbed, folder):
    """Use a real, small disk in a separate mount namespace: it has the room that was planned, but not for whole blocks."""
    unshared = ["unshare", "--user", "--map-root-user", "--mount", sys.executable]
    try:
        subprocess.run([*unshared, "-c", ""], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system lets nobody make a mount namespace (unshare --user --mount)")
    disk = folder / "disk"
    disk.mkdir()
    job = small_job(folder, sink="disk/result")
    (folder / "full.yaml").write_text(json.dumps(job))
    arguments = [str(folder / "full.yaml"), str(disk), str(folder / "disk-after")]
    done = subprocess.run([*unshared, "-c", FULL, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    *all_full, still_full, room = json.loads(done.stdout.splitlines()[-1])
    full = all_full[0]
    assert {run[0] for run in [*all_full, still_full]} == {1}
    assert full[2] == still_full[2] == ["arrange", "partition"]
    assert "The disk is full: " in full[1]
    assert "run the same command again; it goes on where it stopped" in full[1]
    assert re.search(r"takes about [\d,]+ more bytes of disk until the job ends; [\d,]+ are free at", still_full[1])
    assert room == [0, "", []]
    assert contents(folder / "disk-after/result") == undisturbed


def _interrupt(_: Path) -> None:
    raise KeyboardInterrupt
