"""Widths of columns in memory, by what metadata and dictionaries tell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.io.sources.parquet import widths as module
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec

N_ROWS, GROUP_ROWS = 100_000, 10_000


def planned(path):
    return ParquetSource(ParquetSourceSpec(str(path))).describe().bytes_per_row


def decoded(path):
    """Bytes per row of the row group that takes the most."""
    with pq.ParquetFile(path) as parquet:
        tables = [parquet.read_row_group(i) for i in range(parquet.num_row_groups)]
    return {name: max(table[name].nbytes / GROUP_ROWS for table in tables) for name in tables[0].column_names}


@pytest.mark.parametrize("use_dictionary", [True, False], ids=["dictionary", "plain"])
@pytest.mark.parametrize(
    "stored", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_long_texts_where_nobody_looks(tmp_path, use_dictionary, stored):
    """Not among the first rows, nor in the row groups that are sampled."""
    rng = np.random.default_rng(0)
    values = np.array(["a", "bb"] + [f"{i:0400d}" for i in range(20)], object)
    codes = np.where((np.arange(N_ROWS) // GROUP_ROWS) == 7, rng.integers(2, 22, N_ROWS), rng.integers(0, 2, N_ROWS))
    texts = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(values))
    values = texts if pa.types.is_dictionary(stored) else texts.cast(pa.string()).cast(stored)
    table = pa.table({"s": values, "g": pa.StructArray.from_arrays([pa.array(codes), values], ["n", "s"]), "x": codes})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=GROUP_ROWS, use_dictionary=use_dictionary)
    found = planned(tmp_path / "t.parquet")
    assert 400 <= found["s"] < 900
    assert 400 <= found["g_s"] < 900
    assert found["x"] == found["g_n"] == 8


def test_images_are_not_decoded_to_be_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_batches", lambda *_args, **_options: pytest.fail("decoded"))
    pq.write_table(pa.table({"image": [b"x" * 5_000 + b"%d" % i for i in range(300)]}), tmp_path / "t.parquet")
    assert planned(tmp_path / "t.parquet")["image"] > 5_000


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_texts_count_as_often_as_they_occur(tmp_path, share):
    """One long category among many short ones is in the dictionary as well, and takes almost nothing."""
    rng = np.random.default_rng(0)
    texts = pa.array(["short", "x" * 2000]).take(pa.array(rng.random(N_ROWS) < share, pa.bool_()).cast(pa.int8()))
    pq.write_table(pa.table({"s": texts}), tmp_path / "t.parquet", row_group_size=GROUP_ROWS)
    assert planned(tmp_path / "t.parquet")["s"] == pytest.approx(1.5 * (2000 * share + 9), rel=0.4)


def test_texts_of_a_few_long_row_groups_are_measured_first(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_MEASURED", 1)
    lengths = np.repeat([100, 800, 300, 200], 5_000)
    texts = pa.array([f"{i % 3:0{n}d}" for i, n in enumerate(lengths)])
    pq.write_table(pa.table({"s": texts}), tmp_path / "t.parquet", row_group_size=5_000)
    assert planned(tmp_path / "t.parquet")["s"] > 1.5 * 800 * 5_000 / 8_192


def test_small_row_groups_count_together(tmp_path):
    """Of three rows, most of what a column chunk takes is its header."""
    pq.write_table(pa.table({"s": ["a", "b", "c"] * 300}), tmp_path / "t.parquet", row_group_size=3)
    assert planned(tmp_path / "t.parquet")["s"] < 120
    pq.write_table(pa.table({"s": ["a"] * 9_000 + ["x" * 4_000] * 3}), tmp_path / "u.parquet", row_group_size=9_000)
    assert planned(tmp_path / "u.parquet")["s"] < 30


def test_nested_columns_take_what_all_their_leaves_take(tmp_path):
    rows = [{"a": f"text {i}", "b": [i, i + 1], "c": {"d": float(i)}} for i in range(20_000)]
    table = pa.table({"n": pa.array(rows)})
    pq.write_table(table, tmp_path / "t.parquet", use_dictionary=False)
    assert sum(planned(tmp_path / "t.parquet").values()) > 0.8 * table.nbytes / len(rows)


def test_a_table_of_few_rows(tmp_path):
    pq.write_table(pa.table({"s": ["x" * 1_000] * 4}), tmp_path / "t.parquet")
    assert planned(tmp_path / "t.parquet")["s"] >= decoded(tmp_path / "t.parquet")["s"]
