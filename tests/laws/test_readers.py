"""Law 8: a reader never sees a mix of two results, and never loses the old one before the new one is complete."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable

from emberharmony import open_result
from tests.stored import contents_of, publish_by_hand, publish_to_delta

N_REPLACEMENTS = 30


class Reader(threading.Thread):
    """Reads a result again and again; `look` returns the numbers that it finds, or none if it cannot tell."""

    def __init__(self, look: Callable[[], set[int]]) -> None:
        super().__init__()
        self.seen: list[set[int]] = []
        self.failure: Exception | None = None
        self._look, self._over, self._looked = look, threading.Event(), threading.Semaphore(0)

    def run(self) -> None:
        try:
            while not self._over.is_set():
                found = self._look()
                if found:
                    self.seen.append(found)
                self._looked.release()
        except Exception as error:  # noqa: BLE001 - raised again by `end`
            self.failure = error

    def has_looked(self) -> None:
        """Wait until the reader is done with what it looked at in the meantime."""
        while self._looked.acquire(blocking=False):
            pass
        while self.is_alive() and not self._looked.acquire(timeout=0.1):
            pass

    def end(self) -> None:
        self._over.set()
        self.join()
        assert self.failure is None, self.failure


def by_snapshot(sink: Path | str) -> set[int]:
    """Numbers in the manifest, the features, the windows and the state of what is open."""
    result = open_result(sink)
    features, windows = result.features().to_arrow(), result.windows(stride=1).to_arrow()
    assert (features.num_rows, windows.num_rows) == (200, 50)
    state = next(file for file in result.manifest.files if file.name.startswith("state/"))
    values = {*features["a"].to_pylist(), *windows["a"].to_pylist()}
    return {int(result.manifest.fingerprint), int(result.snapshot.get(state)), *map(int, values)}


def by_path(sink: Path) -> set[int]:
    """Numbers in the folder of features, as pandas finds them, unless it was replaced meanwhile.

    pandas lists the files before it opens them, so it may take some from each of two folders.
    """
    folder = sink / "features"
    before = folder.stat().st_ino  # there is always a folder
    found: set[int] = set()
    with suppress(FileNotFoundError):  # of a folder that was removed while pandas read it
        frame = pd.read_parquet(folder)
        found = {*frame["a"].astype(int)}
        if folder.stat().st_ino == before:
            assert len(frame) == 200
            return found
    assert folder.stat().st_ino != before
    return set()


def in_table(table: Path) -> set[int]:
    """Numbers in a Delta table."""
    rows = DeltaTable(table).to_pyarrow_table()
    assert rows.num_rows == (200 if table.name == "features" else 50)
    return {*map(int, rows["a"].to_pylist())}


def assert_one_result_at_any_time(sink, readers, publish=publish_by_hand):
    publish(sink, "0", contents=contents_of(0))
    for reader in readers:
        reader.start()
    try:
        for number in range(1, N_REPLACEMENTS + 1):
            publish(sink, str(number), contents=contents_of(number))
            for reader in readers:
                reader.has_looked()
    finally:
        for reader in readers:
            reader.end()
    for reader in readers:
        assert {len(found) for found in reader.seen} == {1}, "a mix of results"
        numbers = [min(found) for found in reader.seen]
        assert numbers == sorted(numbers), "an older result after a newer one"
        assert len({*numbers}) > N_REPLACEMENTS / 2


def test_on_a_local_disk(tmp_path):
    readers = [Reader(lambda: by_snapshot(tmp_path)), Reader(lambda: by_path(tmp_path))]
    assert_one_result_at_any_time(tmp_path, readers)


def test_in_delta_tables(tmp_path):
    tables = (tmp_path / "features", tmp_path / "windows_stride_1")
    readers = [Reader(partial(in_table, table)) for table in tables]
    assert_one_result_at_any_time(tmp_path, readers, publish_to_delta)


@pytest.mark.xdist_group("stores")
def test_in_a_bucket(s3):
    assert_one_result_at_any_time(s3, [Reader(lambda: by_snapshot(s3))])
