"""Law 3 where workers merge states: a run that ends at any change of the file system is completed, byte for byte, by the next.

`tests.faults.ended` ends runs in this process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.faults.ended import Noting, assert_completed, undisturbed_run
from tests.faults.victims import contents, small_job

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
def undisturbed(folder) -> tuple[dict[str, str], Noting]:
    """The result of an undisturbed run, and its engine."""
    return undisturbed_run(small_job(folder, sink="undisturbed"))


@pytest.mark.parametrize("moment", range(N_MOMENTS))
@pytest.mark.parametrize("stage", STAGES)
def test_ended_at_any_change_of_the_file_system(undisturbed, folder, stage, moment):
    at = undisturbed[1].at
    last = int(np.linspace(at[stage] + 1, at[STAGES[stage]], N_MOMENTS).astype(int)[moment])
    job = small_job(folder, sink=f"{stage}-{moment}")
    assert_completed(job, undisturbed, last=last, n_workers=1 + 2 * (moment % 2))  # every other time on several threads


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
