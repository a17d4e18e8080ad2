"""The order of a job's rows, and its series, against pandas."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.arrangement import job_order
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.steps import order as order_module
from emberharmony.steps.order import JobOrder, in_order_of
from emberharmony.windows import WindowSpec

ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", "", "None", None]), st.integers(0, 2), st.integers(0, 9)), max_size=30)


def rows_of(values, *, dictionary=False):
    ids = pa.array([row[0] for row in values], pa.string())
    return pa.table(
        {
            "row_number": pa.array(range(len(values)), pa.int64()),
            "id": ids.dictionary_encode() if dictionary else ids,
            "site": pa.array([row[1] for row in values], pa.int64()),
            "t": pa.array([row[2] for row in values], pa.timestamp("s")),
        }
    )


def entities_in_runs(rows, columns):
    """(entity, row numbers) of every run of one entity."""
    runs = []
    for row in rows.select([*columns, "row_number"]).to_pylist():
        number = row.pop("row_number")
        entity = tuple(row.values())
        if not runs or runs[-1][0] != entity:
            runs.append((entity, []))
        runs[-1][1].append(number)
    return runs


@pytest.fixture(params=["own keys", "colliding keys"])
def keys(request, monkeypatch):
    """Keys as they are, and keys that are equal for all entities that begin alike: only their values tell them apart."""
    if request.param == "colliding keys":
        monkeypatch.setattr(order_module, "entity_keys", lambda columns: np.zeros(len(columns[0]), np.int64))
    return request.param


@pytest.mark.parametrize("columns", [("id",), ("id", "site"), ("site", "id")], ids=str)
@pytest.mark.parametrize("time", ["t", None])
@pytest.mark.parametrize("dictionary", [False, True], ids=["text", "dictionary"])
def test_rows_of_an_entity_are_adjacent_and_in_time_order(keys, columns, time, dictionary):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        values = [
            (rng.choice(["a", "b", "", "None", None]), int(rng.integers(3)), int(rng.integers(9))) for _ in range(seed * 3)
        ]
        rows = rows_of(values, dictionary=dictionary)
        shuffled = rows.take(pa.array(rng.permutation(len(values)), pa.int64()))
        runs = entities_in_runs(JobOrder(columns, time).sorted(shuffled), columns)
        assert len({entity for entity, _ in runs}) == len(runs), "an entity in two places"
        frame = rows.to_pandas()
        by = [time, "row_number"] if time else ["row_number"]
        groups = frame.sort_values(by).groupby(list(columns), dropna=False)["row_number"]
        expected = {tuple(None if pd.isna(v) else v for v in np.atleast_1d(np.array(k, object))): list(g) for k, g in groups}
        assert dict(runs) == expected


@given(ROWS, st.sampled_from([None, 0, 2]))
def test_borders_are_where_entity_or_gap_change(values, max_gap):
    order = JobOrder(("id", "site"), "t", max_gap)
    rows = order.sorted(rows_of(values))
    found = rows.select(["id", "site", "t"]).to_pylist()
    expected = [
        i + 1
        for i, (a, b) in enumerate(pairwise(found))
        if (a["id"], a["site"]) != (b["id"], b["site"])
        or (max_gap is not None and (b["t"] - a["t"]).total_seconds() > max_gap)
    ]
    assert order.borders(rows).tolist() == expected


@given(ROWS, st.sampled_from([None, 2]), st.lists(st.integers(0, 30), max_size=4), st.integers(1, 4))
def test_series_join_across_chunks_as_in_one(values, max_gap, cuts, size):
    order = JobOrder(("id",), "t", max_gap)
    rows = order.sorted(rows_of(values))
    ends = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    chunks = [{"train": order.span(rows.slice(a, b - a), size=size)} for a, b in pairwise(ends)]
    starts, total = order.joined(chunks, ["train", "test"])
    whole = order.span(rows, size=size)
    assert total["train"] == whole or not values
    assert total["test"] == SeriesSpan()
    begins = np.concatenate([[0], order.borders(rows)]) if values else np.array([], int)
    expected = [a - begins[begins <= a].max() if b > a else 0 for a, b in pairwise(ends)]
    assert [start for start, (a, b) in zip(starts[:, 0].tolist(), pairwise(ends), strict=True) if b > a] == [
        start for start, (a, b) in zip(expected, pairwise(ends), strict=True) if b > a
    ]
    assert starts.shape == (len(chunks), 2)


def test_a_gap_between_the_first_time_and_the_last():
    """Their difference is no 64-bit number."""
    times = pa.array([-(2**63), -(2**63) + 5, 2**63 - 1, 2**63 - 1], pa.timestamp("us"))
    rows = pa.table({"row_number": [0, 1, 2, 3], "id": ["a"] * 4, "t": times})
    assert JobOrder(("id",), "t", 10).borders(rows).tolist() == [2]
    rows = rows.append_column("other", pa.array(["b", "a", "a", "a"]))
    assert JobOrder(("other",), "t", 10**6).borders(rows.take([1, 2, 0])).tolist() == [1, 2]


EXTREMES = st.one_of(st.integers(-3, 3), st.sampled_from([-(2**63), 2**63 - 1]))


@given(st.lists(st.tuples(EXTREMES, EXTREMES), max_size=20))
def test_in_order_of_columns_is_a_lexsort(pairs):
    columns = [np.array([pair[i] for pair in pairs], np.int64) for i in range(2)] + [np.arange(len(pairs))[::-1]]
    assert in_order_of(columns).tolist() == np.lexsort(columns[::-1]).tolist()


def test_in_order_of_columns_of_too_many_ranks_to_put_together():
    rng = np.random.default_rng(0)
    columns = [rng.permutation(2**16) % 2**14 for _ in range(5)] + [rng.permutation(2**16)]
    assert in_order_of(columns).tolist() == np.lexsort(columns[::-1]).tolist()


def test_times_further_apart_than_the_largest_time_are_a_gap():
    times = pa.array([-(2**63) + 1, -(2**63) + 5, 2**63 - 1], pa.timestamp("us"))
    rows = pa.table({"row_number": [0, 1, 2], "t": times})
    assert JobOrder(time="t", max_gap=10).borders(rows).tolist() == [2]


@pytest.mark.parametrize("entity", ["id", ("id", "site"), ()], ids=str)
@pytest.mark.parametrize(
    ("time", "gap"), [("t", timedelta(days=400, seconds=1.5)), ("t", None), (None, timedelta(1))], ids=str
)
def test_the_order_of_a_result_is_that_of_its_job(entity, time, gap):
    spec = PipelineSpec(ParquetSourceSpec("t"), ColumnSpec(time=time, entity=entity), windows=WindowSpec(max_gap=gap))
    schema = pa.schema({"t": pa.timestamp("ms"), "id": pa.string(), "site": pa.int64()})
    assert JobOrder.of_published(spec.to_json(), schema) == job_order(spec, schema)
