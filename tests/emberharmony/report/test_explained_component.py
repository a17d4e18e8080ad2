"""A component is what its explanation says: against scikit-learn's PCA of materialised windows."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from emberharmony.errors import PlanError
from emberharmony.pipeline.state import read_state
from emberharmony.report.explained_component import explain_component
from tests.jobs import run_small, small_table, write_table

SIZE = 4
COLUMNS = {"time": "t", "target": "y", "drop": ["name"]}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("components")
    source = write_table(small_table(300), folder / "t.parquet")
    return run_small(source, folder / "out", columns=COLUMNS, windows={"size": SIZE, "strides": [1, 3]})


@pytest.mark.parametrize("stride", [1, 3])
def test_the_loadings_are_those_of_scikit_learn(published, stride):
    names = published.feature_names
    block = np.stack([published.features["train"][name].to_numpy() for name in names], axis=1).astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(block, SIZE, axis=0)[::stride].transpose(0, 2, 1)
    pca = PCA(3, svd_solver="full").fit(windows.reshape(len(windows), -1))
    for number in range(3):
        told = explain_component(read_state(published.outcome.sink), f"pc_{number + 1}", stride, top=SIZE * len(names))
        assert told.n_windows == len(windows)
        assert told.share == pytest.approx(pca.explained_variance_ratio_[number], rel=1e-5)
        assert told.share_up_to == pytest.approx(pca.explained_variance_ratio_[: number + 1].sum(), rel=1e-5)
        assert told.explained_variance == pytest.approx(pca.explained_variance_[number], rel=1e-5)
        assert told.squares == pytest.approx(1.0)
        expected = pca.components_[number].reshape(SIZE, -1)
        found = np.zeros_like(expected)
        for one in told.loadings:
            assert one.lag == SIZE - 1 - one.row
            found[one.row, names.index(one.feature)] = one.loading
            assert one.mean == pytest.approx(windows[:, one.row, names.index(one.feature)].mean(), abs=1e-5)
        sign = np.sign((found * expected).sum())
        np.testing.assert_allclose(found, sign * expected, atol=1e-4)
        sizes = [abs(one.loading) for one in told.loadings]
        assert sizes == sorted(sizes, reverse=True)


def test_only_the_largest_are_told(published):
    told = explain_component(read_state(published.outcome.sink), "pc_2", 3, top=2)
    assert len(told.loadings) == 2
    assert told.squares < 1.0
    lines = [*told.lines()]
    assert lines[0] == ("component", "pc_2 of stride 3")
    assert f"{told.loadings[0].loading:+.4f}  {told.loadings[0].feature}, " in lines[-2][1]
    assert told.to_json()["loadings"][0]["feature"] == told.loadings[0].feature


@pytest.mark.parametrize(
    ("name", "stride", "words"),
    [
        ("pc_1", None, "pc_1 is a component of each stride: name one of 1, 3 with --stride"),
        ("pc_1", 2, "no windows of stride 2; there are strides 1, 3"),
        ("pc_99", 1, "no component pc_99 of stride 1; there are pc_1 to pc_"),
    ],
)
def test_components_that_are_not_there(published, name, stride, words):
    with pytest.raises(PlanError, match=words):
        explain_component(read_state(published.outcome.sink), name, stride)


def test_a_job_without_windows(tmp_path):
    run_small(write_table(small_table(60), tmp_path / "t.parquet"), tmp_path / "out", columns=COLUMNS, windows={"strides": []})
    with pytest.raises(PlanError, match="the job made no windows"):
        explain_component(read_state(tmp_path / "out"), "pc_1")
