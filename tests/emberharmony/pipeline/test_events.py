"""Events of a run name who did the work."""

from __future__ import annotations

import os
import pickle
import platform
from concurrent.futures import ThreadPoolExecutor

from emberharmony.pipeline.events import ItemDone, current_worker


def test_a_worker_is_named_by_its_host_process_and_thread():
    here = f"{platform.node()}:{os.getpid()}"
    assert current_worker() == here
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_worker).result() == f"{here}/1"


def test_items_travel_between_hosts():
    done = ItemDone(3, n_rows=10, n_bytes=20, worker="a:1")
    assert pickle.loads(pickle.dumps(done)) == done
