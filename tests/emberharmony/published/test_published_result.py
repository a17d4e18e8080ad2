"""What a published result holds, and what is said where it holds something else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import emberharmony
from emberharmony import open_result
from emberharmony.errors import DataError, PlanError
from emberharmony.io.manifest import read_manifest
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.execute import run_job
from emberharmony.pipeline.state import read_state
from flows.config.job import ApplyJob, FitJob, parse_job
from flows.engines.local import LocalEngine
from tests.jobs import small_table, write_table
from tests.stored import contents_of, publish_by_hand


def test_the_manifest_and_the_state(result, folder):
    assert result.manifest == read_manifest(LocalStore(folder))
    assert result.state == read_state(folder)
    assert result.state.preprocessing.feature_names == result.manifest.features


def test_each_split_and_stride(result):
    for split, n_rows in result.manifest.rows.items():
        assert result.features(split).dataset().count_rows() == n_rows
    for stride, counts in result.manifest.strides.items():
        for split, n_windows in counts.windows.items():
            assert result.windows(stride=int(stride), split=split).dataset().count_rows() == n_windows
    assert {*result.windows(stride=3).to_arrow(["stride"])["stride"].to_pylist()} == {3}


@pytest.mark.parametrize(
    ("read", "match"),
    [
        (lambda result: result.features("tset"), "has no split 'tset'. Did you mean 'test'?"),
        (lambda result: result.windows(stride=2), "has no stride '2'. It has: 1, 3."),
        (lambda result: result.windows(stride=1, split="all"), "has no split 'all'. It has: train, validation, test."),
    ],
)
def test_what_a_result_has_not(result, read, match):
    with pytest.raises(PlanError) as caught:
        read(result)
    assert match in str(caught.value)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Results of the other kinds of job, and one without windows."""
    root = tmp_path_factory.mktemp("others")
    source, none = write_table(small_table(300), root / "table.parquet"), small_table(300).slice(0, 0)
    base = {"source": {"path": str(source)}, "runtime": {"engine": "local", "backend": "numpy", "workers": 1}}
    fitted = base | {"columns": {"time": "t", "drop": ["name"]}, "windows": {"size": 3, "strides": [1]}}

    def publish(name, job, model=None):
        job = parse_job(job | {"sink": {"path": str(root / name)}}, **({"model": model} if model else {}))
        run_job(job, LocalEngine(1))

    publish("fitted", fitted, FitJob)
    publish("no windows", fitted | {"windows": {"strides": []}})
    write_table(none, root / "none.parquet")
    applied = base | {"source": {"path": str(root / "none.parquet")}, "state": str(root / "fitted")}
    publish("no rows", applied, ApplyJob)
    return root


def test_a_job_that_only_fitted(others):
    result = open_result(others / "fitted")
    assert result.state.preprocessing.feature_names == result.manifest.features
    with pytest.raises(DataError, match="fitted holds no features: the job only fitted"):
        result.features()
    with pytest.raises(DataError, match="fitted holds no windows: the job only fitted"):
        result.windows(stride=1)


def test_a_job_without_windows(others):
    with pytest.raises(DataError, match="no windows holds no windows: the job asked for none"):
        open_result(others / "no windows").windows(stride=1)


def test_a_day_without_rows(others):
    result = open_result(others / "no rows")
    table = result.features().to_arrow()
    assert table.num_rows == 0
    assert {*result.manifest.features} < {*table.column_names}
    assert result.windows(stride=1, split="apply").to_pandas().empty


def test_rows_that_are_elsewhere(others, tmp_path):
    """As BigQuery's sink leaves them: the manifest counts rows, and names no files of them."""
    shutil.copytree(others / "no windows", tmp_path / "out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["name"].startswith("state/")]
    (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"in the tables that state/bigquery\.json names"):
        open_result(tmp_path / "out").features()


@pytest.mark.parametrize("store", ["local", pytest.param("s3", marks=pytest.mark.xdist_group("stores"))])
def test_an_earlier_version(store, tmp_path, request):
    sink = str(tmp_path) if store == "local" else request.getfixturevalue("s3")
    for number in range(3):
        publish_by_hand(sink, str(number), contents=contents_of(number))
    current, kept = result_at(sink).versions()
    earlier = open_result(sink, version=kept.name)
    assert (earlier.version, earlier.manifest.fingerprint) == (kept.name, "1")
    assert {*earlier.features().to_arrow()["a"].to_pylist()} == {1.0}
    assert {*open_result(sink, version=current.name).features().to_arrow()["a"].to_pylist()} == {2.0}
    with pytest.raises(DataError, match=r"has no version 'none'\. It has: .* `emberharmony show` lists them"):
        open_result(sink, version="none")


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_damaged_state(result, folder, tmp_path, damage):
    shutil.copytree(folder, tmp_path / "out")
    file = tmp_path / "out/state/preprocessing.json"
    file.unlink() if damage == "removed" else file.write_text(file.read_text().replace("0", "1"))
    with pytest.raises(DataError, match=r"preprocessing\.json is (missing or damaged|not what its run published)"):
        _ = open_result(tmp_path / "out").state


def test_scores_are_those_of_the_fitted_components(result):
    """The first component of the training windows has the variance that the manifest says, in its share."""
    scores = result.windows(stride=1, split="train").to_pandas()
    variances = np.array([scores[f"pc_{i + 1}"].var() for i in range(result.manifest.strides["1"].components)])
    ratios = np.array(result.manifest.strides["1"].explained_variance_ratio)
    np.testing.assert_allclose(variances / variances.sum(), ratios / ratios.sum(), atol=1e-3)


def test_it_is_imported_when_it_is_first_used():
    assert emberharmony.open_result is open_result
    assert "open_result" in dir(emberharmony)
    code = "import sys, emberharmony; print(*[name for name in sys.modules if name.startswith(('emberharmony.', 'pyarrow'))])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.split() == ["emberharmony.version"]
    with pytest.raises(AttributeError, match="has no attribute 'open_results'"):
        _ = emberharmony.open_results
