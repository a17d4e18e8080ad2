"""Paths on this machine, and what only looks like one."""

from pathlib import Path

import pytest

from emberharmony.errors import PlanError
from emberharmony.io.store.paths import checked_folder, checked_path, is_within

URLS = [
    "ftp://b/x",
    "abfss://c@a/x",
    "file://host/x",
    "HTTPS://h/x",
    "hdfs://n/x",
]


@pytest.mark.parametrize("check", [checked_path, checked_folder])
@pytest.mark.parametrize("url", [*URLS, str(Path("gs://bucket/x"))])
def test_addresses_of_other_stores_are_refused(check, url):
    with pytest.raises(PlanError, match="is an address of another store"):
        check(url)


@pytest.mark.parametrize("url", ["file:///tmp/a%20b/%C3%BC", "file:/tmp/a b/ü", "FILE://localhost/tmp/a%20b/ü"])
def test_a_file_url_is_a_path(url):
    assert checked_path(url) == checked_folder(url) == "/tmp/a b/ü"


def test_a_folder_may_be_a_prefix_of_a_bucket():
    assert checked_folder("S3A://lake/a//b/?region=x") == "s3://lake/a/b?region=x"
    with pytest.raises(PlanError, match=r"^sink\.path: .* Credentials have no place in an address"):
        checked_folder("s3://lake/a?token=x", key="sink.path")


@pytest.mark.parametrize("path", ["data/x", "/data/x", "./s3:x", "a=b/c:d", "odd:name", "C:/x", "Ünïcode/ü"])
def test_paths_stay_as_they_are(path):
    assert checked_path(path) == path


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "a\udc80b", "~nosuchuser/x", "~nosuchuser"])
def test_what_names_nothing_is_refused(path):
    with pytest.raises(PlanError, match=r"^sink\.path: "):
        checked_folder(path, key="sink.path")


@pytest.mark.parametrize("path", ["/", "//", "/tmp/..", "/."])
def test_a_result_is_never_the_root(path):
    with pytest.raises(PlanError, match="root of the file system"):
        checked_folder(path)


def test_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert checked_path("~/x") == "/home/somebody/x"


def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert is_within(tmp_path / "link/a", tmp_path / "real")
    assert is_within(tmp_path / "real/a", tmp_path / "link")
    assert not is_within(tmp_path / "realm", tmp_path / "real")
