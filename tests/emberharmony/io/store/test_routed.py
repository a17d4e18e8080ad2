"""A store some of whose folders are in another store, against that store itself."""

from __future__ import annotations

import pytest

from emberharmony.errors import DamagedError
from emberharmony.io.store.local import LocalStore
from emberharmony.io.store.routed import RoutedStore


def route(name):
    return f"table/run/{name.removeprefix('features/')}" if name.startswith("features/") else None


@pytest.fixture
def stores(tmp_path):
    run, tables = LocalStore(tmp_path / "run"), LocalStore(tmp_path / "out")
    return RoutedStore(run, tables, route), run, tables


def test_parts_are_kept_elsewhere_under_their_own_names(stores):
    store, run, tables = stores
    record = store.keep("features/split=train/part-0.parquet", b"rows")
    assert (record.name, record.n_bytes) == ("features/split=train/part-0.parquet", 4)
    place = f"table/run/split=train/part-0-{record.sha256[:16]}.parquet"
    assert list(tables.list("")) == [place]
    assert list(run.list("")) == []
    run.put("state/job.json", b"")
    assert "state" in store.folders()
    run.delete("state/job.json")
    assert (store.get(record), store.size(record), store.sha256(record), store.holds(record)) == (
        b"rows",
        4,
        record.sha256,
        True,
    )
    assert list(store.list("features")) == [record.kept_as]
    assert dict(store.modified("features")) == {record.kept_as: tables.modified("table")[place]}
    assert store.address_of(record) == tables.address_of(place)
    for opened in (store.open, store.open_checked):
        with opened(record) as handle:
            assert handle.read() == b"rows"
    store.make_durable([record])
    store.delete(record.kept_as)
    assert not store.holds(record)
    with pytest.raises(DamagedError, match=r"out/table/run/split=train/part-0-\w+\.parquet is missing"):
        store.check(record)
    with (
        pytest.raises(DamagedError, match=r"out/table/run/split=train/part-0-\w+\.parquet is missing"),
        store.open_checked(record),
    ):
        pytest.fail("it is opened")


def test_all_other_files_are_the_runs(stores):
    store, run, tables = stores
    record = store.keep_json("state/job.json", {})
    store.put("plan.json", b"1")
    assert store.put_if_absent("once", b"1")
    assert not store.put_if_absent("once", b"2")
    content, etag = store.read_with_etag("plan.json")
    assert content == b"1"
    assert store.replace_if_unchanged("plan.json", b"2", etag) is not None
    assert sorted(store.list("")) == sorted(["once", "plan.json", record.kept_as, *run.list(".unfinished")])
    assert list(tables.list("")) == []
    assert store.address == run.address
    assert store.address_of("plan.json") == run.address_of("plan.json")
    assert store.free_bytes() == run.free_bytes()


def test_files_that_are_written_are_routed_too(stores):
    store, _, tables = stores
    store.put("features/x", b"1")
    assert not store.put_if_absent("features/x", b"2")
    _, etag = store.read_with_etag("features/x")
    assert store.replace_if_unchanged("features/x", b"3", etag) is not None
    assert tables.get("table/run/x") == b"3"


def test_a_run_that_was_removed_is_missed(tmp_path):
    (tmp_path / "out/.staging/other").mkdir(parents=True)
    run = LocalStore(tmp_path / "out/.staging/run", within=tmp_path / "out")
    store = RoutedStore(run, LocalStore(tmp_path / "out"), route)
    with pytest.raises(Exception, match="was removed"):
        store.check_there()
    store.elsewhere.check_writable()
