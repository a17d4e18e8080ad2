"""The note of an attempt: of this process, and read by other versions, too."""

from __future__ import annotations

import os
import platform
import time

from emberharmony.io.store.local import LocalStore
from emberharmony.pipeline.attempt import ATTEMPT, Attempt


def test_it_names_this_process_and_moment(tmp_path):
    store, before = LocalStore(tmp_path), time.time()
    assert Attempt.read(store) is None
    Attempt.now("dask", "numpy:cpu", 4).write(store)
    found = Attempt.read(store)
    assert (found.engine, found.backend, found.workers) == ("dask", "numpy:cpu", 4)
    assert (found.host, found.process) == (platform.node(), os.getpid())
    assert before - 0.001 <= found.began_at <= time.time()


def test_a_note_of_another_version_is_none(tmp_path):
    store = LocalStore(tmp_path)
    for content in (b"{", b"[]", b'{"engine": "local", "colour": "red"}'):
        store.put(ATTEMPT, content)
        assert Attempt.read(store) is None
