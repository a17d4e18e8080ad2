"""Linear algebra of the NumPy backend, where NumPy's results have another dtype or tolerance than the standard's."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.backend._numpy import linalg


@pytest.mark.parametrize(
    ("dtype", "wanted"), [(np.float32, np.complex64), (np.float64, np.complex128), (np.complex64, np.complex64)]
)
def test_eigenvalues_and_eigenvectors_are_complex(dtype, wanted):
    x = np.array([[2.0, 1.0], [1.0, 2.0]], dtype)  # symmetric: all imaginary parts are zero
    values, vectors = linalg.eig(x)
    assert values.dtype == vectors.dtype == linalg.eigvals(x).dtype == wanted
    np.testing.assert_allclose(np.sort(values.real), [1, 3], atol=1e-6)
    np.testing.assert_allclose(x @ vectors, vectors * values, atol=1e-5)


def test_the_default_tolerance_of_pinv_depends_on_the_dtype():
    """Float32 rounds the second singular value; the inverse of that noise would be huge."""
    x = np.outer([1, 2, 3], [1, 1e-3, 1]).astype(np.float32)
    assert np.abs(linalg.pinv(x)).max() < 1
    np.testing.assert_allclose(x @ linalg.pinv(x) @ x, x, atol=1e-5)
    np.testing.assert_array_equal(linalg.pinv(np.diag([1.0, 0.1]), rtol=0.5), np.diag([1.0, 0.0]))
