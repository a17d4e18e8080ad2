"""Values beyond float32: clipped on every backend alike, counted, and said."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest

from emberharmony.io.manifest import read_manifest
from emberharmony.io.store.opening import open_store
from emberharmony.report.summary import summary_lines
from tests.backends import BACKENDS, on_device
from tests.jobs import run_small, write_table
from tests.laws.test_apply import apply_to, parts

LARGEST = float(np.finfo(np.float32).max)
TIMES = [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(60)]


def table_with(x):
    return pa.table({"t": pa.array(TIMES), "x": x, "q": np.random.default_rng(1).random(60)})


def scores_of(windows):
    return np.stack([windows[name].to_numpy() for name in windows.column_names if name.startswith("pc_")])


@pytest.mark.parametrize("backend", BACKENDS)
def test_sentinels_outside_of_training(tmp_path, backend):
    backend = on_device(backend)
    x = np.random.default_rng(0).normal(size=60) * 1e-3
    x[49], x[55], x[57] = 1e39, 3.4028234e38, -1.7976931348623157e308
    source = write_table(table_with(x), tmp_path / "t.parquet")
    job = {"windows": {"size": 2, "strides": [1]}, "runtime": {"backend": backend}}
    published = run_small(source, tmp_path / "out", **job)
    features = np.concatenate([published.features[split]["x"].to_numpy() for split in ("validation", "test")])
    np.testing.assert_array_equal(features[[1, 7, 9]], np.array([LARGEST, LARGEST, -LARGEST], np.float32))
    assert np.isfinite(features).all()
    assert published.manifest["clipped"] == {"x": 3}
    scores = np.concatenate([scores_of(published.windows[1][split]) for split in ("train", "validation", "test")], axis=1)
    assert np.isfinite(scores).all()
    assert published.manifest["strides"]["1"]["clipped"] == (np.abs(scores) >= LARGEST).sum()
    text = dict(summary_lines(published.outcome))["clipped"]
    assert "values exceed float32" in text
    assert "x (3)" in text

    applied = apply_to(source, tmp_path / "out", tmp_path / "applied", backend=backend)
    assert applied.manifest.clipped == {"x": 3}
    assert np.isfinite(parts(tmp_path / "applied/features/split=apply")["x"].to_numpy()).all()
    assert np.isfinite(scores_of(parts(tmp_path / "applied/windows/stride=1/split=apply"))).all()


def test_nothing_is_said_where_nothing_is_clipped(tmp_path):
    source = write_table(table_with(np.random.default_rng(0).normal(size=60)), tmp_path / "t.parquet")
    published = run_small(source, tmp_path / "out", windows={"size": 2, "strides": [1]})
    assert "clipped" not in dict(summary_lines(published.outcome))
    assert published.manifest["clipped"] == {}


def test_a_manifest_of_before_is_read(tmp_path):
    source = write_table(table_with(np.random.default_rng(0).normal(size=60)), tmp_path / "t.parquet")
    manifest = run_small(source, tmp_path / "out", windows={"size": 2, "strides": [1]}).manifest
    del manifest["clipped"], manifest["strides"]["1"]["clipped"]
    (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))
    read = read_manifest(open_store(tmp_path / "out"))
    assert read is not None
    assert (read.clipped, read.strides["1"].clipped) == ({}, 0)
