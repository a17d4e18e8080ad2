"""Commits to the log of a Delta table: once each, whatever others commit, and only files that fit the table."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from emberharmony.errors import DataError, PlanError, TerminalError, TransientError
from emberharmony.io.sinks.delta import log as log_module
from emberharmony.io.sinks.delta.log import Change, DeltaLog, check_columns
from emberharmony.io.sinks.delta.parts import TablePart, statistics_of
from emberharmony.io.sinks.delta.tables import delta_schema


@pytest.fixture
def log(tmp_path):
    return DeltaLog(str(tmp_path / "table"))


def change(log, run, *, split="train", rows=(1, 2), column="x", kind=None, **settings):
    """Write one file of a run below the table, and return the commit that registers it."""
    table = pa.table({column: pa.array(rows, kind or pa.int64())})
    path = f"{run}/split={split}/part-0.parquet"
    file = Path(log.address, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    statistics = statistics_of(pq.read_metadata(file), table.schema)
    part = TablePart(path, file.stat().st_size, {"split": split}, table.schema, statistics)
    schema = delta_schema([*table.schema, pa.field("split", pa.string())])
    return Change(app_id=f"app-{run}", run_id=run, schema=schema, partition_by=["split"], parts=[part], **settings)


def replacing(log, run, **settings):
    return replace(change(log, run, **settings), mode="overwrite")


def rows(log, version=None):
    table = DeltaTable(log.address, version=version).to_pyarrow_table().sort_by([("split", "ascending"), ("x", "ascending")])
    return [(row["split"], row["x"]) for row in table.to_pylist()]


def test_the_first_commit_makes_the_table(log):
    assert log.table() is None
    assert log.commit(replace(change(log, "a"), description="Numbers"))
    table = log.table()
    assert rows(log) == [("train", 1), ("train", 2)]
    assert (table.version(), table.metadata().description, table.metadata().partition_columns) == (0, "Numbers", ["split"])
    (entry,) = table.history()
    assert (entry["emberharmony.run"], entry["userMetadata"]) == ("a", "emberharmony run a")


def test_a_change_is_committed_once(log):
    first = change(log, "a")
    assert log.commit(first)
    assert not log.commit(first)
    assert log.commit(change(log, "b", rows=[3]))
    assert not log.commit(first)
    assert log.holds("app-a")
    assert not log.holds("app-c")
    assert rows(log) == [("train", 1), ("train", 2), ("train", 3)]


def test_a_replacement_takes_all_other_files_out_and_their_versions_stay(log):
    log.commit(change(log, "a"))
    log.commit(change(log, "b", split="test", rows=[3]))
    log.commit(replacing(log, "c", rows=[9]))
    assert rows(log) == [("train", 9)]
    assert rows(log, version=1) == [("test", 3), ("train", 1), ("train", 2)]


def test_a_replacement_may_have_other_columns(log):
    log.commit(change(log, "a", column="y", kind=pa.string(), rows=["a"]))
    log.commit(replacing(log, "b"))
    assert rows(log) == [("train", 1), ("train", 2)]
    assert DeltaTable(log.address, version=0).to_pyarrow_table().column_names == ["y", "split"]


def test_a_replacement_without_files_empties_the_table_and_makes_none(log):
    empty = Change(app_id="app-e", run_id="e", schema=None, partition_by=["split"], parts=[], mode="overwrite")
    assert log.commit(empty)
    assert log.table() is None
    log.commit(change(log, "a"))
    log.commit(empty)
    assert rows(log) == []


def test_partitions_are_replaced_also_by_nothing(log):
    for split in ("train", "test", "apply"):
        log.commit(change(log, split, split=split, rows=[1]))
    log.commit(replace(replacing(log, "b", rows=[5]), replaces=[("split", "in", ["train", "test"])]))
    assert rows(log) == [("apply", 1), ("train", 5)]


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_a_commit_of_others_in_between_is_taken_into_account(log, monkeypatch, mode):
    log.commit(change(log, "a"))
    mine, other = replace(change(log, "b", rows=[3]), mode=mode), change(log, "c", rows=[4])
    tried = []

    def slow(self, table, at_hand):
        if not tried:
            tried.append(DeltaLog._try_now(self, self.table(), other))
        return DeltaLog._try_now(self, table, at_hand)

    monkeypatch.setattr(DeltaLog, "_try_now", DeltaLog._try, raising=False)
    monkeypatch.setattr(DeltaLog, "_try", slow)
    assert log.commit(mine)
    assert tried == [True]
    assert rows(log) == [("train", n) for n in ((1, 2, 3, 4) if mode == "append" else (3,))]


def test_a_reader_sees_one_whole_run_during_30_replacements(log):
    runs = [replacing(log, f"run{i}", rows=[i, i, i]) for i in range(31)]
    log.commit(runs[0])
    seen, ended = [], threading.Event()

    def read():
        while not ended.is_set():
            seen.append(DeltaTable(log.address).to_pyarrow_table()["x"].to_pylist())

    reader = threading.Thread(target=read)
    reader.start()
    for one in runs[1:]:
        log.commit(one)
    ended.set()
    reader.join()
    assert all(len(found) == 3 and len(set(found)) == 1 for found in seen)
    assert len({found[0] for found in seen}) > 2


def test_tables_are_made_once_by_writers_at_the_same_moment(log):
    changes = [change(log, f"run{i}", rows=[i]) for i in range(6)]
    threads = [threading.Thread(target=log.commit, args=(one,)) for one in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(log) == [("train", i) for i in range(6)]
    assert log.table().version() == 5


def test_a_commit_whose_answer_was_lost_is_found(log, monkeypatch):
    log.commit(change(log, "a"))
    commit = DeltaTable.create_write_transaction

    def lost(self, *args, **settings):
        commit(self, *args, **settings)
        raise OSError(5, "connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", lost)
    assert not log.commit(change(log, "b", rows=[3]))
    assert rows(log) == [("train", 1), ("train", 2), ("train", 3)]


def test_a_table_that_others_never_stop_changing_is_left_for_later(log, monkeypatch):
    log.commit(change(log, "a"))
    monkeypatch.setattr(log_module, "_ATTEMPTS", 2)
    monkeypatch.setattr(DeltaLog, "_try", lambda *_: False)
    with pytest.raises(TransientError, match="changed by others 2 times"):
        log.commit(change(log, "b"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"column": "y"}, "it has no y, and this run has no x"),
        ({"kind": pa.int32()}, "there, 'x' is long, not integer"),
    ],
)
def test_rows_of_other_columns_are_not_added(log, settings, said):
    log.commit(change(log, "a"))
    with pytest.raises(DataError, match=f"{said}.*apply the state"):
        log.commit(change(log, "b", **settings))
    with pytest.raises(DataError, match=said):
        log.commit(replace(replacing(log, "b", **settings), replaces=[("split", "=", "train")]))
    assert log.table().version() == 0


def test_other_partitions_are_refused(log):
    deltalake.write_deltalake(log.address, pa.table({"x": [1], "split": ["train"], "day": ["a"]}), partition_by=["day"])
    with pytest.raises(DataError, match=r"partitioned by day, this run by split.*sink\.partition"):
        log.commit(replacing(log, "a"))


def test_conditions_that_nobody_would_check_are_refused(log):
    log.commit(change(log, "a"))
    log.table().alter.add_constraint({"small": "x < 10"})
    with pytest.raises(PlanError, match=r"delta\.constraints\.small=x < 10"):
        log.commit(change(log, "b", rows=[11]))


def test_what_is_no_log_is_refused(log):
    log.commit(change(log, "a"))
    Path(log.address, "_delta_log", f"{0:020}.json").write_text("nonsense\n")
    with pytest.raises(TerminalError, match="cannot be used as a Delta table"):
        log.commit(change(log, "b"))


def test_columns_are_compared_by_name_and_type():
    check_columns("t", {"x": "long", "y": "float"}, {"y": "float", "x": "long"})
    check_columns("t", {"x": "long", "y": "float"}, {"x": "long"}, all_of_them=False)
    with pytest.raises(DataError, match="this run has no y"):
        check_columns("t", {"x": "long", "y": "float"}, {"x": "long"})
