"""What was fitted, as a later stage reads it: counts, statistics and components of the training rows."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq

from tests.jobs import small_table

SPLITS = ("train", "validation", "test")


def features_of(run, split):
    """The feature rows of a split in order, read without the library."""
    folder = run.store.path("features") / f"split={split}"
    return pq.read_table(sorted(folder.glob("*.parquet")), partitioning=None)


def test_rows_and_starts_are_those_of_the_parts(run):
    written = np.array([[r.rows[split] for split in SPLITS] for r in run.receipts.all_of("featurize")])
    assert run.fitted.splits == SPLITS
    np.testing.assert_array_equal(run.fitted.split_rows, written)
    assert run.fitted.rows == {"train": 240, "validation": 30, "test": 30}
    np.testing.assert_array_equal(run.fitted.series_starts, np.vstack([[0, 0, 0], written.cumsum(axis=0)[:-1]]))
    assert run.fitted.series == {}  # one series: nothing to count


def test_numbers_are_scaled_by_the_training_rows(run):
    table = small_table(300, order="sorted").slice(0, 240)
    (walk,) = (column for column in run.fitted.preprocessing.columns if column.name == "walk")
    known = table["walk"].drop_null().to_numpy()
    filled = table["walk"].fill_null(np.median(known)).to_numpy()
    np.testing.assert_allclose(walk.scaling.fill, np.median(known), rtol=1e-12)
    np.testing.assert_allclose([walk.scaling.mean, walk.scaling.scale], [filled.mean(), filled.std()], rtol=1e-9)


def test_components_are_those_of_the_training_windows(run):
    names = run.fitted.preprocessing.feature_names
    rows = np.stack([features_of(run, "train")[name].to_numpy() for name in names], axis=1).astype(np.float64)
    assert run.fitted.pcas.keys() == {1, 2}
    for stride, pca in run.fitted.pcas.items():
        windows = np.stack([rows[i : i + 3].ravel() for i in range(0, len(rows) - 2, stride)])
        values = np.linalg.svd(windows - windows.mean(axis=0), compute_uv=False) ** 2
        k = len(pca.components)
        np.testing.assert_allclose(pca.mean.ravel(), windows.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(pca.explained_variance_ratio, values[:k] / values.sum(), atol=1e-6)


def test_baselines_count_the_training_rows(run):
    table = small_table(300, order="sorted").slice(0, 240)
    (color,) = (column for column in run.fitted.preprocessing.columns if column.name == "color")
    counts = dict(zip(*(part.tolist() for part in table["color"].value_counts().flatten()), strict=True))
    bins = run.fitted.baselines["color"].counts.bins
    assert bins.tolist() == [*(counts[value] for value in color.vocabulary), 0]
