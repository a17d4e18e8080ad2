"""Parquet files as they are decoded: types, values and texts that are as the writer meant them, or refused by name."""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from emberharmony.errors import DataError
from emberharmony.features.kinds.registry import kind_of
from emberharmony.io.sources.parquet.decoding import open_parquet
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.planning.chunks import cut_rows


def source(path):
    return ParquetSource(ParquetSourceSpec(str(path)))


def rows_of(path, *, chunk_rows=10**9):
    reader = source(path)
    names, chunks = reader.describe().schema.names, cut_rows(reader.row_groups(None), chunk_rows)
    return pa.concat_tables([reader.read(chunk, names, time=None) for chunk in chunks]).drop_columns("row_number")


@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("chunk_rows", [10**9, 16_384])
def test_int96_beyond_nanoseconds(tmp_path, unit, chunk_rows):
    """Spark's year 9999 for "forever" is after 2262, where nanoseconds end."""
    times = [dt.datetime.fromisoformat("2024-01-01 00:00:00.000001"), None]
    times += (
        [dt.datetime.fromisoformat("9999-12-31 23:00:00"), dt.datetime.fromisoformat("0001-01-01 00:00:00")]
        if unit == "us"
        else []
    )
    table = pa.table({"t": pa.array(times * 10_000, pa.timestamp(unit))})
    pq.write_table(table, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    assert source(tmp_path / "t.parquet").describe().schema.field("t").type == pa.timestamp("us")
    assert rows_of(tmp_path / "t.parquet", chunk_rows=chunk_rows)["t"].to_pylist() == times * 10_000


class _Kms(pe.KmsClient):
    def __init__(self, config):
        super().__init__()

    def wrap_key(self, key, name):
        return key

    def unwrap_key(self, key, name):
        return key


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_encrypted_files(tmp_path, plaintext_footer):
    """Arrow throws through C++ where an encrypted column's metadata is looked at, which ends the process."""
    factory = pe.CryptoFactory(_Kms)
    keys = {"column_keys": {"k": ["secret"]}, "plaintext_footer": plaintext_footer, "double_wrapping": False}
    properties = factory.file_encryption_properties(
        pe.KmsConnectionConfig(), pe.EncryptionConfiguration(footer_key="f", **keys)
    )
    table = pa.table({"x": [1.0], "secret": [2.0]})
    with pq.ParquetWriter(tmp_path / "t.parquet", table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=r"t\.parquet is encrypted"):
        source(tmp_path / "t.parquet").describe()


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_texts_that_are_not_utf8(tmp_path, type_):
    texts = pa.array([b"tea", b"caf\xe9"] * 5).view(pa.string())
    texts = texts.dictionary_encode() if pa.types.is_dictionary(type_) else texts.cast(type_)
    pq.write_table(pa.table({"x": range(10), "s": texts}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"Column 's' of .*t\.parquet holds a string that is not UTF-8: b'caf\\xe9'"):
        rows_of(tmp_path / "t.parquet")


def test_views_and_extension_types(tmp_path):
    columns = {
        "s": pa.array(["b", None], pa.string_view()),
        "b": pa.array([b"b", None], pa.binary_view()),
        "j": pa.array(["[1]", None], pa.json_()),
        "l": pa.array([["x"], None], pa.list_(pa.string_view())),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    schema = source(tmp_path / "t.parquet").describe().schema
    assert [str(field.type) for field in schema] == ["large_string", "large_binary", "string", "list<element: large_string>"]
    rows = rows_of(tmp_path / "t.parquet")
    assert rows.schema == schema
    assert rows.filter(pa.array([False, True])).to_pylist() == [{"s": None, "b": None, "j": None, "l": None}]


@pytest.mark.parametrize("values", [[3, 1, 3], [0.5, 2.5, 0.5]])
def test_a_categorical_of_numbers_stays_one(tmp_path, values):
    """Arrow restores a dictionary of texts from the file, and of numbers only the numbers."""
    pd.DataFrame({"c": pd.Categorical(values), "x": values}).to_parquet(tmp_path / "t.parquet")
    schema = source(tmp_path / "t.parquet").describe().schema
    assert [kind_of(field.type) for field in schema] == ["categorical", "numeric"]
    rows = rows_of(tmp_path / "t.parquet")
    assert rows.schema == schema
    assert rows["c"].to_pylist() == values


def test_a_categorical_of_numbers_in_one_of_two_files(tmp_path):
    (tmp_path / "t").mkdir()
    pd.DataFrame({"c": [1, 2]}).to_parquet(tmp_path / "t" / "0.parquet")
    pd.DataFrame({"c": pd.Categorical([2, 3])}).to_parquet(tmp_path / "t" / "1.parquet")
    rows = rows_of(tmp_path / "t")
    assert kind_of(rows["c"].type) == "categorical"
    assert rows["c"].to_pylist() == [1, 2, 2, 3]


@pytest.mark.parametrize("chunk_rows", [10**9, 16_384])
def test_pages_whose_checksum_does_not_match(tmp_path, chunk_rows):
    table = pa.table({"a": np.arange(40_000), "x": np.arange(40_000.0)})
    pq.write_table(table, tmp_path / "t.parquet", use_dictionary=False, compression="none", write_page_checksum=True)
    raw = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(raw.replace(np.float64(10_000.0).tobytes(), np.float64(-1e6).tobytes()))
    with pytest.raises(DataError, match=r"t\.parquet .* row group 0, column 'x': .*CRC checksum"):
        rows_of(tmp_path / "t.parquet", chunk_rows=chunk_rows)


def test_a_name_with_a_dot_is_no_nested_column(tmp_path):
    columns = {"a": [{"b": 1, "c": "x"}] * 3, "a.b": [4.0, 5.0, 6.0], "t.x": pa.array([3, 1, 2], pa.timestamp("us"))}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    reader = source(tmp_path / "t.parquet")
    assert reader.describe().bytes_per_row["a.b"] >= 8
    assert (reader.time_range("t.x").first, reader.time_range("t.x").last) == (1, 3)
    assert not reader.is_all_null("a.b")
    assert rows_of(tmp_path / "t.parquet")["a.b"].to_pylist() == [4.0, 5.0, 6.0]


def test_a_file_without_a_row_can_be_opened():
    stream = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), stream)
    assert open_parquet(stream, pq.read_metadata(stream)).read().num_rows == 0
