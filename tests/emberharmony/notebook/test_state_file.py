"""Saved state: what was written is read, and nothing else is."""

import pickle

import numpy as np
import pytest

from emberharmony.errors import DataError
from emberharmony.notebook.state_file import read_state_file, write_state_file

ARRAYS = {"x": np.array([0.1, 1e-300, -0.0]), "n": np.arange(6, dtype=np.int64).reshape(2, 3)}


def test_data_and_arrays_survive_to_the_last_bit(tmp_path):
    write_state_file(tmp_path / "s", "Kind", {"a": [1, None, "ä"]}, ARRAYS)
    data, arrays = read_state_file(tmp_path / "s", "Kind")
    assert data == {"a": [1, None, "ä"]}
    for name, array in ARRAYS.items():
        assert arrays[name].tobytes() == array.tobytes()
        assert arrays[name].shape == array.shape
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, pickle.dumps({"a": 1}), b"[" * 100_000], ids=len)
def test_foreign_files_are_refused(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(DataError, match="not a state that `save` wrote"):
        read_state_file(tmp_path / "s", "Kind")


def test_other_kinds_and_no_file(tmp_path):
    write_state_file(tmp_path / "s", "Kind", {}, {})
    assert read_state_file(tmp_path / "s", "Kind") == ({}, {})
    with pytest.raises(DataError, match="state of Kind, version 1; Other"):
        read_state_file(tmp_path / "s", "Other")
    for path in ("gone", "."):
        with pytest.raises(DataError, match="is no file"):
            read_state_file(tmp_path / path, "Kind")


def test_every_changed_byte_is_noticed(tmp_path):
    write_state_file(tmp_path / "s", "Kind", {"a": 1}, ARRAYS)
    content = (tmp_path / "s").read_bytes()
    data, arrays = read_state_file(tmp_path / "s", "Kind")
    for place in range(0, len(content), 3):
        (tmp_path / "s").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            found, same = read_state_file(tmp_path / "s", "Kind")
        except DataError:
            continue
        assert found == data  # a blank of JSON became another
        assert all(same[name].tobytes() == array.tobytes() for name, array in arrays.items())
    for length in range(0, len(content), 5):
        (tmp_path / "s").write_bytes(content[:length])
        with pytest.raises(DataError):
            read_state_file(tmp_path / "s", "Kind")
