"""The manifest: what was published, readable by this version or refused by name."""

import json
from datetime import datetime

import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.manifest import MANIFEST, Manifest, read_manifest
from emberharmony.io.store import FileRecord
from tests.jobs import run_small, small_table, write_table


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifest")
    source = write_table(small_table(200), folder / "t.parquet", group_rows=50)
    return run_small(
        source, folder / "out", columns={"time": "t", "target": "y", "drop": ["name"]}, runtime={"chunk_rows": 40}
    )


@pytest.fixture
def sink(published):
    from pathlib import Path

    return Path(published.outcome.sink)


def test_survives_json(published, sink):
    manifest = read_manifest(sink)
    assert manifest == published.outcome.manifest
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    assert all(isinstance(file, FileRecord) for file in manifest.files)


def test_says_what_is_there(published, sink):
    import hashlib

    manifest = read_manifest(sink)
    assert manifest.source_rows == 200
    assert manifest.rows == {"train": 160, "validation": 20, "test": 20}
    assert datetime.fromisoformat(manifest.created).tzinfo is not None
    assert {"emberharmony", "numpy", "pyarrow"} <= set(manifest.versions)
    assert manifest.dropped["name"] == "dropped by the configuration"
    listed = {file.name for file in manifest.files}
    on_disk = {str(path.relative_to(sink)) for path in sink.rglob("*.parquet")}
    assert on_disk == {name for name in listed if name.endswith(".parquet")}
    for file in manifest.files:
        content = (sink / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.n_bytes, file.sha256)
    rows = dict.fromkeys(manifest.rows, 0)
    for name in on_disk:
        if name.startswith("features/"):
            split = name.split("split=")[1].split("/")[0]
            rows[split] += pq.read_metadata(sink / name).num_rows
            assert {f.name: str(f.type) for f in pq.read_schema(sink / name)} == manifest.schema
    assert rows == manifest.rows
    for stride, counts in manifest.strides.items():
        for split, n_windows in counts.windows.items():
            assert n_windows == published.windows[int(stride)][split].num_rows
        assert counts.components == len(counts.explained_variance_ratio)
        assert 0 < counts.explained <= 1 + 1e-9


def test_none_where_there_is_none(tmp_path):
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "nowhere") is None


def test_another_version_is_refused(published, tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps(published.manifest | {"version": 99}))
    with pytest.raises(DataError, match=r"is of version 99, this library reads version \d"):
        read_manifest(tmp_path)


def test_nothing_is_left_in_staging(sink):
    assert not any(path.name.startswith(".") for path in sink.iterdir())
