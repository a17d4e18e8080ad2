"""Law 3 where workers merge states: a run that ends at any change of the file system is completed, byte for byte, by the next.

As in `test_killed_arranging`, nothing that a run does from its last moment on changes the file system.
"""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.test_killed_arranging import Arranging, Changes, Killed
from tests.faults.victims import contents, receipts, small_job

# A lock of a dead run is not closed in this process, but by it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

N_MOMENTS = 4
"""In each stage that merges: a file's content, its name and its receipt are a few changes of the file system each."""
STAGES = {"merge-profiles": "merge-profiles-2", "merge-grams": "merge-grams-2", "merge-grams-2": "fit-pca"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("merging")


@pytest.fixture(scope="module", autouse=True)
def merging():
    """Six chunks are merged on two levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberharmony.planning.merge_tree.LEAST_BYTES", 0)
        patch.setattr("emberharmony.planning.merge_tree.MOST_MERGED", 2)
        yield


@pytest.fixture(scope="module")
def undisturbed(folder) -> tuple[dict[str, str], Arranging]:
    """The result of an undisturbed run, and its engine."""
    with pytest.MonkeyPatch.context() as patch:
        engine = Arranging(Changes(patch))
        run_job(parse_job(small_job(folder, sink="undisturbed")), engine)
    return contents(folder / "undisturbed"), engine


@pytest.mark.parametrize("moment", range(N_MOMENTS))
@pytest.mark.parametrize("stage", STAGES)
def test_ended_at_any_change_of_the_file_system(undisturbed, folder, stage, moment, monkeypatch):
    expected, engine = undisturbed
    job = small_job(folder, sink=f"{stage}-{moment}")
    last = int(np.linspace(engine.at[stage] + 1, engine.at[STAGES[stage]], N_MOMENTS).astype(int)[moment])
    with monkeypatch.context() as patch:
        Changes(patch, last)
        with pytest.raises(Killed):
            run_job(parse_job(job), LocalEngine(1 + 2 * (moment % 2)))  # every other time on several threads
    gc.collect()  # threads and their errors refer to each other, and to the lock
    done = Counter(path.parent.name for path in receipts(job))
    again = Arranging(Changes(monkeypatch))
    run_job(parse_job(job), again)
    assert contents(Path(job["sink"]["path"])) == expected
    assert {name: n - done[name] for name, n in engine.pending.items()} == again.pending, "what is done is not done again"


class Damaging(LocalEngine):
    """A local engine that damages the first file of a stage after it, and ends there or goes on."""

    def __init__(self, stage: str, *, ends: bool) -> None:
        super().__init__(1)
        self.stage, self.ends, self.n_times = stage, ends, 0

    def map(self, stage, ref, chunks):
        yield from super().map(stage, ref, chunks)
        if stage.name != self.stage:
            return
        self.n_times += 1
        if self.n_times == 1:
            folder = "profile" if "profiles" in self.stage else "grams"
            path = min(Path(ref.staging).glob(f"{folder}/merged-1-00000-*"))
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
            if self.ends:
                raise KeyboardInterrupt


@pytest.mark.parametrize("ends", [False, True], ids=["noticed by the next stage", "noticed by the next run"])
@pytest.mark.parametrize("stage", ["merge-profiles", "merge-grams"])
def test_a_merged_file_that_was_damaged_is_made_again(undisturbed, folder, stage, ends):
    expected, _ = undisturbed
    job, engine = small_job(folder, sink=f"damaged-{stage}-{ends}"), Damaging(stage, ends=ends)
    if ends:
        with pytest.raises(KeyboardInterrupt):
            run_job(parse_job(job), engine)
    run_job(parse_job(job), engine)
    assert engine.n_times == 2
    assert contents(Path(job["sink"]["path"])) == expected
