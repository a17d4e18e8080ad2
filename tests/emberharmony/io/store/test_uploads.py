"""Uploads go on at the same time within their bytes, and tell who waits how they ended."""

import threading

import pytest

from emberharmony.io.store.uploads import PendingUploads, Uploads


def test_uploads_wait_for_room_and_a_larger_one_has_it_all():
    uploads, gate, running = Uploads(10), threading.Event(), threading.Semaphore(0)

    def upload():
        running.release()
        assert gate.wait(60)

    begun = [uploads.begin(upload, 5), uploads.begin(upload, 5)]
    later = threading.Thread(target=lambda: begun.append(uploads.begin(upload, 1)))
    later.start()
    assert running.acquire(timeout=60)
    assert running.acquire(timeout=60)
    assert not running.acquire(timeout=0.2), "a third one would have no room"
    gate.set()
    later.join(60)
    for done in begun:
        done.result(60)
    uploads.begin(upload, 1_000).result(60)


def test_at_most_16_small_ones_go_on_at_a_time():
    uploads, gate, running = Uploads(1_600), threading.Event(), threading.Semaphore(0)

    def upload():
        running.release()
        assert gate.wait(60)

    begun = []
    writer = threading.Thread(target=lambda: begun.extend(uploads.begin(upload, 1) for _ in range(40)))
    writer.start()
    for _ in range(16):
        assert running.acquire(timeout=60)
    assert not running.acquire(timeout=0.2)
    gate.set()
    writer.join(60)
    for done in begun:
        done.result(60)
    assert len(begun) == 40


def test_an_error_gives_the_room_back():
    uploads = Uploads(10)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            uploads.begin(lambda: 1 / 0, 10).result(60)
    uploads.begin(lambda: None, 10).result(60)


def test_who_waits_again_after_an_error_waits_for_another_attempt():
    attempts = []

    def put():
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise ConnectionError(f"attempt {len(attempts)}")

    pending = PendingUploads()
    pending.begin("a/part", put, 1)
    for expected in ("attempt 1", "attempt 2"):
        with pytest.raises(ConnectionError, match=expected):
            pending.wait("a/part")
        assert len(attempts) == int(expected[-1]), "nobody has asked for another attempt yet"
    pending.wait_below("b/")
    pending.wait_below("a/")
    pending.wait("a/part")
    assert attempts == [0, 1, 2]
