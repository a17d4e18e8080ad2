"""Samples stay small, hold every part of the rows, and are what the rows are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from emberharmony.pipeline import samples
from emberharmony.pipeline.samples import chosen, keeps_sample, sampled_rows, sampled_windows, share_of_rows
from emberharmony.pipeline.totals import totals_of
from emberharmony.planning.chunks import Chunk
from tests.emberharmony.pipeline.conftest import CHUNK_STAGES


def plan_of(n_chunks: int, n_rows: int) -> SimpleNamespace:
    return SimpleNamespace(chunks=[SimpleNamespace(index=i) for i in range(n_chunks)], n_rows=n_rows)


@pytest.mark.parametrize("n_chunks", [1, 2, 127, 128, 129, 1000, 100_000])
def test_few_chunks_keep_a_sample_and_the_rows_stay_few(n_chunks):
    plan = plan_of(n_chunks, n_chunks * 10_000)
    keeping = [chunk for chunk in plan.chunks if keeps_sample(plan, chunk)]
    assert len(keeping) == min(n_chunks, samples.MOST_CHUNKS)
    gaps = np.diff([chunk.index for chunk in keeping])
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1, "evenly spaced"
    n = sum(len(chosen(10_000, share_of_rows(plan), seed=chunk.index)) for chunk in keeping)
    assert n <= samples.MOST_ROWS + len(keeping)
    assert n > 0.9 * samples.MOST_ROWS


@pytest.mark.parametrize(("n", "share"), [(0, 1.0), (1, 0.0001), (7, 1.0), (7, 9.0), (1000, 0.5)])
def test_places_ascend_and_are_within(n, share):
    places = chosen(n, share, seed=1)
    assert len(places) <= n
    assert (np.diff(places) > 0).all() if share <= 0.5 else (np.diff(places) >= 0).all()
    assert ((places >= 0) & (places < n)).all()


def test_without_the_setting_nothing_is_kept(run):
    assert not any(totals_of(run, CHUNK_STAGES).samples.values())
    assert sampled_rows(run.store, []) is None
    assert sampled_windows(run.store, []) == {}


def test_a_small_run_keeps_all_its_rows(with_report):
    run = with_report
    kept = totals_of(run, CHUNK_STAGES).samples
    sample = sampled_rows(run.store, kept["featurize"])
    assert sample.n == 300
    assert np.bincount(sample.splits).tolist() == [240, 30, 30]
    assert (np.diff(sample.times) == 1800).all()
    assert sample.values.shape == (len(run.fitted.preprocessing.feature_names), 300)
    windows = sampled_windows(run.store, kept["project"])
    assert {stride: found.n for stride, found in windows.items()} == {1: 238 + 28 + 28, 2: 119 + 14 + 14}
    assert isinstance(run.plan.chunks[0], Chunk)
