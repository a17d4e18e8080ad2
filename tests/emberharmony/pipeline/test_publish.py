"""Publishing: again and again is once, and what is damaged is found before it is published."""

from __future__ import annotations

import pytest

from emberharmony.errors import DamagedError, DataError
from emberharmony.io.store.local_result import LocalResult
from emberharmony.pipeline.publish import is_committed, publish
from emberharmony.pipeline.run import Run
from tests.emberharmony.pipeline.conftest import CHUNK_STAGES


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_published_once(own_run, tmp_path):
    assert not is_committed(own_run)
    manifest = publish(own_run, CHUNK_STAGES)
    assert manifest.rows == {"train": 240, "validation": 30, "test": 30}
    assert manifest.source_rows == 300
    assert {path.name for path in (tmp_path / "result").iterdir()} >= {"features", "windows", "state", "manifest.json"}
    for file in manifest.files:
        assert (tmp_path / "result" / file.name).stat().st_size == file.n_bytes


def test_a_run_that_was_killed_while_it_published_goes_on(own_stopped, own_run, tmp_path, monkeypatch):
    """The manifest is written, and says what is published; it is not made again."""

    def killed(*_):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(LocalResult, "commit", killed)
        with pytest.raises(OSError, match="killed"):
            publish(own_run, CHUNK_STAGES)
    assert is_committed(own_run)
    assert not (tmp_path / "result" / "manifest.json").exists()
    planned = own_run.store.get("manifest.json")
    again = Run.opened(own_stopped.staging)
    publish(again, CHUNK_STAGES)
    assert (tmp_path / "result" / "manifest.json").read_bytes() == planned


def test_damaged_files_lose_their_receipts_and_nothing_is_published(own_run, tmp_path):
    record = own_run.receipts.find("featurize", 2).files[0]
    own_run.store.path(record).write_bytes(b"x" * record.n_bytes)
    with pytest.raises(DamagedError):
        publish(own_run, CHUNK_STAGES)
    assert own_run.receipts.find("featurize", 2) is None
    assert own_run.receipts.find("featurize", 1) is not None
    assert not (tmp_path / "result" / "manifest.json").exists()


def test_a_damaged_manifest_is_written_again(own_run):
    own_run.store.put("manifest.json", b"{ no JSON")
    with pytest.raises(DamagedError, match="it is written again"):
        publish(own_run, CHUNK_STAGES)
    assert not is_committed(own_run)
    publish(own_run, CHUNK_STAGES)


def test_files_that_no_run_wrote_are_not_replaced(own_run, tmp_path):
    (tmp_path / "result" / "features").mkdir()
    (tmp_path / "result" / "features" / "mine.csv").write_text("1")
    before = contents(tmp_path / "result" / "features")
    with pytest.raises(DataError):
        publish(own_run, CHUNK_STAGES)
    assert contents(tmp_path / "result" / "features") == before
    assert not is_committed(own_run)
