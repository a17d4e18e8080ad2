"""Law 3 where rows are arranged: a run that ends at any change of the file system is completed by the next one.

`tests.faults.ended` ends runs in this process. Runs on Prefect's threads and on Dask that arrange rows are killed in
`test_killed_engines`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.faults.ended import Noting, assert_completed, undisturbed_run
from tests.faults.victims import small_job

# A lock of a dead run is not closed in this process, but by it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

N_MOMENTS = 20
MANY_SERIES = {
    "columns": {"time": "t", "entity": "color", "target": "y", "drop": ["name"]},
    "windows": {"strides": []},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("arranging")


@pytest.fixture(scope="module", autouse=True)
def pieces():
    """Seven pieces of the table instead of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberharmony.planning.memory.INPUT_ROWS", 250)
        yield


@pytest.fixture(scope="module")
def undisturbed(folder) -> tuple[dict[str, str], Noting]:
    """The result of an undisturbed run, and its engine."""
    return undisturbed_run(small_job(folder, sink="undisturbed", **MANY_SERIES))


@pytest.mark.parametrize("moment", range(N_MOMENTS))
def test_ended_at_any_change_of_the_file_system(undisturbed, folder, moment):
    at = undisturbed[1].at
    moments = np.linspace(at["partition"] + 1, at["profile"], N_MOMENTS).astype(int)
    assert len(np.unique(moments)) == N_MOMENTS
    job = small_job(folder, sink=f"killed-{moment}", **MANY_SERIES)
    # Every other time on several threads.
    assert_completed(job, undisturbed, last=int(moments[moment]), n_workers=1 + 2 * (moment % 2))
