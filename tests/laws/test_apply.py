"""Law 6: applying the state to the training rows gives the features and windows that the run wrote for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.pipeline.execute import RunResult, run_job
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.backends import BACKENDS, on_device
from tests.jobs import Published, run_small, small_table, write_table

JOB: dict[str, Any] = {
    "columns": {"time": "t", "target": "y", "passthrough": ["name"]},
    "windows": {"size": 4, "strides": [1, 3]},
}


def apply_to(source: Path, state: Path, sink: Path, *, settings: dict[str, Any] | None = None, **runtime: Any) -> RunResult:
    runtime = {"workers": 1, "backend": "numpy", "engine": "local"} | runtime
    data = {"state": str(state), "source": {"path": str(source)}, "sink": {"path": str(sink)}, "runtime": runtime}
    data |= settings or {}
    return run_job(parse_job(data, model=ApplyJob), LocalEngine(runtime["workers"]))


def parts(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.ParquetFile(path).read() for path in sorted(folder.glob("*.parquet"))])


def rows_of(table: pa.Table, published: Published, split: str) -> pa.Table:
    """Source rows that a run assigned to a split, in source order."""
    return table.take(pa.array(np.sort(published.features[split]["row_number"].to_numpy())))


def assert_same(applied: Path, published: Published, split: str) -> None:
    features, expected = parts(applied / "features/split=apply"), published.features[split]
    assert features.column_names == expected.column_names
    for name in set(expected.column_names) - {"row_number"}:  # rows are numbered within another table now
        assert features[name].combine_chunks().equals(expected[name].combine_chunks()), name
    for stride, windows in published.windows.items():
        scores, reference = parts(applied / f"windows/stride={stride}/split=apply"), windows[split]
        assert scores.column_names == reference.column_names
        assert scores.num_rows == reference.num_rows
        for name in reference.column_names:
            if name.startswith("pc_"):
                np.testing.assert_allclose(scores[name], reference[name], atol=1e-6, rtol=1e-6)
            elif not name.endswith("_row"):
                assert scores[name].combine_chunks().equals(reference[name].combine_chunks()), name


@pytest.mark.parametrize("order", ["sorted", "shuffled", "ties"])
@pytest.mark.parametrize("chunk_rows", [None, 90])
def test_law_6(tmp_path, order, chunk_rows):
    table = small_table(600, order=order)
    published = run_small(write_table(table, tmp_path / "all.parquet", group_rows=150), tmp_path / "run", **JOB)
    for split in ("train", "test"):
        some = write_table(rows_of(table, published, split), tmp_path / f"{split}.parquet", group_rows=70)
        outcome = apply_to(some, tmp_path / "run", tmp_path / f"applied-{split}", chunk_rows=chunk_rows)
        assert_same(tmp_path / f"applied-{split}", published, split)
        assert dict(outcome.manifest.rows) == {"apply": published.features[split].num_rows}
        assert outcome.manifest.kind == "apply"
        for counts in outcome.manifest.strides.values():
            if split == "train":  # the components were fitted to this split
                assert counts.applied_explained == pytest.approx(counts.explained, rel=1e-4)
            assert 0 < counts.applied_explained <= 1


def test_without_windows(tmp_path):
    """Without strides a job publishes the same features and no windows, and its state can be applied."""
    source = write_table(small_table(600), tmp_path / "all.parquet", group_rows=150)
    whole = run_small(source, tmp_path / "whole", **JOB)
    job = JOB | {"windows": {"strides": []}}
    plain = run_small(source, tmp_path / "plain", runtime={"chunk_rows": 90}, **job)
    assert plain.windows == {}
    assert not (tmp_path / "plain/windows").exists()
    assert plain.outcome.outputs == tuple(str(tmp_path / "plain" / name) for name in ("features", "state", "manifest.json"))
    assert {file["name"].split("/")[0] for file in plain.manifest["files"]} == {"features", "state"}
    for split, features in whole.features.items():
        assert features.equals(plain.features[split])
    fitted = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "fit")}} | job
    runtime = {"workers": 1, "backend": "numpy", "engine": "local", "chunk_rows": 200}
    run_job(parse_job(fitted | {"runtime": runtime}, model=FitJob), LocalEngine(1))
    some = write_table(rows_of(small_table(600), plain, "test"), tmp_path / "test.parquet")
    for state in ("plain", "fit"):
        apply_to(some, tmp_path / state, tmp_path / f"applied-{state}")
        assert_same(tmp_path / f"applied-{state}", plain, "test")


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_law_6_on_another_backend(tmp_path, backend):
    table = small_table(600)
    published = run_small(write_table(table, tmp_path / "all.parquet"), tmp_path / "run", **JOB)
    some = write_table(rows_of(table, published, "train"), tmp_path / "train.parquet")
    apply_to(some, tmp_path / "run", tmp_path / "applied", backend=on_device(backend))
    features = parts(tmp_path / "applied/features/split=apply")
    for name in published.feature_names:
        np.testing.assert_allclose(features[name], published.features["train"][name], atol=1e-5)
    scores = parts(tmp_path / "applied/windows/stride=3/split=apply")
    np.testing.assert_allclose(scores["pc_1"], published.windows[3]["train"]["pc_1"], atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{}, {"split": {"method": "random", "seed": 3}, "windows": {"size": 1}}], ids=["sequential", "random"]
)
def test_law_6_without_a_time(tmp_path, settings):
    table = small_table(600)
    job = {**JOB, "columns": {"target": "y", "passthrough": ["name"]}, **settings}
    published = run_small(write_table(table, tmp_path / "all.parquet", group_rows=150), tmp_path / "run", **job)
    some = write_table(rows_of(table, published, "train"), tmp_path / "train.parquet", group_rows=100)
    apply_to(some, tmp_path / "run", tmp_path / "applied")
    assert_same(tmp_path / "applied", published, "train")


def test_every_scaled_feature(tmp_path):
    table = small_table(600)
    times = {"cycle": "calendar", "time_zone": "America/New_York", "epoch": True}
    job = JOB | {"numbers": {"scale": "all"}, "datetime": times}
    published = run_small(write_table(table, tmp_path / "all.parquet"), tmp_path / "run", **job)
    some = write_table(rows_of(table, published, "validation"), tmp_path / "some.parquet")
    apply_to(some, tmp_path / "run", tmp_path / "applied")
    assert_same(tmp_path / "applied", published, "validation")


@pytest.mark.parametrize("n_rows", [300, 3000])
def test_fit_publishes_the_state_that_the_whole_job_does(tmp_path, n_rows):
    source = write_table(small_table(n_rows), tmp_path / "all.parquet", group_rows=n_rows // 4)
    job = JOB | {"columns": {"time": "t", "target": "y", "drop": ["name"]}, "runtime": {"chunk_rows": n_rows // 4}}
    whole = run_small(source, tmp_path / "run", **job)
    runtime = {"workers": 1, "backend": "numpy", "engine": "local", "chunk_rows": n_rows // 4}
    data = job | {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "fit")}, "runtime": runtime}
    outcome = run_job(parse_job(data, model=FitJob), LocalEngine())
    assert sorted(path.name for path in (tmp_path / "fit").iterdir() if path.name != ".staging") == ["manifest.json", "state"]
    for name in ("preprocessing.json", "pca.safetensors", "baseline.json"):
        assert (tmp_path / "fit/state" / name).read_bytes() == (tmp_path / "run/state" / name).read_bytes()
    assert outcome.manifest.features == tuple(whole.feature_names)
    assert dict(outcome.manifest.rows) == whole.manifest["rows"]
    assert {s: c.windows["train"] for s, c in outcome.manifest.strides.items()} == {
        s: c["windows"]["train"] for s, c in whole.manifest["strides"].items()
    }
    apply_to(source, tmp_path / "fit", tmp_path / "a")
    apply_to(source, tmp_path / "run", tmp_path / "b")
    assert parts(tmp_path / "a/features/split=apply").equals(parts(tmp_path / "b/features/split=apply"))
    assert parts(tmp_path / "a/windows/stride=3/split=apply").equals(parts(tmp_path / "b/windows/stride=3/split=apply"))


def test_what_was_applied_can_be_applied_again(tmp_path):
    source = write_table(small_table(400), tmp_path / "all.parquet")
    run_small(source, tmp_path / "run", **JOB)
    apply_to(source, tmp_path / "run", tmp_path / "a")
    apply_to(source, tmp_path / "a/state", tmp_path / "b")
    assert parts(tmp_path / "a/features/split=apply").equals(parts(tmp_path / "b/features/split=apply"))
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    assert manifest["drift"].keys() == json.loads((tmp_path / "run/state/baseline.json").read_text()).keys()
