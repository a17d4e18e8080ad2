"""Scores of windows against windows that are built, in float64; and the bits of scores, wherever rows are cut."""

import numpy as np
import pytest

from emberharmony import ops
from emberharmony import projection as module
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.projection import Directions, project
from emberharmony.stats import WindowGram
from tests.series import SeveralSeries, built_windows, places_by_trying


def rows_of(n_rows, n_features, seed=0):
    """Rows of correlated features, none of them constant."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n_features, n_features)) @ rng.normal(size=(n_features, n_rows))).astype(np.float32)


def directions_of(n_components, n_features, size, stride, *, longest=1e6, seed=0):
    """Orthonormal loadings."""
    rng = np.random.default_rng(seed)
    loadings = np.linalg.qr(rng.normal(size=(size * n_features, n_components)))[0].T
    return Directions(np.ascontiguousarray(loadings), rng.normal(size=n_components), size, stride, longest)


def exactly(directions, rows, starts):
    return (built_windows(rows, starts, directions.size) @ directions.loadings.T - directions.offset).T


@pytest.fixture(params=["float64", "float32", "device"])
def longest(request, monkeypatch):
    """Each way to compute scores; the tests' backends, on the CPU, would take the last one never."""
    monkeypatch.setattr(module, "on_host", lambda: request.param != "device")
    return 1e6 if request.param == "float32" else 0.0


@pytest.fixture(params=[(1, 1), (10, 7), (4_096, 256)], ids=["tiny blocks", "small blocks", "blocks"])
def blocks(request, monkeypatch):
    """Blocks of different sizes; returns rows enough for many of them, or for a product of the most lines."""
    n_lines, depth = request.param
    monkeypatch.setattr(module, "_FEWEST_LINES", min(n_lines, 64))
    monkeypatch.setattr(module, "_MOST_LINES", n_lines)
    monkeypatch.setattr(module, "_DEVICE_WINDOWS", n_lines)
    monkeypatch.setattr(module, "_PRODUCT_DEPTH", depth)
    return 600 if n_lines == 1 else 2_000


@pytest.mark.parametrize(("size", "stride"), [(5, 1), (5, 3), (3, 7), (1, 1), (1, 4), (6, 6), (7, 3)])
def test_any_segment_is_projected_alike(backend, longest, blocks, size, stride):
    rows, directions = rows_of(140, 3), directions_of(min(4, 3 * size), 3, size, stride, longest=longest)
    whole = exactly(directions, rows, np.arange(0, 140 - size + 1, stride))
    for first, count in ((0, whole.shape[1]), (1, 5), (3, 1), (2, 0), (whole.shape[1] - 2, 2)):
        # The segment ends with its last window: not a row more.
        stop = first * stride + (count - 1) * stride + size if count else first * stride
        shift = min(2, first * stride)
        segment = rows[:, first * stride - shift : stop]
        got = project(directions, segment, shift + stride * np.arange(count))
        assert (got.shape, got.dtype) == ((len(directions.loadings), count), np.float32)
        np.testing.assert_allclose(got, whole[:, first : first + count], atol=1e-5)


@pytest.mark.parametrize("longest_series", [12, 400])
@pytest.mark.parametrize(("size", "stride"), [(5, 1), (5, 3), (3, 7), (1, 1), (1, 4), (7, 3)])
def test_windows_of_several_series_are_projected_alike(backend, longest, blocks, longest_series, size, stride):
    lengths = np.random.default_rng(longest_series).integers(1, longest_series, max(blocks // longest_series, 3))
    several = SeveralSeries(3, tuple(lengths.tolist()))
    rows, directions = rows_of(several.n_rows, 3), directions_of(min(4, 3 * size), 3, size, stride, longest=longest)
    starts = np.array(places_by_trying(several, size, stride))
    np.testing.assert_allclose(project(directions, rows, starts), exactly(directions, rows, starts), atol=1e-5)


SHAPES = [(1, 1, 1), (3, 4, 6), (45, 5, 32), (16, 5, 32), (7, 9, 13), (40, 24, 31), (2, 1, 2), (120, 3, 1)]


@pytest.mark.parametrize(("n_features", "size", "n_components"), SHAPES)
@pytest.mark.parametrize("stride", [1, 3, 50])
def test_no_bit_of_a_score_depends_on_where_rows_are_cut(backend, n_features, size, n_components, stride):
    """Of a window among all, of part of the rows, of a few windows, and alone."""
    n_rows, rng = 30_000 if n_features < 20 else 9_000, np.random.default_rng(stride)
    directions = directions_of(n_components, n_features, size, stride)
    rows = rng.normal(size=(n_features, n_rows)).astype(np.float32)
    rows[:, rng.integers(0, n_rows, 5)] *= 1e7  # some windows are projected in float64
    starts = np.arange(0, n_rows - size + 1, stride)
    whole = project(directions, rows, starts)
    for cut in rng.integers(0, len(starts) - 1, 6):
        for some in (slice(0, cut + 1), slice(cut, None), slice(cut, cut + 40), slice(cut, cut + 1)):
            first, last = starts[some][0], starts[some][-1]
            part = project(directions, rows[:, first : last + size], starts[some] - first)
            np.testing.assert_array_equal(part, whole[:, some])
    for share in (0.9, 0.3, 0.01):
        chosen = np.flatnonzero(rng.random(len(starts)) < share)
        np.testing.assert_array_equal(project(directions, rows, starts[chosen]), whole[:, chosen])


def test_scores_are_computed_in_float32_here():
    """On a machine whose products give a window the same bits at every place, as those of OpenBLAS, MKL and MLX do."""
    directions = directions_of(32, 45, 5, 1)
    rows = rows_of(900, 45)
    starts = np.arange(890)
    if module._steady_layout(32, 225) is None:
        pytest.skip("no product in float32 gives a window the same bits at every place on this machine")
    exact = exactly(directions, rows, starts)
    assert (project(directions, rows, starts) != exact.astype(np.float32)).mean() > 0.3
    wide = Directions(directions.loadings, directions.offset, 5, 1)
    assert (project(wide, rows, starts) != exact.astype(np.float32)).mean() < 1e-3


class Steady(module._Layout):
    """A product that is rounded once, so that the order of its terms does not show."""

    def operand(self, loadings):
        return loadings.T.astype(np.float32)

    def scores(self, lines, operand):
        return (lines.astype(np.float64) @ operand.astype(np.float64)).T.astype(np.float32)


class Unsteady(Steady):
    """The same, but the scores of the last line are rounded after every term."""

    def scores(self, lines, operand):
        found = super().scores(lines, operand)
        found[:, -1] = np.cumsum(lines[-1][:, None] * operand, axis=0)[-1]
        return found


@pytest.mark.parametrize("n_components", [1, 5, 32])
@pytest.mark.parametrize("depth", [3, 16, 225])
def test_a_product_whose_bits_depend_on_the_place_is_found(n_components, depth):
    assert module._are_steady((Steady(ops.float32, 16),), n_components, depth, "numpy")
    assert not module._are_steady((Unsteady(ops.float32, 16),), n_components, depth, "numpy")


class InAnotherOrder(Steady):
    """A product of the same lines that adds its terms up from the last one, in float32."""

    def scores(self, lines, operand):
        return np.stack([np.cumsum((line[:, None] * operand)[::-1], axis=0, dtype=np.float32)[-1] for line in lines], axis=1)


def test_products_of_other_bits_are_found():
    several = Steady(ops.float32, 16), Steady(ops.float32, 64)
    assert module._are_steady(several, 5, 225, "numpy")
    assert not module._are_steady((several[1], InAnotherOrder(ops.float32, 16)), 5, 225, "numpy")


def test_a_few_windows_have_products_of_few_lines_if_the_bits_are_the_same(monkeypatch):
    layout = Steady(ops.float32, 4_096, margin=8)
    lines = {n: module._enough_for(n, layout, 5, 70).n_lines for n in (0, 1, 48, 49, 496, 497, 9_000)}
    assert lines == {0: 64, 1: 64, 48: 64, 49: 512, 496: 512, 497: 4_096, 9_000: 4_096}
    assert module._enough_for(1, Steady(ops.float32, 64), 5, 7_200).n_lines == 64
    monkeypatch.setattr(module, "_are_steady", lambda layouts, *_: layouts[-1].n_lines > 64)
    assert module._enough_for(1, layout, 5, 70).n_lines == 512
    monkeypatch.setattr(module, "_are_steady", lambda layouts, *_: len(layouts) == 1)
    assert module._enough_for(1, layout, 5, 70) is layout


def test_scores_are_computed_in_float64_where_no_product_is_steady(monkeypatch):
    monkeypatch.setattr(module, "_are_steady", lambda *_: False)
    directions, rows = directions_of(8, 6, 5, 1), rows_of(3_000, 6)
    exact = exactly(directions, rows, np.arange(2_990)).astype(np.float32)
    assert (project(directions, rows, np.arange(2_990)) != exact).mean() < 1e-3


@pytest.mark.parametrize("second", [False, True], ids=["first layout", "second layout"])
@pytest.mark.parametrize("stride", [1, 3, 30])
def test_either_layout_projects_alike(monkeypatch, second, stride):
    monkeypatch.setattr(module, "_are_steady", lambda layouts, *_: layouts[0].lines_first is not second)
    directions, rows = directions_of(8, 6, 5, stride), rows_of(9_000, 6)
    starts = np.arange(0, 8_990, stride)
    np.testing.assert_allclose(project(directions, rows, starts), exactly(directions, rows, starts), atol=1e-5)
    some = np.sort(np.random.default_rng(0).choice(starts, len(starts) // 2, replace=False))
    np.testing.assert_allclose(project(directions, rows, some), exactly(directions, rows, some), atol=1e-5)


@pytest.mark.parametrize("outlier", [1e3, 1e6, 1e19, 1e38, -1e38])
@pytest.mark.parametrize("stride", [1, 2, 40])
@pytest.mark.filterwarnings("error")
def test_windows_with_outliers_are_as_exact_as_in_float64(backend, outlier, stride):
    """Also those that float32 cannot hold a product of; their scores are within float32's range, or clipped to it."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6, 5_000)).astype(np.float32)
    pca = WindowPCA.fit(WindowGram.of(rows, start=0, size=5, stride=stride), PCASpec())
    rows[rng.integers(0, 6, 40), rng.integers(0, 5_000, 40)] = outlier
    starts = np.arange(0, 4_996, stride)
    exact = np.clip(exactly(pca._directions, rows, starts), np.finfo(np.float32).min, np.finfo(np.float32).max)
    deviation = np.sqrt(pca.explained_variance.min())
    assert 0 < pca._directions.longest < 100 * deviation
    np.testing.assert_allclose(pca.project(rows, starts), exact, atol=1e-5 * deviation, rtol=2**-23)


@pytest.mark.parametrize("case", ["tiny variance", "no variance", "large mean", "unscaled"])
def test_float64_where_float32_would_lose_a_component(backend, case):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(4, 3_000))
    rows[3] *= {"tiny variance": 1e-4, "no variance": 0.0}.get(case, 1.0)
    rows[0] += 1e4 if case == "large mean" else 0.0
    rows *= np.array([1e5, 1.0, 1e-3, 1.0])[:, None] if case == "unscaled" else 1.0
    rows = rows.astype(np.float32)
    pca = WindowPCA.fit(WindowGram.of(rows, start=0, size=2, stride=1), PCASpec(8))
    assert pca._directions.longest == 0.0
    starts = np.arange(2_999)
    exact = exactly(pca._directions, rows, starts)
    np.testing.assert_allclose(pca.project(rows, starts), exact, rtol=2**-22, atol=2**-45 * np.abs(rows).max())


def test_rows_with_nan_have_scores_that_are_none():
    rows = rows_of(400, 3)
    rows[1, 200] = np.nan
    found = project(directions_of(2, 3, 4, 1, longest=50.0), rows, np.arange(397))
    assert np.flatnonzero(np.isnan(found).any(axis=0)).tolist() == [197, 198, 199, 200]
