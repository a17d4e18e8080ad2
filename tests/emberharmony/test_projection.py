"""Scores of windows against windows that are built, in float64; and the bits of scores, wherever rows are cut."""

from dataclasses import replace

import numpy as np
import pytest

from emberharmony import ops, steady_products
from emberharmony import projection as module
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.projection import Directions
from emberharmony.projection import project as project_strides
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


def project(directions, rows, starts):
    """Of a single stride."""
    (scores,) = project_strides([directions], rows, [starts])
    return scores


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
    monkeypatch.setattr(steady_products, "_FEWEST_LINES", min(n_lines, 64))
    monkeypatch.setattr(steady_products, "_MOST_LINES", n_lines)
    monkeypatch.setattr(module, "_DEVICE_ROWS", n_lines)
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
    if steady_products.steady_layout(32, 225) is None:
        pytest.skip("no product in float32 gives a window the same bits at every place on this machine")
    exact = exactly(directions, rows, starts)
    assert (project(directions, rows, starts) != exact.astype(np.float32)).mean() > 0.3
    wide = Directions(directions.loadings, directions.offset, 5, 1)
    assert (project(wide, rows, starts) != exact.astype(np.float32)).mean() < 1e-3


def test_scores_are_computed_in_float64_where_no_product_is_steady(monkeypatch):
    monkeypatch.setattr(steady_products, "_are_steady", lambda *_: False)
    directions, rows = directions_of(8, 6, 5, 1), rows_of(3_000, 6)
    exact = exactly(directions, rows, np.arange(2_990)).astype(np.float32)
    assert (project(directions, rows, np.arange(2_990)) != exact).mean() < 1e-3


@pytest.mark.parametrize("second", [False, True], ids=["first layout", "second layout"])
@pytest.mark.parametrize("stride", [1, 3, 30])
def test_either_layout_projects_alike(monkeypatch, second, stride):
    monkeypatch.setattr(steady_products, "_are_steady", lambda layouts, *_: layouts[0].lines_first is not second)
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


@pytest.mark.parametrize("table", [2**8, 2**18], ids=["tiny tables", "tables"])
@pytest.mark.parametrize("strides", [(1, 3, 5), (2, 7, 40), (4, 6), (50, 1)], ids=str)
def test_several_strides_have_the_bits_of_each_alone(backend, longest, monkeypatch, table, strides):
    """Of all windows, of some of them, of windows that are too long for float32, and of none."""
    monkeypatch.setattr(module, "_TABLE_NUMBERS", table)
    n_rows, rng = 20_000, np.random.default_rng(3)
    rows = rows_of(n_rows, 6)
    rows[:, rng.integers(0, n_rows, 5)] *= 1e7
    several = [directions_of(8 - i, 6, 5, stride, longest=longest, seed=i) for i, stride in enumerate(strides)]
    several[-1] = replace(several[-1], longest=0.0)  # in float64, beside the others
    every = [np.arange(i, n_rows - 4, stride) for i, stride in enumerate(strides)]
    for starts in (every, [some[rng.random(len(some)) < 0.5] for some in every], [*every[:-1], every[-1][:0]]):
        found = project_strides(several, rows, starts)
        for directions, places, scores in zip(several, starts, found, strict=True):
            np.testing.assert_array_equal(scores, project(directions, rows, places))
            np.testing.assert_allclose(scores, exactly(directions, rows, places), atol=1e-5, rtol=1e-6)
        for scores, same in zip(found, project_strides(several[::-1], rows, starts[::-1])[::-1], strict=True):
            np.testing.assert_array_equal(scores, same)
    assert project_strides([], rows, []) == []


def test_rows_of_several_strides_are_copied_to_a_device_once(monkeypatch):
    """A block at a time, of which each begins with the last rows of windows that begin in the one before."""
    monkeypatch.setattr(module, "on_host", lambda: False)
    monkeypatch.setattr(module, "_DEVICE_ROWS", 400)
    copied, asarray = [], ops.asarray

    def counted(x, **options):
        if isinstance(x, np.ndarray) and np.shares_memory(x, rows):
            copied.append(x.shape)
        return asarray(x, **options)

    monkeypatch.setattr(ops, "asarray", counted)
    rows = rows_of(1_000, 6)
    several = [directions_of(8, 6, 5, stride) for stride in (1, 3, 5)]
    project_strides(several, rows, [np.arange(0, 996, it.stride) for it in several])
    assert copied == [(6, 404), (6, 404), (6, 200)]


@pytest.mark.parametrize("lengths", [[2_000], [3, 900, 80, 1_400, 2, 90, 140, 5]], ids=["one series", "several series"])
def test_blocks_hold_every_window_once_and_lines_are_evenly_spaced(lengths):
    starts = np.array(places_by_trying(SeveralSeries(3, tuple(lengths)), 5, 3))
    layout = steady_products.Layout(ops.float32, 36, margin=8, at_once=2)
    scores = module._Scores(directions_of(2, 3, 5, 3), starts, layout)
    found = list(scores.blocks(slice(7, len(starts) - 5)))
    assert [i for block, _ in found for i in range(block.start, block.stop)] == list(range(7, len(starts) - 5))
    for block, are_lines in found:
        n_windows = block.stop - block.start
        if are_lines:
            assert set(np.diff(starts[block])) == {3}
            assert 2 * 2 * 20 / 3 <= n_windows <= 2 * 20, "two products of 20 windows each, two thirds of which are filled"
        else:
            assert n_windows <= 2 * 20
    assert sum(block.stop - block.start for block, are_lines in found if are_lines) > 0.8 * len(starts)


def test_rows_are_transposed_in_blocks_that_leave_few_products_incomplete(monkeypatch):
    def block(most, *strides):
        layout = steady_products.Layout(ops.float32, 116, margin=8)
        several = [module._Scores(directions_of(2, 3, 5, it), np.arange(0, 200_000, it), layout) for it in strides]
        return module._rows_at_once(several, most)

    assert block(10_400, 1) == 10_000, "one product of each place takes 100 windows, five rows apart"
    assert block(10_400, 1, 5) == 10_000
    assert block(10_400, 1, 3) == 9_000, "those of stride 3 take 600 rows"
    assert block(1_900, 1, 3) == 1_500, "in 1,800 rows, stride 1 fills three and a half products"
    assert block(10, 1, 5) == 500, "as few as a product takes"
