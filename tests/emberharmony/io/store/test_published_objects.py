"""The published files by their names, all of one version."""

from __future__ import annotations

import pytest

from emberharmony.errors import TerminalError
from emberharmony.io.manifest import MANIFEST, read_manifest
from emberharmony.io.store.published_objects import PublishedObjects
from tests.stored import publish_by_hand
from tests.stores import MemoryObjects, objects_of

pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture
def sink(s3):
    return s3.replace("?", "/out?")


def test_names_lead_to_the_files_of_the_version(sink):
    from emberharmony.io.store.opening import open_store

    publish_by_hand(sink, "first")
    store = open_store(sink)
    manifest = read_manifest(store)
    for file in manifest.files:
        assert store.get(file.name) == store.get(file) == b"first"
        assert store.size(file.name) == 5
        assert store.sha256(file.name) == file.sha256
        assert store.address_of(file.name).endswith(file.kept_as)
        with store.open(file.name) as handle:
            assert handle.read() == b"first"
    with store.open(MANIFEST) as handle:
        assert handle.read() == store.get(MANIFEST)
    assert store.sha256(MANIFEST) == open_store(sink).sha256(MANIFEST)
    publish_by_hand(sink, "second")
    assert (store.get("features/part"), open_store(sink).get("features/part")) == (b"first", b"second")


def test_a_folder_without_a_manifest_is_read_as_it_is(request):
    objects, address = objects_of("memory", request)
    assert isinstance(objects, MemoryObjects)
    objects.put("state/job.json", b"{}")
    store = PublishedObjects(objects, address / "state")
    assert store.get("job.json") == b"{}"
    assert not store.exists(MANIFEST)
    assert store.sha256(MANIFEST) is None
    with pytest.raises(TerminalError, match="manifest"):
        store.get(MANIFEST)
