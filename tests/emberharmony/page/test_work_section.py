"""Time and throughput against pandas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from emberharmony.page.facts import StageWork
from emberharmony.page.work_section import chunk_speeds, work_section
from tests.emberharmony.page.test_markup import Read
from tests.pages import facts_by_hand, rows_of

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"rows": RNG.integers(1, 100, 1000), "seconds": RNG.uniform(0.1, 2, 1000), "worker": RNG.choice(["a", "b"], 1000)}
)
WORK = StageWork("featurize", np.arange(1000), FRAME.rows.to_numpy(), FRAME.seconds.to_numpy(), tuple(FRAME.worker))
FACTS = replace(facts_by_hand(), work=(WORK,))


def test_seconds_are_summed_by_worker():
    ((by_stage, _), lines, _) = work_section(FACTS).parts
    found = {row["worker"]: row["seconds"] for row in rows_of(by_stage.data)}
    expected = FRAME.groupby("worker").seconds.sum()
    np.testing.assert_allclose([found["a"], found["b"]], expected, rtol=1e-3)
    text = Read(lines).text
    assert f"{FRAME.seconds.sum():,.2f}{FRAME.seconds.max():,.2f}{FRAME.rows.sum() / FRAME.seconds.sum():,.0f}" in text


def test_many_chunks_are_averaged_in_groups_of_neighbours():
    sums = FRAME.groupby(np.arange(1000) // 5)[["rows", "seconds"]].sum()
    speeds = chunk_speeds(WORK)
    assert [chunk for chunk, _ in speeds] == list(range(0, 1000, 5))
    np.testing.assert_allclose([speed for _, speed in speeds], sums.rows / sums.seconds)


def test_stages_without_rows_have_no_speed():
    once = StageWork("fit", np.array([0]), np.array([0]), np.array([1.5]), ("numpy:cpu on a",))
    ((_, by_chunk), *_) = work_section(replace(FACTS, work=(once,))).parts
    assert rows_of(by_chunk.data) == []


def test_memory_is_the_most_at_the_end_of_a_chunk():
    memory = RNG.integers(2**30, 2**32, 1000)
    (_, lines, note) = work_section(replace(FACTS, work=(replace(WORK, memory=memory),), planned_bytes=0)).parts
    assert f"{memory.max() / 2**30:.2f} GiB" in Read(lines).text
    assert "at the end of a chunk" in Read(note).text
    (_, lines) = work_section(replace(FACTS, planned_bytes=0)).parts  # of a run of an earlier version
    assert "GiB" not in Read(lines).text


def test_without_receipts_there_is_no_section():
    assert work_section(replace(FACTS, work=())) is None
