"""The manifest: what was published, readable by this version or refused by name."""

import json
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.manifest import MANIFEST, Manifest, read_manifest
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.opening import open_store
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
    manifest = read_manifest(open_store(sink))
    assert manifest == published.outcome.manifest
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    assert all(isinstance(file, FileRecord) for file in manifest.files)


def test_fields_that_an_older_manifest_lacks_have_defaults(published):
    data = json.loads(json.dumps(published.manifest))
    for counts in data["strides"].values():
        del counts["applied_explained"]
    assert Manifest.from_json(data) == published.outcome.manifest


def test_says_what_is_there(published, sink):
    import hashlib

    manifest = read_manifest(open_store(sink))
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


def test_every_category_finds_its_feature(tmp_path):
    """Names of features are ASCII, so that all cities of two letters look alike there; the descriptions do not."""
    cities = ["東京", "京都", "Köln", "Kaln", "Straße", "other", "it's"]
    drawn = np.random.default_rng(0).choice(cities, 300)
    table = small_table(300, order="sorted").select(["t", "count"]).append_column("city", pa.array(drawn))
    found = run_small(write_table(table, tmp_path / "t.parquet"), tmp_path / "out")
    descriptions = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))["descriptions"]
    assert list(descriptions) == found.feature_names
    assert "東京" in (tmp_path / "out/manifest.json").read_text(encoding="utf-8")
    rows = pa.concat_tables(found.features.values()).sort_by("row_number")
    for city in cities:
        (name,) = (name for name, text in descriptions.items() if text == f"1 where city is {city!r}")
        np.testing.assert_array_equal(rows[name].to_numpy(), drawn == city)


def test_none_where_there_is_none(tmp_path):
    assert read_manifest(open_store(tmp_path)) is None
    assert read_manifest(open_store(tmp_path / "nowhere")) is None


def test_another_version_is_refused(published, tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps(published.manifest | {"version": 99}))
    with pytest.raises(DataError, match=r"has version 99, this library reads version \d"):
        read_manifest(open_store(tmp_path))


def test_nothing_is_left_in_staging(sink):
    assert not any(path.name.startswith(".") for path in sink.iterdir())
