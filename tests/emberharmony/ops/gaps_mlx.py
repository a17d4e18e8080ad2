"""Where MLX behind the namespace falls short of test_edges.py; the list may only shrink."""

GAPS = {
    "test_complex128": "MLX has no complex128",
    "test_spectrum_of_float64_is_complex128": "MLX has no complex128: spectra are complex64",
}
