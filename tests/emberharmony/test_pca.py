"""Windowed PCA against scikit-learn on windows that are built."""

import tracemalloc
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import PCA

from emberharmony import pca as module
from emberharmony.backend import using_backend
from emberharmony.errors import PlanError
from emberharmony.pca import PCASpec, WindowPCA, n_components
from emberharmony.stats import WindowGram
from tests.references import fit_pca, windows_of


def series(n_rows, n_features, seed=0, *, family="correlated"):
    """Standardised rows, as the job makes them: float32 of shape (n_features, n_rows)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_features, n_rows))
    if family == "correlated":
        x = rng.normal(size=(n_features, n_features)) @ x + 0.5 * np.roll(x, 1, axis=1)
    if family == "constant":
        x[::2] = rng.integers(0, 2, len(x[::2]))[:, None]
    if family == "rank":
        x = rng.normal(size=(n_features, 2)) @ x[:2]
    if family == "one_hot":
        x = (rng.integers(0, n_features, n_rows) == np.arange(n_features)[:, None]).astype(float)
    rows = x.astype(np.float32)
    rows.flags.writeable = False
    return rows


def fitted(rows, size, stride, components=None):
    return WindowPCA.fit(WindowGram.of(rows, start=0, size=size, stride=stride), PCASpec(components))


def projected(pca, rows):
    count = max(0, (rows.shape[1] - pca.size) // pca.stride + 1)
    return pca.project(rows, pca.stride * np.arange(count))


def separated(variance, k):
    """Components whose variance no neighbour shares: only those are one direction and not any of a plane."""
    gaps = np.abs(np.diff(variance)) / variance[0]
    apart = np.minimum(np.append(np.inf, gaps), np.append(gaps, np.inf))[:k]
    return np.flatnonzero((apart > 1e-3) & (variance[:k] > 1e-6 * variance[0]))


@pytest.mark.parametrize("family", ["correlated", "constant", "rank", "one_hot"])
@pytest.mark.parametrize(("size", "stride"), [(5, 1), (5, 3), (4, 5), (3, 11), (1, 1), (1, 2)])
def test_equals_scikit_learn(backend, family, size, stride):
    rows = series(600, 4, family=family)
    windows = windows_of(rows.T.astype(np.float64), size=size, stride=stride)
    pca = fitted(rows, size, stride)
    everything = PCA(svd_solver="full").fit(windows)
    k = pca.n_components
    assert k == n_components(PCASpec(), size=size, n_features=4, n_windows=len(windows))
    assert pca.n_windows == len(windows)
    np.testing.assert_allclose(pca.mean, everything.mean_, atol=1e-10)
    scale = everything.explained_variance_[0]
    np.testing.assert_allclose(pca.explained_variance, everything.explained_variance_[:k], atol=1e-9 * scale)
    np.testing.assert_allclose(pca.explained_variance_ratio, everything.explained_variance_ratio_[:k], atol=1e-9)
    assert (pca.explained_variance >= 0).all()
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(k), atol=1e-9)

    sure = separated(everything.explained_variance_, k)
    assert len(sure) or family == "one_hot"
    reference = fit_pca(windows, k)
    # A loading as large as the largest, but of the other sign, may decide the sign either way.
    signs = np.sign((pca.components[sure] * reference.components_[sure]).sum(axis=1))[:, None]
    tie = np.sort(np.abs(reference.components_[sure]), axis=1)
    assert ((signs[:, 0] == 1) | (tie[:, -1] - tie[:, -2 if tie.shape[1] > 1 else -1] < 1e-6)).all()
    np.testing.assert_allclose(pca.components[sure], signs * reference.components_[sure], atol=1e-6)
    scores = projected(pca, rows)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[sure], signs * reference.transform(windows).T[sure], atol=2e-5 * np.sqrt(scale))
    # All of them, whatever the directions: scores are centred windows times the loadings.
    np.testing.assert_allclose(scores, (pca.components @ (windows - pca.mean).T), atol=2e-5 * np.sqrt(scale))


DEGENERATE = ["balanced", "scaled", "times", "identical", "constant", "rank", "all_constant"]


def degenerate(family, n_rows=1_200):
    """Rows whose covariance has equal eigenvalues, as real tables give them."""
    rng, number = np.random.default_rng(5), np.arange(n_rows)
    x = rng.normal(size=(3, n_rows)).astype(np.float32)
    one_hot = (rng.permutation(number) % 6 == np.arange(6)[:, None]).astype(np.float32)
    hour = 2 * np.pi * (number % 24) / 24
    times = np.stack([np.sin(hour), np.cos(hour)]).astype(np.float32)
    tables = {
        "balanced": [one_hot],
        "scaled": [(one_hot - 1 / 6) / np.sqrt(5 / 36), x[:1]],
        "times": [times, times, x[:1]],
        "identical": [x, x, -x[:1]],
        "constant": [np.full((3, n_rows), [[1.0], [0.0], [2.5]]), one_hot],
        "rank": [rng.normal(size=(7, 2)) @ x[:2]],
        "all_constant": [np.full((4, n_rows), [[1.0], [0.1], [-3.3], [0.0]])],
    }
    return np.concatenate(tables[family]).astype(np.float32)


@pytest.mark.parametrize("family", DEGENERATE)
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 2)])
def test_equal_variances_do_not_turn_with_chunks_and_backends(backend, family, size, stride):
    """Whatever the number of components, which may part an eigenspace."""
    rows = degenerate(family)
    with using_backend("numpy"):
        state = WindowGram.of(rows, start=0, size=size, stride=stride)
    wholes = {}
    for k in sorted({1, 3, size * len(rows) // 2, size * len(rows)}):
        with using_backend("numpy"):
            wholes[k] = WindowPCA.fit(state, PCASpec(k))
        np.testing.assert_allclose(wholes[k].components @ wholes[k].components.T, np.eye(k), atol=1e-9)
    expected = {k: projected(whole, rows) for k, whole in wholes.items()}
    for chunk in (1_200, 411, 97):
        ends = [*range(0, 1_200, chunk), 1_200]
        parts = [WindowGram.of(rows[:, a:b], start=a, size=size, stride=stride) for a, b in pairwise(ends)]
        merged = reduce(WindowGram.merge, parts)
        for k, whole in wholes.items():
            pca = WindowPCA.fit(merged, PCASpec(k))
            np.testing.assert_allclose(pca.components, whole.components, atol=1e-7)
            np.testing.assert_allclose(projected(pca, rows), expected[k], atol=1e-6)


def test_largest_loading_is_positive():
    for seed in range(5):
        components = fitted(series(300, 3, seed), 4, 1).components
        largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
        alone = np.diff(np.sort(np.abs(components), axis=1)[:, -2:])[:, 0] > 1e-3
        assert alone.any()
        assert (largest[alone] > 0).all()


@pytest.mark.parametrize("last_bit", [-1e-15, 0.0, 1e-15])
def test_the_first_of_equally_large_loadings_is_positive(last_bit):
    """A feature and its mirror image: rounding makes either loading the larger one."""
    half = np.sqrt(0.5)
    fixed = module._with_fixed_signs(np.array([[-half, half + last_bit], [half + last_bit, -half], [-1.0, 0.0]]))
    np.testing.assert_allclose(fixed, [[half, -half], [half, -half], [1.0, 0.0]], atol=1e-12)


def test_mirrored_features_do_not_turn_with_the_chunks():
    x = series(400, 1)
    rows = np.concatenate([x, -x])
    whole = fitted(rows, 3, 1, components=2)
    for cut in range(3, 390, 29):
        parts = [WindowGram.of(rows[:, a:b], start=a, size=3, stride=1) for a, b in ((0, cut), (cut, 400))]
        np.testing.assert_allclose(WindowPCA.fit(parts[0].merge(parts[1]), PCASpec(2)).components, whole.components, atol=1e-9)


@pytest.mark.parametrize("family", ["correlated", "one_hot"])
def test_is_a_scikit_learn_pca(family):
    rows = series(400, 3, family=family)
    windows = windows_of(rows.T.astype(np.float64), size=4, stride=2)
    pca = fitted(rows, 4, 2, components=5)
    model, reference = pca.to_sklearn(), PCA(n_components=5, svd_solver="full").fit(windows)
    np.testing.assert_allclose(model.transform(windows).T, projected(pca, rows), atol=1e-5)
    np.testing.assert_allclose(model.inverse_transform(model.transform(windows[:7])).shape, (7, 12))
    for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_", "noise_variance_", "mean_"):
        np.testing.assert_allclose(getattr(model, name), getattr(reference, name), rtol=1e-6, atol=1e-9, err_msg=name)
    for name in ("n_components_", "n_samples_", "n_features_in_"):
        assert getattr(model, name) == getattr(reference, name)
    np.testing.assert_allclose(model.get_covariance(), reference.get_covariance(), atol=1e-8)
    assert fitted(rows, 4, 2, components=12).to_sklearn().noise_variance_ == 0.0


def test_importance():
    pca = fitted(series(300, 3), 4, 1)
    assert pca.importance.shape == (4, 3)
    np.testing.assert_allclose(pca.importance[2, 1], np.abs(pca.components[:, 2 * 3 + 1]).sum())


@pytest.mark.parametrize(
    ("components", "size", "n_features", "n_windows", "expected"),
    [
        (None, 5, 3, 1000, 7),
        (None, 5, 100, 1000, 32),
        (None, 1, 1, 1000, 1),  # half of one is none
        (None, 5, 100, 10, 9),
        (None, 5, 3, 2, 1),
        (15, 5, 3, 16, 15),
        (1, 5, 3, 2, 1),
    ],
)
def test_number_of_components(components, size, n_features, n_windows, expected):
    assert n_components(PCASpec(components), size=size, n_features=n_features, n_windows=n_windows) == expected


@pytest.mark.parametrize(("components", "n_windows", "most"), [(16, 1000, 15), (15, 15, 14)])
def test_more_components_than_possible(components, n_windows, most):
    with pytest.raises(PlanError, match=rf"{components} components were asked for, but {n_windows} .* have at most {most}"):
        n_components(PCASpec(components), size=5, n_features=3, n_windows=n_windows)


@pytest.mark.parametrize("n_rows", [0, 4, 5])
def test_less_than_two_windows(n_rows):
    with pytest.raises(PlanError, match=rf"two windows of 5 rows at stride 1 to train on, and has {max(n_rows - 4, 0)}\."):
        fitted(series(n_rows, 2), 5, 1)


def test_no_component():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        PCASpec(0)


def test_fewer_windows_than_numbers_in_one():
    rows = series(12, 6)
    pca = fitted(rows, 5, 1, components=7)
    reference = fit_pca(windows_of(rows.T.astype(np.float64), size=5, stride=1), 7)
    np.testing.assert_allclose(pca.explained_variance, reference.explained_variance_, rtol=1e-9)
    with pytest.raises(PlanError, match="have at most 7"):
        fitted(rows, 5, 1, components=8)


def test_all_windows_alike():
    """Booleans and one-hot columns may be constant: no variance, no direction, and no division by it."""
    pca = fitted(np.ones((2, 50), np.float32), 3, 1)
    assert pca.explained_variance_ratio.tolist() == [0.0] * pca.n_components
    np.testing.assert_allclose(projected(pca, np.ones((2, 50), np.float32)), 0, atol=1e-6)


def test_survives_its_codec():
    pca = fitted(series(100, 2), 3, 2)
    again = WindowPCA.from_arrays(pca.to_arrays())
    assert (again.size, again.stride, again.n_windows, again.total_variance) == (3, 2, 49, pca.total_variance)
    for name in ("mean", "components", "explained_variance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pca, name))


def test_default_is_half_a_window():
    assert module.MAX_DEFAULT_COMPONENTS == 32


def test_a_fit_has_the_covariance_in_memory_once(monkeypatch):
    """Beside the Gram matrix, and a few eigenvectors."""
    monkeypatch.setattr(module, "_COVARIANCE_ROWS", 16)
    state = WindowGram.of(series(2_000, 60), start=0, size=12, stride=1)
    WindowPCA.fit(state, PCASpec())  # imports SciPy
    tracemalloc.start()
    try:
        WindowPCA.fit(state, PCASpec())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert state.gram.nbytes <= peak + 2**19 <= 1.5 * state.gram.nbytes + 2**19
