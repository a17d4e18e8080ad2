"""Worker processes of this host."""

from __future__ import annotations

import pytest

from emberharmony.errors import DamagedError
from emberharmony.io.store.local import LocalStore
from tasks.processes import WorkerProcesses


def test_an_error_of_a_worker_arrives_with_its_type_and_fields(tmp_path):
    store = LocalStore(tmp_path)
    record = store.keep("part", b"content")
    store.path(record).unlink()
    processes = WorkerProcesses(1)
    try:
        with pytest.raises(DamagedError, match=r"part.* is missing or was changed") as raised:
            processes.call(store.check, record)
    finally:
        processes.close()
    assert raised.value.file == record.kept_as
