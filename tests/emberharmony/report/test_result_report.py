"""The report on a published result: of a job that ran, and of results written by hand."""

from __future__ import annotations

import json

import pytest

from emberharmony.errors import DataError
from emberharmony.io.store.opening import result_at
from emberharmony.report.result_report import result_json, result_lines
from tests.jobs import run_small, small_table, write_table
from tests.stored import publish_by_hand


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported")
    source = write_table(small_table(300), folder / "table.parquet")
    return run_small(source, folder / "out", windows={"size": 3, "strides": [1, 2]}), folder / "out"


def test_what_a_result_consists_of(published):
    found, sink = published
    lines = list(result_lines(result_at(sink)))
    texts = dict(lines)
    assert texts["result"] == str(sink)
    assert texts["rows"] == "300 read; 240 train, 30 validation, 30 test"
    assert texts["job"] == f"extract, fingerprint {found.manifest['fingerprint']}"
    assert texts["stride 2"].startswith("119 train, 14 validation, 14 test windows; ")
    assert "of the training windows' variance" in texts["stride 2"]
    assert [text.split()[-1] for text in texts["size"].split(", ")] == ["features", "windows", "state"]
    assert texts["versions"] == "0 earlier kept, of at most 1"


def test_the_same_as_json(published):
    found, sink = published
    report = json.loads(json.dumps(result_json(result_at(sink))))
    assert report["rows"] == found.manifest["rows"]
    assert report["features"] == found.manifest["features"]
    for stride, counts in found.manifest["strides"].items():
        assert report["windows"][stride]["windows"] == counts["windows"]
        assert report["windows"][stride]["explained_variance"] == pytest.approx(sum(counts["explained_variance_ratio"]))
    for folder, n_bytes in report["n_bytes"].items():
        assert n_bytes == sum(path.stat().st_size for path in (sink / folder).rglob("*.*") if path.is_file())
    assert [version["is_current"] for version in report["versions"]] == [True]
    assert report["versions"][0]["name"] == report["version"]


def test_earlier_versions_are_listed_and_described(tmp_path):
    for text in ("first", "second", "third"):
        publish_by_hand(tmp_path, text, keep=2)
    result = result_at(tmp_path)
    (_, second, first) = result.versions()
    *_, versions, line, last = result_lines(result)
    assert versions == ("versions", "2 earlier kept, of at most 2")
    assert line[1].startswith(f"{second.name}, created {second.created[:10]} ")
    assert line[1].endswith(" UTC, fingerprint second, 18 bytes")
    assert last[1].startswith(first.name)
    assert dict(result_lines(result, first.name))["job"] == "extract, fingerprint first"
    assert result_json(result, first.name)["fingerprint"] == "first"


def test_nothing_is_published(tmp_path):
    for report in (lambda: list(result_lines(result_at(tmp_path))), lambda: result_json(result_at(tmp_path))):
        with pytest.raises(DataError, match="Nothing is published at"):
            report()
