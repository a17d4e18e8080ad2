"""Uploads that go on behind the work which makes the next file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Final

UPLOADS_BYTES: Final = 32 * 2**20
"""Bytes of uploads in memory at a time, in a process; the memory plan counts them. Twice as many were no faster."""

_AT_A_TIME: Final = 16
"""Uploads at a time, at most."""


class Uploads:
    """Uploads on threads of their own, as many at a time as the bytes allow that they hold in memory, and 16 at most.

    Parameters
    ----------
    most_bytes : int
        Bytes of all uploads at a time, at most, but for a single one.

    Examples
    --------
    >>> uploads, bucket = Uploads(1_000), []
    >>> uploads.begin(lambda: bucket.append("part"), n_bytes=4).result()
    >>> bucket
    ['part']
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held, self._room = most_bytes, 0, threading.Condition()

    def begin(self, upload: Callable[[], object], n_bytes: int) -> Future[object]:
        """Begin an upload, once there is room for it; the result waits for its end, and raises its error."""
        n_bytes = max(n_bytes, self._most // _AT_A_TIME)
        with self._room:
            self._room.wait_for(lambda: not self._held or self._held + n_bytes <= self._most)
            self._held += n_bytes
        pool = ThreadPoolExecutor(1, thread_name_prefix="upload")
        done: Future[object] = pool.submit(copy_context().run, upload)
        pool.shutdown(wait=False)
        done.add_done_callback(lambda _: self._release(n_bytes))
        return done

    def _release(self, n_bytes: int) -> None:
        with self._room:
            self._held -= n_bytes
            self._room.notify_all()


UPLOADS: Final = Uploads(UPLOADS_BYTES)
"""Those of this process."""


class PendingUploads:
    """The uploads of a store that have begun and not ended well, by key. One that failed begins again for who asks once more.

    It is no mapping: Prefect would look into it, where a store is a task's parameter, while uploads come and go.
    """

    def __init__(self) -> None:
        self._uploads = dict[str, _Upload]()

    def begin(self, key: str, put: Callable[[], object], n_bytes: int) -> None:
        """Begin an upload of `n_bytes`, once there is room for it."""

        def carry_out() -> None:
            put()
            self._uploads.pop(key, None)

        self._uploads[key] = upload = _Upload(carry_out, n_bytes)
        upload.begin()

    def wait(self, key: str) -> None:
        """Wait for the end of an upload, and raise its error; who waits once more waits for another attempt."""
        if upload := self._uploads.get(key):
            upload.wait()

    def wait_below(self, prefix: str) -> None:
        """Wait for the uploads whose keys begin with `prefix`."""
        for key in [*self._uploads]:
            if key.startswith(prefix):
                self.wait(key)


class _Upload:
    def __init__(self, put: Callable[[], object], n_bytes: int) -> None:
        self._put, self._n_bytes, self._lock = put, n_bytes, threading.Lock()
        self._done, self._has_failed = Future[object](), False

    def begin(self) -> None:
        self._done = UPLOADS.begin(self._put, self._n_bytes)

    def wait(self) -> None:
        with self._lock:
            if self._has_failed:
                self.begin()
            self._has_failed = True
            self._done.result()
            self._has_failed = False
