"""Eigenvectors against NumPy's, and bases of eigenspaces that rounding does not turn."""

import os
import subprocess
import sys

import numpy as np
import pytest

from emberharmony.stats import eigenspaces
from emberharmony.stats.eigenspaces import canonical_basis, leading_eigenvectors


@pytest.fixture(params=["numpy", "scipy"], autouse=True)
def solver(request, monkeypatch):
    """The library that solves the matrices of these tests, all of them small."""
    monkeypatch.setattr(eigenspaces, "_SMALL", 0 if request.param == "scipy" else 512)
    return request.param


def orthogonal(n, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


def with_spectrum(values, seed=0):
    vectors = orthogonal(len(values), seed)
    matrix = vectors @ np.diag(values) @ vectors.T
    return (matrix + matrix.T) / 2


def perturbed(matrix, seed, size):
    noise = np.random.default_rng(seed).normal(size=matrix.shape) * size
    return matrix + noise + noise.T


def up_to_signs(vectors):
    return vectors * np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)])[:, None]


SPECTRA = {
    "plane": [3.0, 2.0, 2.0, 1.0, 0.5, 0.1],
    "leading": [2.0, 2.0, 2.0, 1.0, 0.5, 0.1],
    "null": [3.0, 2.0, 0.0, 0.0, 0.0, 0.0],
    "all": [1.0] * 6,
    "nothing": [0.0] * 6,
    "two planes": [2.0, 2.0, 1e-3, 1e-3, 0.0, 0.0],
}


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA.keys())
def test_rounding_turns_no_vector(spectrum, k):
    """The number of vectors may cut through an eigenspace."""
    matrix = with_spectrum(spectrum)
    values, vectors = leading_eigenvectors(matrix, k=k, scale=1.0)
    np.testing.assert_allclose(values, spectrum[:k], atol=1e-12)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(k), atol=1e-12)
    np.testing.assert_allclose(vectors @ matrix, values[:, None] * vectors, atol=1e-9)
    for seed in range(4):
        again = leading_eigenvectors(perturbed(matrix, seed, 1e-15), k=k, scale=1.0)[1]
        np.testing.assert_allclose(up_to_signs(again), up_to_signs(vectors), atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_distinct_eigenvalues_have_their_eigenvectors(n):
    matrix = with_spectrum(np.linspace(2.0, 1.0, n))
    values, vectors = np.linalg.eigh(matrix)
    for k in {1, n // 2, n} - {0}:
        got, basis = leading_eigenvectors(matrix, k=k)
        np.testing.assert_allclose(got, values[::-1][:k], atol=1e-12)
        np.testing.assert_allclose(up_to_signs(basis), up_to_signs(vectors.T[::-1][:k]), atol=1e-10)


@pytest.mark.parametrize(("gap", "equal"), [(1e-4, False), (1e-5, False), (1e-7, True), (1e-12, True)])
def test_how_close_eigenvalues_are_equal(gap, equal):
    vectors = orthogonal(5)
    matrix = (vectors * np.array([1.0 + gap, 1.0, 0.3, 0.2, 0.1])) @ vectors.T
    basis = leading_eigenvectors(matrix, k=2)[1]
    expected = canonical_basis(vectors[:, :2], n=2) if equal else vectors.T[:2]
    np.testing.assert_allclose(up_to_signs(basis), up_to_signs(expected), atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e8])
def test_small_eigenvalues_beside_a_large_one(scale):
    """Features in units of their own: variances that are a millionth of the largest one are not one eigenspace."""
    vectors = orthogonal(3)
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1:, 1:] = scale, 1e-6 * scale * (vectors * np.array([3.0, 2.0, 1.0])) @ vectors.T
    basis = leading_eigenvectors(matrix, k=4)[1]
    np.testing.assert_allclose(up_to_signs(basis[1:, 1:]), up_to_signs(vectors.T), atol=1e-6)


@pytest.mark.parametrize("dimension", [1, 2, 7, 20])
@pytest.mark.parametrize("space", ["any", "contrasts", "axes"])
def test_a_basis_depends_on_its_space_alone(space, dimension):
    if space == "any":
        vectors = orthogonal(24)[:, :dimension]
    elif space == "contrasts":  # what one-hot columns of equal shares vary in
        full = np.linalg.svd(np.eye(dimension + 1) - 1 / (dimension + 1))[0]
        vectors = full[:, :dimension]
    else:
        vectors = np.eye(24)[:, 3 : 3 + dimension]
    whole = canonical_basis(vectors, n=dimension)
    np.testing.assert_allclose(whole.T @ whole, vectors @ vectors.T, atol=1e-12)
    np.testing.assert_allclose(whole @ whole.T, np.eye(dimension), atol=1e-12)
    for seed in range(3):
        turned = np.linalg.qr(vectors @ orthogonal(dimension, seed) + 1e-13 * orthogonal(len(vectors), seed)[:, :dimension])[0]
        for n in {1, (dimension + 1) // 2, dimension}:
            np.testing.assert_allclose(canonical_basis(turned, n=n), whole[:n], atol=1e-10)


def test_more_eigenvectors_are_computed_only_where_an_eigenspace_goes_on(monkeypatch):
    monkeypatch.setattr(eigenspaces, "_SMALL", 0)
    asked, compute = [], eigenspaces._leading
    monkeypatch.setattr(eigenspaces, "_leading", lambda matrix, k: asked.append(k) or compute(matrix, k))
    for spectrum, expected in (([4.0, 3.0, 2.0, 1.0, 0.5], [3]), ([4.0, 3.0, 3.0, 3.0, 0.5], [3, 4])):
        leading_eigenvectors(with_spectrum(spectrum), k=2)
        assert asked == expected
        asked.clear()


def test_both_solvers_agree(monkeypatch):
    """At the size where one takes over from the other: the leading eigenspaces, one of which is cut, are the same."""
    matrix = with_spectrum([5.0, 4.0, 4.0, 4.0, *np.linspace(3.0, 0.0, 60)])
    results = []
    for small in (0, len(matrix)):
        monkeypatch.setattr(eigenspaces, "_SMALL", small)
        results.append(leading_eigenvectors(matrix, k=3))
    np.testing.assert_allclose(*(values for values, _ in results), atol=1e-12)
    np.testing.assert_allclose(*(up_to_signs(vectors) for _, vectors in results), atol=1e-9)


def test_small_matrices_need_no_scipy():
    code = (
        "import sys, numpy as np\n"
        "from emberharmony.stats.eigenspaces import leading_eigenvectors\n"
        "leading_eigenvectors(np.diag(np.arange(225.0)), k=32)\n"
        "print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_scipy_has_one_thread_also_when_it_has_just_been_imported():
    """It loads a BLAS of its own, which has as many threads as there are cores."""
    code = (
        "import numpy as np, threadpoolctl\n"
        "from emberharmony.stats.eigenspaces import leading_eigenvectors\n"
        "class Watched(np.ndarray):\n"
        "    @property\n"
        "    def T(self):\n"
        "        blas = [each for each in threadpoolctl.threadpool_info() if each['user_api'] == 'blas']\n"
        "        print(len(blas), {each['num_threads'] for each in blas})\n"
        "        return np.asarray(self).T\n"
        "leading_eigenvectors(lambda: np.diag(np.arange(600.0)).view(Watched), k=3)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "2 {1}\n"


@pytest.mark.parametrize("n_numbers", [1, 2, 4])
@pytest.mark.parametrize(("n_categories", "divided"), [(12, 4_096), (40, 4_096), (40, 0)])
def test_rare_categories_beside_numbers(n_numbers, n_categories, divided, monkeypatch):
    """Their variances are nearly equal, and tiny: for a quarter of these matrices, LAPACK's `syevr` ends with an error."""
    monkeypatch.setattr(eigenspaces, "_DIVIDED", divided)
    share, n = 1.25e-5, n_numbers + n_categories
    for seed in range(10):
        rng = np.random.default_rng(seed)
        matrix = np.diag([*rng.uniform(0.2, 1.0, n_numbers), *[share] * n_categories])
        matrix[n_numbers:, n_numbers:] -= share**2
        matrix[:n_numbers, n_numbers:] = share * rng.normal(size=(n_numbers, 1))
        matrix[n_numbers:, :n_numbers] = matrix[:n_numbers, n_numbers:].T
        values, vectors = leading_eigenvectors(matrix, k=2 * n // 3)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[::-1][: len(values)], rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=1e-12)
        np.testing.assert_allclose(matrix @ vectors.T, vectors.T * values, atol=1e-10)


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA.keys())
def test_a_matrix_that_can_be_made_again_is_overwritten(spectrum):
    """Also where a cut eigenspace or a solver that gives up needs it twice; an array of the caller never is."""
    matrix = with_spectrum(spectrum)
    kept, made = matrix.copy(), []

    def make():
        made.append(matrix.copy())
        return made[-1]

    for k in range(1, 7):
        values, vectors = leading_eigenvectors(make, k=k)
        again = leading_eigenvectors(matrix, k=k)
        np.testing.assert_array_equal(values, again[0])
        np.testing.assert_array_equal(vectors, again[1])
    np.testing.assert_array_equal(matrix, kept)
