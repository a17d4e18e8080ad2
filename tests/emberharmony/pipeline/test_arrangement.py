"""The planned order of many series: every row in one chunk, and the rows of a chunk together in the order of the whole."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emberharmony.errors import DataError
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline import arrangement
from emberharmony.pipeline.arrangement import KeyScan, input_chunks, series_layout
from emberharmony.stats.key_counts import KeyCounts
from emberharmony.steps.arrange import KeyRanges
from emberharmony.steps.order import JobOrder
from tests.jobs import write_table

ORDER = JobOrder(("id",), "t")


def shuffled_series(lengths, *, seed=0, n_times=10_000):
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(len(lengths)), lengths)
    rng.shuffle(ids)
    return pa.table(
        {"id": ids, "t": pa.array(rng.integers(0, n_times, len(ids)), pa.timestamp("ms")), "x": rng.random(len(ids))}
    )


def planned(table, path, *, chunk_rows, group_rows=50, columns=None, n_threads=1):
    source = open_source(ParquetSourceSpec(str(write_table(table, path / "t.parquet", group_rows=group_rows))))
    columns = columns or ColumnSpec(time="t", entity="id")
    inputs = input_chunks(source, columns, group_rows)
    return series_layout(source, columns, ORDER, inputs, chunk_rows, n_threads=n_threads)


def check(layout, table, chunk_rows, *, may_exceed=()):
    """Chunks hold as many rows as planned, within bounds, and in one order of entities and times."""
    rows = table.append_column("row_number", pa.array(range(table.num_rows), pa.int64()))
    chunks = KeyRanges(layout.chunks).chunk_of(ORDER.keys(rows), ORDER.ties(rows))
    assert np.bincount(chunks, minlength=len(layout.chunks)).tolist() == [chunk.n_rows for chunk in layout.chunks]
    assert layout.n_rows == table.num_rows
    first_rows = np.cumsum([0] + [chunk.n_rows for chunk in layout.chunks])[:-1]
    assert [chunk.first_row for chunk in layout.chunks] == first_rows.tolist()
    whole = ORDER.sorted(rows)["row_number"].to_numpy()
    assert (np.diff(chunks[whole]) >= 0).all(), "an entity's rows are in chunks with others between them"
    assert all(chunk.n_rows <= chunk_rows for chunk in layout.chunks if chunk.index not in may_exceed)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 120), min_size=1, max_size=25),
    chunk_rows=st.integers(16, 200),
    group_rows=st.integers(10, 200),
    seed=st.integers(0, 99),
)
def test_every_row_is_in_one_chunk(lengths, chunk_rows, group_rows, seed, tmp_path_factory):
    table = shuffled_series(lengths, seed=seed)
    layout = planned(table, tmp_path_factory.mktemp("layout"), chunk_rows=chunk_rows, group_rows=group_rows)
    if layout.inputs:  # else the rows happen to be in order
        check(layout, table, chunk_rows)
        assert sum(chunk.n_rows for chunk in layout.inputs) == table.num_rows


@pytest.mark.parametrize("n_threads", [2, 3, 50])
def test_any_number_of_threads_finds_the_same_layout(tmp_path, n_threads):
    """Each adds up its share of the pieces, and the shares follow one another."""
    shuffled = shuffled_series([70, 300, 5, 140])
    stored = shuffled.sort_by([("id", "ascending"), ("t", "ascending")])
    layouts = [planned(stored, tmp_path, chunk_rows=60, n_threads=n) for n in (1, n_threads)]
    assert [layout.in_order for layout in layouts] == [True, True]
    assert layouts[0].chunks == layouts[1].chunks
    layouts = [planned(shuffled, tmp_path, chunk_rows=60, n_threads=n) for n in (1, n_threads)]
    check(layouts[1], shuffled, 60)
    assert layouts[0].chunks == layouts[1].chunks


@pytest.mark.parametrize("most", [2, 5, 64])
def test_ranges_of_keys_widen_where_there_are_too_many(tmp_path, monkeypatch, most):
    monkeypatch.setitem(KeyCounts.of.__func__.__kwdefaults__, "most", most)
    table = shuffled_series([1] * 300 + [150, 40, 90, 700])
    layout = planned(table, tmp_path, chunk_rows=60)
    check(layout, table, 60)


@pytest.mark.parametrize("ranges", [4, 64, 2**18])
def test_many_entities_larger_than_a_chunk(tmp_path, monkeypatch, ranges):
    """They are counted together, in as many passes as the bound of ranges asks for, until each is divided by its times."""
    monkeypatch.setitem(KeyCounts.of.__func__.__kwdefaults__, "most", ranges)
    monkeypatch.setattr(arrangement, "MAX_RANGES", ranges)
    table = shuffled_series([90, 3] * 12)
    layout = planned(table, tmp_path, chunk_rows=60)
    divided = {chunk.index for chunk in layout.chunks if chunk.ties is not None}
    check(layout, table, 60, may_exceed=() if ranges > 64 else divided)
    assert len(divided) >= 12


def test_an_entity_larger_than_a_chunk_is_divided_by_its_times(tmp_path):
    table = shuffled_series([5, 900, 5, 7])
    layout = planned(table, tmp_path, chunk_rows=100)
    check(layout, table, 100)
    assert sum(chunk.ties is not None for chunk in layout.chunks) >= 9


def test_rows_of_one_entity_and_one_time_stay_together(tmp_path):
    table = shuffled_series([400, 20], n_times=2)
    layout = planned(table, tmp_path, chunk_rows=50)
    check(layout, table, 50, may_exceed=[chunk.index for chunk in layout.chunks if chunk.ties])


def test_boundaries_are_times_of_all_series(tmp_path):
    table = shuffled_series([30, 200, 1, 1, 70])
    layout = planned(table, tmp_path, chunk_rows=40)
    times = np.sort(table["t"].cast(pa.int64()).to_numpy())
    assert layout.times_at_ranks([0, 100, 301]) == times[[0, 100, 301]].tolist()


def test_rows_without_a_time(tmp_path):
    table = shuffled_series([30, 20])
    table = table.set_column(1, "t", pa.array([None, *table["t"].to_pylist()[1:]], pa.timestamp("ms")))
    with pytest.raises(DataError, match="1 row has no time in 't'"):
        planned(table, tmp_path, chunk_rows=20)
    layout = planned(table, tmp_path, chunk_rows=20, columns=ColumnSpec(time="t", entity="id", null_time="drop"))
    assert layout.n_null == 1
    check(layout, table.slice(1), 20)
    table = table.set_column(1, "t", pa.nulls(len(table), pa.timestamp("ms")))
    with pytest.raises(DataError, match="The time column 't' holds no time in any of its rows"):
        planned(table, tmp_path, chunk_rows=20, columns=ColumnSpec(time="t", entity="id", null_time="drop"))


@pytest.mark.parametrize("times", [[2**63 - 1, -(2**63)], [-(2**63), 2**63 - 1]])
def test_times_further_apart_than_a_number_holds(times):
    rows = pa.table({"row_number": [0, 1], "id": ["a", "a"], "t": pa.array(times, pa.timestamp("us"))})
    assert KeyScan.of(rows, ORDER).is_in_order == (times[0] < times[1])


SCANNED = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.integers(0, 4), st.none())), max_size=20)


@example([("a", 1), ("a", 0)], [1])
@example([("a", 1), ("b", 0), ("a", 2)], [1, 2])
@given(SCANNED, st.lists(st.integers(0, 20), max_size=4))
def test_scans_of_adjoining_rows_merge_to_the_scan_of_all(values, cuts):
    rows = pa.table(
        {
            "row_number": pa.array(range(len(values)), pa.int64()),
            "id": pa.array([row[0] for row in values], pa.string()),
            "t": pa.array([row[1] for row in values], pa.timestamp("s")),
        }
    )
    ends = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    merged = reduce(KeyScan.merge, (KeyScan.of(rows.slice(a, b - a), ORDER) for a, b in pairwise(ends)))
    timed = [row for row in values if row[1] is not None]
    entities = [row[0] for row in timed]
    places = {of: [i for i, other in enumerate(entities) if other == of] for of in set(entities)}
    adjacent = all(at == list(range(at[0], at[-1] + 1)) for at in places.values())
    rising = all(timed[a][1] <= timed[b][1] for at in places.values() for a, b in pairwise(at))
    assert merged.is_in_order == (adjacent and rising and len(timed) == len(values))
    assert merged.n_null == len(values) - len(timed)
    assert merged.n_entities_null == entities.count(None)
    assert merged.runs.n_rows == len(timed)
