"""Window states of training rows: the same whether they are stored or made of joined rows, in memory together or by stride."""

from __future__ import annotations

import numpy as np
import pytest

from emberharmony.io.parts import block_of, feature_part, read_part
from emberharmony.pipeline import gram_segments
from emberharmony.pipeline.gram_segments import LoadedStates, StoredStates, as_arrays, merged_states, segments_of_chunks


def built(run, stride):
    """Gram matrix of the training windows of three rows, which are built."""
    names, blocks = run.fitted.preprocessing.feature_names, []
    for receipt in run.receipts.all_of("featurize"):
        if receipt.rows["train"]:
            blocks.append(block_of(read_part(run.store, receipt.find(feature_part("train", receipt.chunk)), names), names))
    rows = np.concatenate(blocks, axis=1).T.astype(np.float64)
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    windows = np.array([rows[i : i + 3].ravel() for i in range(0, len(rows) - 2, stride)])
    return windows.T @ windows


def merged(run):
    windows, n_features = run.plan.spec.windows, len(run.fitted.preprocessing.feature_names)
    segments = segments_of_chunks(run, run.receipts.all_of("featurize"))
    return list(merged_states(run.store, segments, windows, n_features=n_features))


@pytest.mark.parametrize("at_once", [0, 2**26])
@pytest.mark.parametrize("worth", [0, 10**4, 10**9], ids=["each chunk", "a few chunks", "all chunks together"])
def test_the_states_are_those_of_all_training_windows(run, monkeypatch, worth, at_once):
    monkeypatch.setattr(gram_segments, "state_pays", lambda n_bytes, windows, n_features: n_bytes > worth)
    monkeypatch.setattr(gram_segments, "STATES_AT_ONCE_BYTES", at_once)
    states = merged(run)
    assert [state.stride for state in states] == [1, 2]
    for state in states:
        np.testing.assert_allclose(state.gram, built(run, state.stride), rtol=1e-11, atol=1e-8)


def test_large_states_are_read_by_stride_and_the_same_to_the_last_bit(run, monkeypatch):
    monkeypatch.setattr(gram_segments, "state_pays", lambda n_bytes, windows, n_features: n_bytes > 10**4)
    together = merged(run)
    monkeypatch.setattr(gram_segments, "STATES_AT_ONCE_BYTES", 0)
    for a, b in zip(together, merged(run), strict=True):
        for name, array in a.to_arrays().items():
            np.testing.assert_array_equal(array, b.to_arrays()[name])


def test_stored_states_are_checked_and_used_instead_of_the_rows(own_run, monkeypatch):
    monkeypatch.setattr(gram_segments, "state_pays", lambda n_bytes, windows, n_features: True)
    whole = merged(own_run)
    receipts, windows = list(own_run.receipts.all_of("featurize")), own_run.plan.spec.windows
    for receipt, segment in zip(receipts, segments_of_chunks(own_run, receipts), strict=False):
        assert isinstance(segment, LoadedStates)
        states = segment.states(own_run.store, windows.strides)
        record = own_run.store.keep_arrays(f"grams/{receipt.chunk:05}.safetensors", as_arrays(states))
        object.__setattr__(receipt, "files", (*receipt.files, record))
    n_features = len(own_run.fitted.preprocessing.feature_names)
    for at_once, kind in ((2**26, LoadedStates), (0, StoredStates)):
        monkeypatch.setattr(gram_segments, "STATES_AT_ONCE_BYTES", at_once)
        assert all(isinstance(segment, kind) for segment in segments_of_chunks(own_run, receipts))
        again = list(merged_states(own_run.store, segments_of_chunks(own_run, receipts), windows, n_features=n_features))
        for a, b in zip(whole, again, strict=True):
            np.testing.assert_array_equal(a.gram, b.gram)


@pytest.mark.parametrize("at_once", [0, 2**26])
def test_stored_states_between_joined_rows(own_run, monkeypatch, at_once):
    """In the order of the chunks: rows that wait are one segment before each stored state."""
    monkeypatch.setattr(gram_segments, "STATES_AT_ONCE_BYTES", at_once)
    monkeypatch.setattr(gram_segments, "state_pays", lambda n_bytes, windows, n_features: True)
    receipts, windows = list(own_run.receipts.all_of("featurize")), own_run.plan.spec.windows
    for receipt, segment in zip(receipts[1:3], [*segments_of_chunks(own_run, receipts)][1:3], strict=True):
        states = segment.states(own_run.store, windows.strides)
        record = own_run.store.keep_arrays(f"grams/{receipt.chunk:05}.safetensors", as_arrays(states))
        object.__setattr__(receipt, "files", (*receipt.files, record))
    monkeypatch.setattr(gram_segments, "state_pays", lambda n_bytes, windows, n_features: False)
    n_features = len(own_run.fitted.preprocessing.feature_names)
    found = merged_states(own_run.store, segments_of_chunks(own_run, receipts), windows, n_features=n_features)
    for state in found:
        np.testing.assert_allclose(state.gram, built(own_run, state.stride), rtol=1e-11, atol=1e-8)


def test_no_segments_leave_no_states(run, monkeypatch):
    for at_once in (0, 2**26):
        monkeypatch.setattr(gram_segments, "STATES_AT_ONCE_BYTES", at_once)
        assert list(merged_states(run.store, (), run.plan.spec.windows, n_features=3)) == []
