"""The stages that merge: what they leave is what the states of all chunks are together."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.errors import DamagedError
from emberharmony.features.profile import ColumnProfile
from emberharmony.io.store.arrays import by_prefix
from emberharmony.pipeline import merge
from emberharmony.pipeline.chunk_stages import categories_name, profile_name
from emberharmony.pipeline.merge import merge_grams, merge_profiles, merged_profiles, top_grams, top_profiles
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.run_page import stages_in_order, work_of
from emberharmony.pipeline.stages import stages_of_plan
from emberharmony.pipeline.totals import totals_of
from emberharmony.stats.categories import CategoryCounts
from tests.emberharmony.pipeline.conftest import stop


@pytest.fixture
def merging(monkeypatch):
    """Every job merges its states, two or three at a time."""
    monkeypatch.setattr("emberharmony.planning.merge_tree.LEAST_BYTES", 0)
    monkeypatch.setattr("emberharmony.planning.merge_tree.MOST_MERGED", 2)


@pytest.fixture
def ref(merging, tmp_path):
    """The reference of a run of five chunks, merged on two levels, of which all but publishing is done."""
    return stop(tmp_path)


@pytest.fixture
def merged_run(ref) -> Run:
    return Run.opened(ref.staging)


def test_every_level_has_its_receipts(merged_run):
    for stage in ("merge-profiles", "merge-grams"):
        assert [len(list(merged_run.receipts.all_of(f"{stage}{level}"))) for level in ("", "-2")] == [3, 2]


def test_the_report_shows_the_stages_in_order(merged_run):
    stages = [stage.name for stage in stages_of_plan(merged_run.plan)]
    chunk_stages = [name for name in stages if name not in ("fit", "fit-pca", "publish")]
    totals = totals_of(merged_run, chunk_stages)
    assert stages_in_order(merged_run, totals) == stages[:-1]
    assert work_of(totals, "merge-grams-2").rows.sum() == merged_run.plan.n_rows


def test_the_profiles_left_are_those_of_all_chunks(merged_run):
    left, columns = top_profiles(merged_run, ()), merged_run.plan.roles.features
    assert (len(left.profiles), len(left.categories)) == (2, 2)
    chunks = list(merged_run.receipts.all_of("profile"))
    expected = [ColumnProfile.empty() for _ in columns]
    for receipt in chunks:
        states = by_prefix(merged_run.store.read_arrays(receipt.find(profile_name(receipt.chunk))))
        expected = [total.merge(ColumnProfile.from_arrays(states[str(i)])) for i, total in enumerate(expected)]
    for a, b in zip(merged_profiles(merged_run, left), expected, strict=True):
        assert (a.n_rows, a.n_null, a.n_nonfinite) == (b.n_rows, b.n_null, b.n_nonfinite)
        np.testing.assert_array_equal(a.quantiles.keys, b.quantiles.keys)
        np.testing.assert_array_equal(a.quantiles.counts, b.quantiles.counts)
        np.testing.assert_allclose([a.moments.mean, a.moments.m2], [b.moments.mean, b.moments.m2], rtol=1e-10)


def categories(run, records, place):
    states = [by_prefix(run.store.read_arrays(record))[place] for record in records]
    return sorted(CategoryCounts.merge_all(map(CategoryCounts.from_arrays, states)).top(1_000))


def test_categories_that_are_too_large_stay_where_they_are(merging, tmp_path, monkeypatch):
    found = []
    for folder, most in (("small", 2**24), ("large", 100)):
        monkeypatch.setattr(merge, "MAX_MERGED_BYTES", most)
        (tmp_path / folder).mkdir()
        run = Run.opened(stop(tmp_path / folder).staging)
        left = top_profiles(run, ()).categories
        chunks = [receipt.find(categories_name(receipt.chunk)) for receipt in run.receipts.all_of("profile")]
        (place,) = [str(i) for i, column in enumerate(run.plan.roles.features) if column.name == "color"]
        assert categories(run, left, place) == categories(run, chunks, place)
        assert (left == chunks) == (folder == "large")
        found.append(run.fitted.preprocessing)
    assert found[0] == found[1]


def test_the_grams_left_count_all_windows(merged_run):
    windows = merged_run.plan.spec.windows
    n_train = merged_run.fitted.rows["train"]
    for stride in windows.strides:
        states = [state for segment in top_grams(merged_run) for state in segment.states(merged_run.store, [stride])]
        assert len(states) == 2
        first, second = states
        assert first.merge(second).n_windows == len(range(0, n_train - windows.size + 1, stride))


def test_a_group_without_training_rows_leaves_nothing(merging, tmp_path):
    run = Run.opened(stop(tmp_path, sections={"split": {"fractions": [0.3, 0.1, 0.6]}}).staging)
    files = [[file.name for file in receipt.files] for receipt in run.receipts.all_of("merge-grams")]
    assert [len(names) for names in files] == [2, 0, 0]


def test_what_was_merged_stays(merged_run):
    """A run that is resumed looks for the files of every receipt."""
    for stage in ("profile", "merge-profiles", "featurize", "merge-grams"):
        for receipt in merged_run.receipts.all_of(stage):
            assert all(map(merged_run.store.holds, receipt.files))


@pytest.mark.parametrize("stage", ["merge-profiles", "merge-grams"])
def test_a_missing_receipt_is_named(merged_run, stage):
    below = "profile" if stage == "merge-profiles" else "featurize"
    group = merged_run.receipts.items(stage)[1]
    merged_run.store.delete(f"receipts/{below}/00002.json")
    work = merge_profiles if stage == "merge-profiles" else merge_grams
    with pytest.raises(DamagedError, match=f"no receipt of {below}"):
        work(merged_run, group, "numpy:cpu", level=1)
