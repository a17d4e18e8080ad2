"""Gathered windows against windows that are cut one by one."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.stats import gathering
from emberharmony.stats.gathering import Gathering


@pytest.mark.parametrize("sparse", [0.0, 1e9])
def test_windows_of_rows_with_ones(backend, monkeypatch, sparse):
    monkeypatch.setattr(gathering, "_SPARSE", sparse)
    rows = np.arange(60, dtype=np.float32).reshape(2, 30)
    with_ones = np.concatenate([rows, np.ones((1, 30))])
    found = Gathering(rows, 4)
    for starts, stops in [([3, 20, 26], [30, 22, 30]), ([29, 0], [30, 30]), ([5], [5]), ([8, 9, 10, 11], [99] * 4)]:
        correct = np.zeros((len(starts), 4, 3))
        for window, start, stop in zip(correct, starts, stops, strict=True):
            cut = with_ones[:, start : min(start + 4, stop)].T
            window[: len(cut)] = cut
        windows = found.windows(np.array(starts), stops=np.minimum(stops, 30))
        np.testing.assert_array_equal(windows.numpy(), correct.reshape(len(starts), 12))
    assert found.windows(np.arange(0), stops=np.arange(0)).shape == (0, 12)
