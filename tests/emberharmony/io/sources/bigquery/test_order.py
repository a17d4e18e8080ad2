"""The order of rows depends on the rows alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.io.sources.bigquery.order import sort_rows

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 3)),
        st.one_of(st.none(), st.sampled_from(["a", "b", "B"])),
        st.one_of(st.none(), st.floats(-1, 1), st.just(float("nan"))),
        st.booleans(),
    ),
    max_size=30,
)


def table_of(rows) -> pa.Table:
    t, text, x, flag = zip(*rows, strict=True) if rows else ((), (), (), ())
    nested = [{"inner": {"flag": value}} for value in flag]
    return pa.table(
        {
            "s": pa.array(text, pa.string()).dictionary_encode(),
            "t": pa.array(t, pa.int64()),
            "x.y": pa.array(x, pa.float64()),
            "nested": pa.array(nested, pa.struct([("inner", pa.struct([("flag", pa.bool_())]))])),
        }
    )


@given(ROWS, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_rows(rows, random):
    table = table_of(rows)
    places = list(range(len(rows)))
    random.shuffle(places)
    shuffled = table.take(pa.array(places, pa.int64()))
    cut = random.randint(0, len(rows))
    pieces = pa.concat_tables([shuffled.slice(0, cut), shuffled.slice(cut)])
    ours, theirs = (sort_rows(each, by="t") for each in (table, pieces))
    assert str(ours.to_pylist()) == str(theirs.to_pylist())  # str: NaN is not equal to itself


@given(ROWS)
def test_it_is_the_order_of_the_key(rows):
    found = sort_rows(table_of(rows), by="t")["t"].to_pylist()
    present = [value for value in found if value is not None]
    assert present == sorted(present)
    assert found[: len(present)] == present


def test_chunks_of_ranges_are_pieces_of_the_whole():
    rng = np.random.default_rng(1)
    table = pa.table({"t": rng.integers(0, 50, 5_000), "a": rng.integers(0, 3, 5_000), "b": rng.normal(size=5_000).round(1)})
    whole = sort_rows(table, by="t")
    parts = [sort_rows(table.filter(pa.compute.equal(pa.compute.divide(table["t"], 10), k)), by="t") for k in range(5)]
    assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())
