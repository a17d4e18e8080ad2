"""Temporary files of rows and scores: what was written is read, and nothing stays on disk."""

import gc
import tempfile

import numpy as np
import pytest

from emberharmony.notebook.spool import MatrixFile, RowSpool


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.iterdir())


def test_rows_are_read_in_any_order():
    rows = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    with RowSpool() as spool:
        for begin in range(0, 20, 7):
            spool.append(rows[:, begin : begin + 7])
        assert spool.n_rows == 20
        for start, stop in [(5, 12), (0, 20), (3, 3), (19, 20)]:
            np.testing.assert_array_equal(spool.read(start, stop), rows[:, start:stop])
        spool.append(rows)
        np.testing.assert_array_equal(spool.read(20, 40), rows)


def test_a_matrix_outlives_its_file():
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    with MatrixFile(3) as file:
        file.append(rows[:, :1])
        file.append(rows[:, 1:])
        matrix = file.mapped()
    gc.collect()
    np.testing.assert_array_equal(matrix, rows.T)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


def test_a_matrix_without_rows():
    with MatrixFile(3) as file:
        assert file.mapped().shape == (0, 3)
