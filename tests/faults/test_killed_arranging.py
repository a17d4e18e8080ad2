"""Law 3 where rows are arranged: a run that is killed at any change of the file system is completed by the next one.

The runs are forks, see `tests.faults.moments`: in one process, on Prefect's threads, and with worker processes. Those are
killed with their run, or alone, and the run replaces them.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.ended import Noting, assert_goes_on, undisturbed_run
from tests.faults.moments import Kills
from tests.faults.victims import contents, small_job

pytestmark = pytest.mark.xdist_group("prefect-killed")

N_MOMENTS = 20
PIECES = {"emberharmony.planning.memory.INPUT_ROWS": 600}
GROUPS = PIECES | {"emberharmony.planning.chunk_groups.MOST_PARTS": 1}
SETTINGS = {"local": GROUPS, "threads": PIECES, "processes": GROUPS}
"""Three pieces of the table instead of one; for two engines, chunks in groups, which are partitioned again."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("arranging")


@pytest.fixture(scope="module")
def undisturbed(folder) -> dict[str, tuple[dict[str, str], Noting]]:
    """With each engine's settings, the result of a run that nothing kills, and its engine."""
    found = {}
    for engine, settings in SETTINGS.items():
        with pytest.MonkeyPatch.context() as patch:
            apply(patch, settings)
            found[engine] = undisturbed_run(job_on("local", folder, f"undisturbed-{engine}"))
    return found


@pytest.fixture(scope="module")
def moments(undisturbed) -> dict[str, list[int]]:
    """Twenty of the changes that a run makes while it arranges the rows, the first and the last among them."""
    found = {}
    for engine, (_, noted) in undisturbed.items():
        found[engine] = np.linspace(1, noted.at["profile"] - noted.at["partition"], N_MOMENTS).astype(int).tolist()
        assert len({*found[engine]}) == N_MOMENTS
    return found


def apply(patch: pytest.MonkeyPatch, settings: dict[str, int]) -> None:
    for name, value in settings.items():
        patch.setattr(name, value)


def job_on(engine: str, folder: Path, sink: str, n_workers: int = 2) -> dict[str, Any]:
    return small_job(
        folder,
        sink=sink,
        columns={"time": "t", "entity": "color", "target": "y", "drop": ["name"]},
        windows={"strides": []},
        runtime={"engine": engine, "workers": n_workers, "granularity": "chunk", "chunk_rows": 500},
    )


def test_rows_are_partitioned_once_and_twice(undisturbed):
    assert ["regroup" in noted.at for _, noted in undisturbed.values()] == [True, False, True]
    first, *others = (result for result, _ in undisturbed.values())
    assert others == [first, first]


@pytest.mark.parametrize(
    ("engine", "moment"),
    [(engine, moment) for engine in SETTINGS for moment in range(0, N_MOMENTS, 1 + (engine == "processes"))],
)
def test_killed_at_any_change_of_the_file_system(undisturbed, moments, folder, prefect_api, monkeypatch, engine, moment):
    before = {path.name for path in folder.iterdir()}
    # Locally, every other time on two threads.
    job = job_on(engine, folder, f"{engine}-{moment}", 1 + moment % 2 if engine == "local" else 2)
    sink, told = Path(job["sink"]["path"]), folder / f"{engine}-{moment}-told"
    kills = Kills(told, "partition", at=[moments[engine][moment]], of_run=True, settings=SETTINGS[engine])
    status = kills.run(job, None if engine == "local" else prefect_api)
    if moment == N_MOMENTS - 1 and not kills.n_kills:  # with several workers, the number of changes may vary by one
        assert status == 0
    else:
        assert (kills.n_kills, status) == (1, -signal.SIGKILL)
        assert not (sink / "manifest.json").exists()
        apply(monkeypatch, SETTINGS[engine])
        assert_goes_on(job, undisturbed[engine])
    assert contents(sink) == undisturbed[engine][0]
    assert not (sink / ".staging").exists()
    assert {path.name for path in folder.iterdir()} == before | {sink.name, told.name}
    shutil.rmtree(sink)


def test_a_run_replaces_worker_processes_that_are_killed(undisturbed, moments, folder, prefect_api):
    job, at = job_on("processes", folder, "replaced"), moments["processes"][1::2]
    # A call that a process had begun is repeated, and may lose several processes in a row.
    kills = Kills(folder / "told", "partition", at=at, settings=GROUPS | {"tasks.processes.MAX_LOST": N_MOMENTS})
    assert kills.run(job, prefect_api) == 0
    assert kills.n_kills == N_MOMENTS // 2
    assert kills.n_workers == 2 + kills.n_kills
    assert contents(Path(job["sink"]["path"])) == undisturbed["processes"][0]
