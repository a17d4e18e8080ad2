"""Law 5: on a table that fits in memory, the job and the reference in pandas and scikit-learn publish the same."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.flights import demo_config
from tests.jobs import SPLITS, Published, run_small, write_table
from tests.references import Reference, reference_job

NULLABLE = {
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def hard_table(n_rows: int = 3_000, *, seed: int = 0) -> pa.Table:
    """A table with every kind of column and every difficulty a column can have."""
    rng = np.random.default_rng(seed)

    def some(share: float) -> np.ndarray:
        return rng.random(n_rows) < share

    ties = 1_700_000_000 + rng.permutation(n_rows) // 4 * 7_919  # unordered, four rows of equal time
    walk = 1e6 + np.cumsum(rng.normal(size=n_rows))
    walk[some(0.03)] = np.inf
    walk[some(0.03)] = -np.inf
    walk[some(0.03)] = np.nan
    many = rng.zipf(1.3, n_rows) % 700
    return pa.table(
        {
            "count": pa.array(rng.poisson(3.0, n_rows), pa.int32(), mask=some(0.2)),
            "t": pa.array(ties * 1_000_000, pa.timestamp("us", tz="UTC")),
            "walk": pa.array(walk),
            # These columns before and after `color` have the names of its categories.
            "color_dark_red": pa.array(rng.normal(size=n_rows)),
            "color": pa.array(rng.choice(["dark red", "dark-red", "dark_red", "Ünlü", "", "other"], n_rows), mask=some(0.05)),
            "color_blue": pa.array(rng.normal(size=n_rows).astype(np.float32)),
            "y": pa.array(rng.normal(size=n_rows), mask=some(0.01)),
            "flag": pa.array(some(0.4), mask=some(0.3)),
            "always": pa.array(np.ones(n_rows, bool)),
            "many": pa.array([f"id {i}" for i in many], mask=some(0.02)),
            "code": pa.array(rng.integers(0, 30, n_rows), pa.int64(), mask=some(0.1)),
            "packed": pa.array(rng.choice(["a", "b", "c"], n_rows), mask=some(0.1)).dictionary_encode(),
            "one": pa.array(["only"] * n_rows),
            "flat": pa.array(np.full(n_rows, 7.0), mask=some(0.5)),
            "empty": pa.array([None] * n_rows, pa.float64()),
            "rare": pa.array(rng.normal(size=n_rows), mask=~some(0.05)),
            "rare_word": pa.array(["word"] * n_rows, mask=~some(0.05)),
            "born": pa.array(rng.integers(-9e8, 1.7e9, n_rows) * 1_000, pa.timestamp("ms"), mask=some(0.1)),
            "name": pa.array([f"row {i}" for i in range(n_rows)]),
        }
    )


def reference_of(table: pa.Table, **job) -> Reference:
    return reference_job(table.to_pandas(types_mapper=NULLABLE.get), **job)


def assert_agree(published: Published, reference: Reference, *, some_components: int) -> None:
    """Compare names, splits and windows exactly, values to float32, and scores of well-separated components to 1e-4."""
    assert published.feature_names == reference.feature_names
    for split in SPLITS:
        expected = reference.features[split]
        assert published.features[split]["row_number"].to_pylist() == expected["row_number"].tolist()
        if len(expected):
            values = expected[reference.feature_names].to_numpy()
            np.testing.assert_allclose(published.block(split), values, rtol=2e-6, atol=2e-6, err_msg=split)
    assert set(published.windows) == set(reference.windows)
    for stride, pca in reference.pca.items():
        ratio = published.manifest["strides"][str(stride)]["explained_variance_ratio"]
        np.testing.assert_allclose(ratio, pca.explained_variance_ratio_, atol=1e-5)
        deduplicated = separated(pca)
        assert deduplicated.sum() >= some_components
        for split, expected in reference.windows[stride].items():
            windows = published.windows[stride][split]
            where = f"stride {stride}, {split}"
            assert windows.num_rows == len(expected.first_row), where
            if not windows.num_rows:
                continue
            np.testing.assert_array_equal(windows["first_row"], expected.first_row, err_msg=where)
            np.testing.assert_array_equal(windows["last_row"], expected.last_row, err_msg=where)
            scores = np.stack([windows[f"pc_{i + 1}"].to_numpy() for i in range(pca.n_components_)], axis=1)
            actual, wanted = scores[:, deduplicated], expected.scores[:, deduplicated]
            np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4, err_msg=where)


def separated(pca) -> np.ndarray:
    """Mask of components whose variance is well separated from both neighbours' and whose sign is unambiguous."""
    variance = np.append(pca.explained_variance_, pca.noise_variance_)
    gaps = -np.diff(variance) / variance[0]
    clear_gaps = np.minimum(gaps, np.append(np.inf, gaps[:-1])) > 1e-3
    loadings = np.sort(np.abs(pca.components_), axis=1)
    return clear_gaps & (loadings[:, -1] - loadings[:, -2] > 1e-6)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_table(hard_table(), tmp_path_factory.mktemp("hard") / "table.parquet", group_rows=500)


@pytest.mark.parametrize("chunk_rows", [400, 100_000])
def test_everything_at_once(source, tmp_path, chunk_rows):
    published = run_small(
        source,
        tmp_path / "out",
        columns={"time": "t", "target": "y", "passthrough": ["name"], "categorical": ["code"]},
        categories={"max_categories": 20},
        runtime={"chunk_rows": chunk_rows},
    )
    reference = reference_of(
        hard_table(), time="t", target="y", passthrough=["name"], forced_categorical=["code"], max_categories=20
    )
    assert {"color_dark_red", "color_dark_red_2", "color_dark_red_3", "color_other", "color_other_2"} <= {
        *reference.feature_names
    }
    assert set(published.manifest["dropped"]) == set(reference.dropped) == {"flat", "empty", "rare", "rare_word"}
    assert_agree(published, reference, some_components=8)


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"datetime": {"cycle": "calendar"}}, {"cycle": "calendar"}),
        ({"datetime": {"epoch": True}}, {"epoch": True}),
        ({"datetime": {"epoch": True}, "numbers": {"scale": "all"}}, {"epoch": True, "scale": "all"}),
        ({"datetime": {"time_zone": "Asia/Kolkata"}}, {"time_zone": "Asia/Kolkata"}),
        ({"numbers": {"scale": "all"}}, {"scale": "all"}),
        ({"split": {"gap": timedelta(days=3)}}, {"gap": timedelta(days=3)}),
        ({"split": {"fractions": [0.5, 0.3, 0.2]}}, {"fractions": (0.5, 0.3, 0.2)}),
        ({"split": {"fractions": [0.5, 0.0, 0.5]}}, {"fractions": (0.5, 0.0, 0.5)}),
        (  # four rows have each time; the first boundary is within them
            {"split": {"method": "sequential", "fractions": [0.701, 0.1, 0.199]}},
            {"split": "sequential", "fractions": (0.701, 0.1, 0.199)},
        ),
        ({"windows": {"size": 3, "strides": [2, 7]}}, {"size": 3, "strides": (2, 7)}),
        ({"windows": {"size": 1, "strides": [1]}}, {"size": 1, "strides": (1,)}),
        ({"pca": {"components": 3}}, {"components": 3}),
        ({"categories": {"max_categories": 2}}, {"max_categories": 2}),
    ],
    ids=str,
)
def test_every_setting(source, tmp_path, settings, same):
    columns = {"time": "t", "drop": ["name", "many"]}
    published = run_small(source, tmp_path / "out", columns=columns, runtime={"chunk_rows": 700}, **settings)
    reference = reference_of(hard_table(), time="t", drop=["name", "many"], **same)
    assert_agree(published, reference, some_components=2)


def test_high_null_threshold(source, tmp_path):
    columns = {"time": "t", "drop": ["name", "many"], "high_null_threshold": 0.4}
    published = run_small(source, tmp_path / "out", columns=columns)
    reference = reference_of(hard_table(), time="t", drop=["name", "many"], high_null_threshold=0.4)
    assert set(published.manifest["dropped"]) - {"name", "many"} == set(reference.dropped)
    assert_agree(published, reference, some_components=8)


@pytest.mark.parametrize(
    "columns", [{"time": "t", "drop": ["name", "many"]}, {"drop": ["name", "many"]}], ids=["ordered", "unordered"]
)
def test_random_split(source, tmp_path, columns):
    """Other tests check which rows are drawn; this one checks what follows from the draw."""
    job = {"columns": columns, "split": {"method": "random", "seed": 3}, "windows": {"size": 1, "strides": [1, 3]}}
    published = run_small(source, tmp_path / "out", runtime={"chunk_rows": 700}, **job)
    membership = np.full(3_000, None, dtype=object)
    for name in SPLITS:
        membership[published.features[name]["row_number"].to_numpy()] = name
    assert {name: (membership == name).mean() for name in SPLITS} == pytest.approx(
        {"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.03
    )
    same = {"drop": ["name", "many"], "split": membership, "size": 1, "strides": (1, 3)}
    reference = reference_of(hard_table(), time=columns.get("time"), **same)
    assert_agree(published, reference, some_components=5)


def test_without_a_time_the_first_rows_train(source, tmp_path):
    drop = ["t", "name", "many"]
    published = run_small(source, tmp_path / "out", columns={"drop": drop}, runtime={"chunk_rows": 700})
    assert_agree(published, reference_of(hard_table(), drop=drop, split="sequential"), some_components=8)


def test_flights(tenth_of_flights, tmp_path):
    """The demo's job, with fewer categories because the reference holds every window in memory."""
    job = yaml.safe_load(demo_config().read_text())
    columns = job["columns"]
    settings = {name: job[name] for name in ("columns", "datetime", "numbers", "split", "windows")}
    published = run_small(
        tenth_of_flights,
        tmp_path / "out",
        **settings,
        categories={"max_categories": 10},
        runtime={"chunk_rows": 5_000, "max_memory_gb": 8},  # for the whole process, in which other tests ran before
    )
    reference = reference_of(
        pq.read_table(tenth_of_flights),
        time=columns["time"],
        target=columns["target"],
        drop=columns["drop"],
        passthrough=columns["passthrough"],
        time_zone=job["datetime"]["time_zone"],
        max_categories=10,
    )
    assert {name: len(rows) for name, rows in reference.features.items()} == published.manifest["rows"]
    assert set(published.manifest["dropped"]) == {*columns["drop"], "year", "speed"}
    assert_agree(published, reference, some_components=12)
