"""Law 2: the whole job on numpy, torch and mlx, column by column: the same splits, values equal to 1e-5."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.flights import demo_config
from tests.backends import BACKENDS, on_device, told
from tests.jobs import SPLITS, Published, assert_published_alike, run_small, small_table, with_blocks, write_table

OTHERS = BACKENDS[1:]
COLUMNS = {"time": "t", "target": "y", "passthrough": ["name"]}
JOBS = {
    "temporal": {"columns": COLUMNS},
    "sequential, all scaled": {"columns": COLUMNS, "split": {"method": "sequential"}, "numbers": {"scale": "all"}},
    "random, all scaled": {
        "columns": COLUMNS,
        "split": {"method": "random"},
        "windows": {"size": 1},
        "numbers": {"scale": "all"},
    },
    "hash, calendar": {
        "columns": COLUMNS | {"categorical": ["count", "flag"], "drop": ["block"]},
        "split": {"method": "hash", "keys": ["block"]},
        "datetime": {"cycle": "calendar", "time_zone": "Europe/Berlin", "epoch": True},
        "windows": {"size": 3, "strides": [1, 2, 4]},
    },
    "many series with gaps": {
        "columns": COLUMNS | {"entity": "flag"},
        "windows": {"size": 3, "strides": [1, 2], "max_gap": 9000},
    },
}


def assert_same_bits(a: pa.Table, b: pa.Table, names: list[str]) -> None:
    for name in names:
        assert a[name].combine_chunks().equals(b[name].combine_chunks()), name


@pytest.fixture(scope="module")
def publish(tmp_path_factory):
    """Publish one of the jobs on a backend, once."""
    folder = tmp_path_factory.mktemp("backends")
    source = write_table(with_blocks(small_table(1_500), 10), folder / "s.parquet", group_rows=300)

    @cache
    def published(name: str, backend: str) -> Published:
        job = JOBS[name]
        job = job | {"columns": {"drop": ["block"], **job["columns"]}, "pca": {"components": 4}}
        return run_small(source, folder / "out", runtime={"backend": backend, "chunk_rows": 400}, **job)

    return published


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", JOBS)
def test_backends_publish_the_same(publish, other, name):
    job = JOBS[name]
    results = {"numpy": publish(name, "numpy"), "other": publish(name, on_device(other))}
    assert_published_alike(results["other"], results["numpy"], atol=1e-5, rtol=1e-5)
    assert list(results["other"].manifest["backends"]) == [told(other)]
    cyclical = [name for name in results["numpy"].feature_names if name.startswith(("t_", "other_sin", "other_cos", "color_"))]
    assert len(cyclical) > 16
    if job.get("numbers", {}).get("scale") != "all":
        for split in SPLITS:
            assert_same_bits(results["other"].features[split], results["numpy"].features[split], cyclical)


def test_the_flights_on_every_backend(flights_file, tmp_path):
    table = pq.read_table(flights_file)
    rows = np.sort(np.random.default_rng(0).choice(len(table), 12_000, replace=False))
    source = write_table(table.take(pa.array(rows)), tmp_path / "flights.parquet", group_rows=4_000)
    job = yaml.safe_load(demo_config().read_text())
    job = {name: section for name, section in job.items() if name not in ("source", "sink", "runtime")}
    job |= {"categories": {"max_categories": 20}, "pca": {"components": 8}}
    a = run_small(source, tmp_path / "numpy", **job)
    for other in OTHERS:
        b = run_small(source, tmp_path / other, runtime={"backend": on_device(other)}, **job)
        assert_published_alike(b, a, atol=1e-5, rtol=1e-5)
