"""A backend that computes wrongly is found by the chunks that NumPy computes too, and named with its host."""

from __future__ import annotations

import dataclasses
import json
from platform import node

import numpy as np
import pytest

from emberharmony.backend import available_backends
from emberharmony.errors import ParityError
from emberharmony.pipeline.chunk_stages import PLAIN
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.manifest_of import in_few_words
from emberharmony.pipeline.parity import difference, is_checked
from emberharmony.pipeline.stages import run_stage
from flows.config.job import parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table

needs_torch = pytest.mark.skipif("torch" not in available_backends(), reason="torch is not installed")


def job(folder, **runtime):
    source = write_table(small_table(1200), folder / "table.parquet")
    runtime = {"engine": "local", "workers": 1, "chunk_rows": 300, "backend": "torch:cpu"} | runtime
    places = {"source": {"path": str(source)}, "sink": {"path": str(folder / "result")}}
    columns = {"time": "t", "target": "y", "drop": ["name"]}
    return parse_job(places | {"columns": columns, "windows": {"size": 2, "strides": [1]}, "runtime": runtime})


class Wrong(LocalEngine):
    """A local engine on a device whose projections are a little off in one chunk."""

    def map(self, stage, ref, chunks):
        def project(*args):
            return {stride: scores * np.float32(1.001) for stride, scores in PLAIN.project(*args).items()}

        for chunk in chunks:
            steps = dataclasses.replace(PLAIN, project=project) if chunk == 2 else PLAIN
            yield run_stage(stage.name, ref, chunk, steps)


@needs_torch
def test_a_sound_backend_passes_and_its_difference_is_recorded(tmp_path):
    run_job(job(tmp_path, parity_check=1.0), LocalEngine())
    manifest = json.loads((tmp_path / "result/manifest.json").read_text())
    (featurized,) = manifest["computed"]["featurize"].values()
    n_chunks = int(featurized.split("-")[1]) + 1
    assert manifest["parity"]["chunks"] == 2 * n_chunks, "every chunk, featurized and projected"
    assert 0 <= manifest["parity"]["largest"] < 1e-5
    assert manifest["computed"]["project"] == {f"torch:cpu on {node()}": featurized}


@needs_torch
def test_a_wrong_backend_stops_the_run_and_is_named(tmp_path):
    with pytest.raises(
        ParityError, match=rf"Chunk 2 \(project\), computed by torch:cpu on host {node()}, differs from NumPy by"
    ):
        run_job(job(tmp_path, parity_check=1.0), Wrong())
    assert not (tmp_path / "result/manifest.json").exists()
    (receipts,) = (tmp_path / "result").glob(".staging/*/receipts/project")
    assert sorted(path.stem for path in receipts.iterdir()) == ["00000", "00001"], "the wrong chunk is not committed"


@needs_torch
def test_without_the_check_nobody_notices(tmp_path):
    run_job(job(tmp_path), Wrong())
    assert json.loads((tmp_path / "result/manifest.json").read_text())["parity"] == {}


def test_the_draw_depends_on_the_chunk_alone():
    drawn = [chunk for chunk in range(20_000) if is_checked(chunk, 0.01)]
    assert 150 < len(drawn) < 250
    assert drawn[0] == 0
    assert [chunk for chunk in reversed(range(2_000)) if is_checked(chunk, 0.01)] == [n for n in drawn if n < 2_000][::-1]
    assert not any(is_checked(chunk, 0.0) for chunk in range(100))


def test_differences():
    expected = np.array([[1.0, -100.0, np.nan, np.inf]], np.float32)
    assert difference(expected.copy(), expected) == 0
    assert difference(expected + np.array([[0.5, 0, 0, 0]]), expected) == 0.5
    assert difference(expected + np.array([[0, 1.0, 0, 0]]), expected) == pytest.approx(0.01)
    assert np.isnan(difference(np.full_like(expected, np.nan), expected))
    assert difference({"a": expected + 1}, {"a": expected}) == 1


def test_ranges():
    assert in_few_words([]) == ""
    assert in_few_words([4]) == "4"
    assert in_few_words([0, 1, 3, 4, 5, 9]) == "0-1,3-5,9"
