"""Which objects of a bucket are read: the same as of the same files on a disk, in the version that was listed."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, MissingLibraryError, PlanError
from emberharmony.io.sources.parquet.files import ByteRange
from emberharmony.io.sources.parquet.footers import open_footer
from emberharmony.io.sources.parquet.local_files import LocalPlace
from emberharmony.io.sources.parquet.object_files import ObjectPlace, remainder
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.store.address import BucketAddress
from tests.emberharmony.io.sources.parquet.test_local_files import NO_DATA, PATTERNS, TREE, write
from tests.stores import BUCKETS, MemoryObjects, objects_of

pytestmark = pytest.mark.xdist_group("stores")
ODD = ["city=S%C3%A3o%20Paulo/a.parquet", "city=São Paulo/a.parquet", "a b/c#d.parquet", "t%3Au/x+y.parquet", "q?x=1.parquet"]
"""Names as Hive and Spark escape them, and as other writers do not."""


@pytest.fixture
def tree(tmp_path):
    for name in [*TREE, *NO_DATA, *ODD]:
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no table")
    (tmp_path / "000000_1.csv").write_text("a,b\n" * 10)
    return tmp_path


@pytest.fixture(params=BUCKETS)
def bucket(request, tree):
    """The same files below a prefix, among others."""
    objects, address = objects_of(request.param, request)
    for path in tree.rglob("*"):
        if path.is_file():
            objects.put(f"in/{path.relative_to(tree).as_posix()}", path.read_bytes())
    objects.put("in-other/a.parquet", b"x")
    return objects, address


def names(bucket, key: str) -> list[str]:
    objects, address = bucket
    return [file.key.removeprefix("in/") for file in ObjectPlace(objects, address.root, f"in/{key}".rstrip("/")).files]


def on_disk(tree: Path, place: str) -> list[str]:
    return [Path(file.address).relative_to(tree).as_posix() for file in LocalPlace(str(tree / place)).files]


PLACES = [
    "",
    "deep",
    "a.parquet",
    "day=1",
    "city=S%C3%A3o%20Paulo",
    "a b",
    "q?x=1.parquet",
    "000000_0",
    "*/*",
    "t%*",
    "city=*",
]


@pytest.mark.parametrize("key", [*PLACES, *(pattern for pattern in PATTERNS if pattern != "*.parquet")])
def test_a_bucket_is_listed_as_a_disk_is(tree, bucket, key):
    assert names(bucket, key) == on_disk(tree, key)


def test_the_folders_of_an_object_are_those_of_its_key(bucket):
    objects, address = bucket
    for key in ("in", "in/city=São Paulo", "in/city=São Paulo/a.parquet", "in/city=*", "in/**/a.parquet"):
        files = {file.key: file.folders for file in ObjectPlace(objects, address.root, key).files}
        assert files["in/city=São Paulo/a.parquet"] == ("city=São Paulo",)


def test_empty_objects_that_stand_for_folders_are_no_files():
    """As consoles and Hadoop make them; an empty file that is no folder is still one."""
    objects = MemoryObjects()
    for key in ("t", "t/spark.parquet", "t/spark.parquet/part-0.parquet", "t/deep_$folder$", "t/empty.parquet"):
        objects.put(key, b"" if "part" not in key else b"PAR1")
    place = ObjectPlace(objects, BucketAddress("s3", "memory"), "t/*")
    assert [file.key for file in place.files] == ["t/deep_$folder$", "t/empty.parquet", "t/spark.parquet/part-0.parquet"]
    place = ObjectPlace(objects, BucketAddress("s3", "memory"), "")
    assert [file.key for file in place.files] == ["t/empty.parquet", "t/spark.parquet/part-0.parquet"]


def test_places_that_name_nothing(bucket):
    for key, told in {
        "none.parquet": r"none\.parquet does not exist, or holds no Parquet files",
        "*.orc": "matches no object",
        "notes*": "cannot be read as Parquet",
        "a**b": r"'a\*\*b': '\*\*' stands for folders at any depth",
    }.items():
        with pytest.raises(DataError, match=told):
            [open_footer(file) for file in ObjectPlace(*bucket_root(bucket), f"in/{key}").files]
    bucket[0].put("csv/a.csv", b"a,b\n" * 9)
    with pytest.raises(DataError, match=r"holds no Parquet files, but others such as a\.csv"):
        _ = ObjectPlace(*bucket_root(bucket), "csv").files


def bucket_root(bucket):
    return bucket[0], bucket[1].root


def test_an_object_is_read_in_the_version_that_was_listed(bucket):
    objects, _ = bucket
    (file,) = ObjectPlace(*bucket_root(bucket), "in/a.parquet").files
    content = objects.get(file.key)[0]
    assert file.version().n_bytes == len(content)
    assert file.tail(file.version(), 7) == content[-7:]
    assert file.tail(file.version(), 10**6) == content
    with file.open(file.version(), [ByteRange(4, 20)]) as handle:
        assert bytes(handle.read()) == content
    assert open_footer(file).metadata.equals(pq.read_metadata(pa.BufferReader(content)))
    objects.put(file.key, content)  # the same bytes: a new version all the same, unless the ETag is their hash
    objects.put(file.key, content[:-1] + b"2")
    with pytest.raises(DataError, match=r"a\.parquet was changed after the job was planned; nothing was published"):
        file.tail(file.version(), 8)
    with pytest.raises(DataError, match=r"a\.parquet was changed after the job was planned"):
        file.open(file.version(), [ByteRange(4, 20)])
    with (
        file.open(file.version()) as handle,
        pytest.raises(DataError, match=r"a\.parquet was changed after the job was planned"),
    ):
        handle.read(1)


@pytest.mark.parametrize(
    ("place", "address", "expected"),
    [
        ("s3://lake/t", "s3://lake/t/a/b.parquet", True),
        ("s3://lake/t?region=x", "s3a://lake/t/b.parquet?endpoint=http://h", True),
        ("s3://lake", "s3://lake/u/b.parquet", True),
        ("s3://lake/t", "s3://lake/tt/b.parquet", False),
        ("s3://lake/t", "s3://pond/t/b.parquet", False),
        ("s3://lake/t", "gs://lake/t/b.parquet", False),
        ("s3://lake/t", "lake/t/b.parquet", False),
        ("gs://lake/t/**/*.parquet", "gs://lake/t/a/b/c.parquet", True),
        ("az://lake/t/*.parquet", "az://lake/t/b.parquet", True),
        ("s3://lake/t/*.parquet", "s3://lake/t/a/b.parquet", False),
        ("s3://lake/t/day=?", "s3://lake/t/day=1/b.parquet", True),
        ("s3://lake/t/day=*?region=x", "s3://lake/t/out/b.parquet", False),
    ],
)
def test_would_take_in(place, address, expected):
    assert ObjectPlace.of(place).would_take_in(address) == expected


def test_files_within_a_prefix(bucket):
    objects, address = bucket
    place = ObjectPlace(objects, address.root, "in/deep")
    assert place.file_within(str(address.root / "in")) == f"{address.root.shown}/in/deep/er/c.parquet"
    assert place.file_within(str(address.root / "in/deep/er")) is not None
    for other in (str(address.root / "in/de"), "s3://another/in", "in/deep"):
        assert place.file_within(other) is None


@pytest.mark.parametrize("text", ["s3://", "s3://x/../y?region=", "s3://lake/t?secret_key=x", "s3://lake/t?nonsense=1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(PlanError):
        ObjectPlace.of(text)


def test_a_question_mark_begins_the_query_only_before_a_name():
    place = ObjectPlace.of("s3://lake/day=?/part-?.parquet?endpoint=http://127.0.0.1:1&region=x")
    assert (place.key, place.root.options) == (
        "day=?/part-?.parquet",
        (("endpoint", "http://127.0.0.1:1"), ("region", "x")),
    )


@pytest.mark.parametrize(
    ("key", "pattern", "left"),
    [("a/b/c", "a/**", 0), ("a", "a/**", None), ("a/_b/c", "a/**", None), ("a/_b", "a/_*", 0), ("a/b/.c", "a/*", None)],
)
def test_hidden_parts(key, pattern, left):
    assert remainder(key.split("/"), pattern.split("/")) == left


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch):
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = ParquetSourceSpec("s3://no-library/t?endpoint=http://127.0.0.1:1")
    for look in (spec.check_credentials, ParquetSource(spec).describe):
        with pytest.raises(
            MissingLibraryError, match=r"s3://no-library is in a bucket, .* pip install 'emberharmony\[cloud\]'"
        ):
            look()
