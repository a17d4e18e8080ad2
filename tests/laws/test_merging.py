"""Laws 1 and 3 where workers merge states in a tree: the same result whatever the tree, and the same bytes whoever merges."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.pipeline.execute import run_job
from flows.config.job import FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.faults.victims import contents
from tests.jobs import assert_published_alike, run_small, small_table, write_table

N_ROWS, CHUNK_ROWS = 400, 40
COLUMNS = {"time": "t", "target": "y", "drop": ["name", "other"]}
JOBS = {
    "one series": {"columns": COLUMNS, "windows": {"size": 3, "strides": [1, 2, 5]}},
    "many series": {"columns": {**COLUMNS, "entity": "color"}, "windows": {"size": 4, "strides": [1, 3]}},
}
LEVELS = {2: 2, 4: 1, 40: 0}
"""Levels of groups of some ten chunks, by the number of states that are merged at once, at most."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_table(small_table(N_ROWS), tmp_path_factory.mktemp("merging") / "t.parquet", group_rows=50)


@pytest.fixture(autouse=True)
def small_states_are_merged(monkeypatch):
    monkeypatch.setattr("emberharmony.planning.merge_tree.LEAST_BYTES", 0)


def merging(monkeypatch, most):
    monkeypatch.setattr("emberharmony.planning.merge_tree.MOST_MERGED", most)


def data(source, sink, **job):
    runtime = {"engine": "local", "backend": "numpy", "workers": 1, "chunk_rows": CHUNK_ROWS}
    return {"source": {"path": str(source)}, "sink": {"path": str(sink)}, "runtime": runtime, **job}


@pytest.mark.parametrize("worth", [0, 10**9], ids=["a state for each chunk", "joined rows"])
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_any_tree_publishes_the_same(source, tmp_path, monkeypatch, job, worth):
    for module in ("chunk_stages", "gram_segments"):
        monkeypatch.setattr(f"emberharmony.pipeline.{module}.state_pays", lambda n_bytes, *_: n_bytes > worth)
    results = []
    for most, levels in LEVELS.items():
        merging(monkeypatch, most)
        results.append(run_small(source, tmp_path / str(most), runtime={"chunk_rows": CHUNK_ROWS}, **job))
        stages = [stage for stage in results[-1].manifest["computed"] if stage.startswith("merge")]
        both = ("merge-profiles", "merge-grams")
        assert stages == [f"{stage}{level}" for stage in both for level in ("", "-2")[:levels]]
    for result in results[:-1]:
        assert_published_alike(result, results[-1])


class Shuffled(LocalEngine):
    """A local engine that runs the items of every stage in random order, and stops once at a stage."""

    def __init__(self, workers: int, *, seed: int, stop: str | None = None) -> None:
        super().__init__(workers)
        self._rng, self._stop = np.random.default_rng(seed), stop

    def map(self, stage, ref, chunks):
        items = self._rng.permutation(list(chunks)).tolist()
        if stage.name == self._stop:
            yield from super().map(stage, ref, items[: len(items) // 2])
            raise KeyboardInterrupt
        yield from super().map(stage, ref, items)


@pytest.mark.parametrize("most", [2, 4])
def test_the_order_the_workers_and_a_resumed_run_change_no_byte(source, tmp_path, monkeypatch, most):
    merging(monkeypatch, most)
    job = JOBS["one series"]
    run_job(parse_job(data(source, tmp_path / "plain", **job)), LocalEngine(1))
    expected = contents(tmp_path / "plain")
    for seed, stop in enumerate([None, "merge-grams-2" if most == 2 else "merge-profiles"]):
        sink = tmp_path / f"other-{seed}"
        if stop:
            with pytest.raises(KeyboardInterrupt):
                run_job(parse_job(data(source, sink, **job)), Shuffled(1, seed=seed, stop=stop))
        run_job(parse_job(data(source, sink, **job)), Shuffled(3, seed=seed + 10))
        assert contents(sink) == expected


def test_a_fit_makes_the_same_state(source, tmp_path, monkeypatch):
    merging(monkeypatch, 2)
    job = JOBS["one series"]
    run_job(parse_job(data(source, tmp_path / "whole", **job)), LocalEngine(1))
    run_job(parse_job(data(source, tmp_path / "state", **job), model=FitJob), LocalEngine(2))
    for path in (tmp_path / "whole" / "state").iterdir():
        if path.name != "job.json":  # the kinds of the jobs differ
            assert path.read_bytes() == (tmp_path / "state" / "state" / path.name).read_bytes()
