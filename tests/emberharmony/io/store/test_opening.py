"""The store of a place, and the result for which a run is staged."""

from __future__ import annotations

import pytest

from emberharmony.errors import PlanError, TerminalError
from emberharmony.io.store.address import child_address
from emberharmony.io.store.opening import open_staged, open_store, result_at, result_of


def test_a_folder_is_a_store(tmp_path):
    store = open_store(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    store.put("a", b"1")
    assert open_store(str(tmp_path / "new")).get("a") == b"1"
    assert store.address == str(tmp_path / "new")


@pytest.mark.parametrize("opened", [open_store, result_at])
@pytest.mark.parametrize("place", ["ftp://host/result", "http://bucket", "abfss://x@y/z"])
def test_a_place_that_no_store_serves_is_refused(opened, place):
    with pytest.raises(PlanError, match="is an address of another store"):
        opened(place)


@pytest.mark.parametrize("address", ["s3://lake/out?region=eu-west-1", "gs://lake/out", "az://lake/out"])
def test_a_bucket_is_reached_when_it_is_used_and_not_before(address):
    assert open_store(address).address == address
    assert result_at(address).address == address.partition("?")[0]
    run = open_staged(child_address(address, ".versions/x"))
    assert str(result_of(run).prefix) == address


def test_a_staged_run_leads_to_its_result(tmp_path):
    result = result_at(tmp_path / "result")
    run = result.stage("0123456789abcdef-1-00000001")
    run.put("plan.json", b"{}")
    again = open_staged(run.address)
    assert again.get("plan.json") == b"{}"
    assert result_of(again).address_of_run("0123456789abcdef-1-00000001") == run.address


def test_a_staged_run_that_was_removed_is_not_made_again(tmp_path):
    result = result_at(tmp_path / "result")
    run = open_staged(result.stage("0123456789abcdef-1-00000001").address)
    result.stage("0123456789abcdef-1-00000001", discard=True)
    (tmp_path / "result" / "manifest.json").touch()
    (tmp_path / "result" / ".staging" / "0123456789abcdef-1-00000001").rename(tmp_path / "elsewhere")
    with pytest.raises(TerminalError, match="was removed"):
        run.put("late", b"")
