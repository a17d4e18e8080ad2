"""Bytes of stages; whether a job takes no more is measured in `tests/laws/test_memory.py`."""

from dataclasses import replace

from emberharmony.planning.stage_bytes import RowSizes, fit_bytes, fixed_chunk_bytes, row_peak_bytes

SIZES = RowSizes(read_bytes=150.0, carried_bytes=24.0, n_features=45, in_order=True)


def test_what_makes_them_more():
    assert row_peak_bytes(SIZES) > SIZES.read_bytes + 4 * SIZES.n_features
    assert row_peak_bytes(replace(SIZES, score_bytes=100.0)) == row_peak_bytes(SIZES), "rows and features take more"
    assert row_peak_bytes(replace(SIZES, score_bytes=1_000.0)) > 1_000
    assert fit_bytes(SIZES, window_size=10, n_strides=3) > fit_bytes(SIZES, window_size=5, n_strides=3)
    assert fixed_chunk_bytes(SIZES, window_size=5, n_strides=3) > fixed_chunk_bytes(SIZES, window_size=5, n_strides=1)
