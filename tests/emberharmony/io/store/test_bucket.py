"""What the store asks of a bucket: the servers behave as the reference in memory does."""

from __future__ import annotations

import io

import pytest

from emberharmony.errors import TransientError
from emberharmony.io.store.object_store import ObjectFile
from emberharmony.io.store.objects import ABSENT, ConditionFailedError
from tests.stores import BUCKETS, objects_of

pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture(params=BUCKETS)
def objects(request):
    return objects_of(request.param, request)[0]


def test_an_object_is_written_under_a_condition(objects):
    first = objects.put("a/x", b"1", only_if=ABSENT)
    with pytest.raises(ConditionFailedError):
        objects.put("a/x", b"2", only_if=ABSENT)
    second = objects.put("a/x", b"2", only_if=first)
    with pytest.raises(ConditionFailedError):
        objects.put("a/x", b"3", only_if=first)
    assert objects.get("a/x") == (b"2", second)
    assert objects.info("a/x").revision == second
    objects.delete(["a/x"])
    with pytest.raises(ConditionFailedError):
        objects.put("a/x", b"3", only_if=second)
    assert objects.get("a/x") is None
    assert objects.info("a/x") is None


def test_a_large_file_is_uploaded_in_parts(objects):
    content = bytes(range(256)) * (9 * 2**12)  # 9 MB
    objects.put("large", io.BytesIO(content))
    assert objects.get("large")[0] == content


def test_ranges_come_from_one_revision(objects):
    objects.put("x", bytes(range(100)))
    info = objects.info("x")
    file = ObjectFile(objects, info)
    file.seek(-10, io.SEEK_END)
    assert (file.read(4), file.tell(), file.read(), file.read()) == (bytes(range(90, 94)), 94, bytes(range(94, 100)), b"")
    objects.put("x", bytes(100))
    file.seek(0)
    with pytest.raises(TransientError, match="was replaced"):
        file.read(4)
    with pytest.raises(ConditionFailedError):
        objects.get_range("x", 0, 4, revision=info.revision)


def test_many_objects_are_listed_and_removed(objects):
    keys = [f"many/{i:04}" for i in range(30)]
    for key in keys:
        objects.put(key, b"")
    assert [info.key for info in objects.list("many")] == keys
    objects.delete(["many/none", *keys, "many/nothing"])
    assert list(objects.list("many")) == []
