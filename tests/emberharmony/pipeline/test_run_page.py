"""The page of a run is part of its result, and never the reason why there is none."""

from __future__ import annotations

import stat

import pytest

from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.opening import result_at
from emberharmony.pipeline import run_page
from emberharmony.pipeline.publish import publish
from emberharmony.pipeline.run_page import REPORT, SWITCH, find_report, published_page, work_of, writes_report
from emberharmony.pipeline.totals import totals_of
from tests.emberharmony.pipeline.conftest import CHUNK_STAGES
from tests.jobs import run_at, small_table, write_table
from tests.stores import memory_bucket


@pytest.fixture
def without_scripts(monkeypatch):
    monkeypatch.setattr(run_page, "scripts", lambda: "window.vegaEmbed = 0;")


@pytest.mark.usefixtures("without_scripts")
def test_the_page_is_published_with_the_result(with_report, tmp_path):
    manifest = publish(with_report, CHUNK_STAGES)
    path = tmp_path / "result" / REPORT
    assert find_report(manifest).n_bytes == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "result" / "state" / "job.json").stat().st_mode)
    text = path.read_text()
    assert "seconds of work" in text
    assert "300" in text
    assert published_page(result_at(tmp_path / "result").snapshot()) == path.read_bytes()


@pytest.mark.usefixtures("without_scripts")
def test_another_result_takes_its_place_as_a_whole(with_report, run_again, tmp_path):
    publish(with_report, CHUNK_STAGES)
    publish(run_again(report=False), CHUNK_STAGES)
    assert not (tmp_path / "result" / "report").exists(), "a page of the old result would be beside the new one"
    (kept,) = (tmp_path / "result" / ".versions").iterdir()
    assert (kept / REPORT).exists()
    (_, earlier) = result_at(tmp_path / "result").versions()
    assert b"seconds of work" in published_page(result_at(tmp_path / "result").snapshot(earlier.name))


@pytest.mark.usefixtures("without_scripts")
def test_in_a_bucket_the_page_is_a_file_of_the_version(tmp_path, monkeypatch):
    monkeypatch.delenv(SWITCH)
    path = write_table(small_table(200), tmp_path / "table.parquet")
    with memory_bucket() as bucket:
        outcome = run_at(str(path), child_address(bucket, "out"), columns={"time": "t", "target": "y", "drop": ["name"]})
        snapshot = result_at(child_address(bucket, "out")).snapshot()
        assert outcome.report == f"{without_query(bucket)}/out/{outcome.manifest.file_name(find_report(outcome.manifest))}"
        assert b"seconds of work" in snapshot.get(find_report(snapshot.manifest)) == published_page(snapshot)


def test_a_page_that_cannot_be_made_is_left_out(with_report, monkeypatch, caplog):
    monkeypatch.setattr(run_page, "page", lambda *_: 1 / 0)
    monkeypatch.setattr(run_page, "scripts", str)
    manifest = publish(with_report, CHUNK_STAGES)
    assert find_report(manifest) is None
    assert "published without it" in caplog.text


@pytest.mark.usefixtures("without_scripts")
def test_of_a_result_without_a_page_one_is_made_of_what_is_published(own_run, tmp_path):
    assert find_report(publish(own_run, CHUNK_STAGES)) is None
    text = published_page(result_at(tmp_path / "result").snapshot()).decode()
    assert "Explained variance" in text
    assert "seconds of work" not in text


def test_who_writes_a_report(monkeypatch):
    monkeypatch.delenv(SWITCH)
    assert writes_report(ParquetSinkSpec("out"))
    assert not writes_report(ParquetSinkSpec("out", report=False))
    monkeypatch.setattr(run_page, "has_scripts", lambda: False)
    assert not writes_report(ParquetSinkSpec("out"))
    monkeypatch.undo()
    monkeypatch.setenv(SWITCH, "off")
    assert not writes_report(ParquetSinkSpec("out"))


def test_work_is_that_of_the_receipts(run):
    totals = totals_of(run, CHUNK_STAGES)
    work = work_of(totals, "featurize")
    receipts = list(run.receipts.all_of("featurize"))
    assert work.seconds.tolist() == [receipt.seconds for receipt in receipts]
    assert work.rows.tolist() == [50] * 6
    assert work.memory.tolist() == [receipt.memory_bytes for receipt in receipts]
    assert 50 * 2**20 < work.most_bytes < 64 * 2**30, "pyarrow and NumPy alone take more than 50 MiB"
    assert work.workers == tuple(f"numpy:cpu on {receipt.host}" for receipt in receipts)
    assert work_of(totals, "fit-pca").title == "fit PCA"
