"""Files that differ are one table if no value changes its meaning, and refused by name otherwise; nested columns are flat."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.planning.chunks import Chunk, cut_rows

N = 6
WORDS = ["a", "b", None, "ä", "a", "b"]
HOURS = pd.date_range("2024", periods=N, freq="h").to_pydatetime().tolist()


def written(folder, *tables, **options):
    folder.mkdir(exist_ok=True)
    for i, table in enumerate(tables):
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=4, **options)
    return ParquetSource(ParquetSourceSpec(str(folder)))


def rows_of(source, names=None, time=None, chunk_rows=5):
    info = source.describe()
    chunks = cut_rows(source.row_groups(None), chunk_rows)
    names = info.schema.names if names is None else names
    table = pa.concat_tables([source.read(chunk, names, time=time) for chunk in chunks])
    assert table.schema.types[1:] == [info.schema.field(name).type for name in names]
    assert table["row_number"].to_pylist() == list(range(info.n_rows))
    return table.drop_columns("row_number")


def codes(values, type_):
    return pa.array(values).dictionary_encode().cast(pa.dictionary(type_, pa.string()))


PAIRS = {
    "null": (pa.nulls(N), pa.array(WORDS), pa.string()),
    "null and categories": (pa.nulls(N), codes(WORDS, pa.int8()), pa.dictionary(pa.int8(), pa.string())),
    "string and large": (pa.array(WORDS), pa.array(WORDS, pa.large_string()), pa.large_string()),
    "string and view": (pa.array(WORDS), pa.array(WORDS, pa.string_view()), pa.large_string()),
    "string and dictionary": (pa.array(WORDS), codes(WORDS, pa.int16()), pa.dictionary(pa.int32(), pa.large_string())),
    "widths of codes": (codes(WORDS, pa.int8()), codes(WORDS, pa.int16()), pa.dictionary(pa.int32(), pa.string())),
    "string and bytes": (pa.array(WORDS), pa.array(WORDS).cast(pa.binary()), pa.large_string()),
    "integers": (pa.array(range(N), pa.int8()), pa.array(range(N), pa.uint16()), pa.int32()),
    "whole numbers and floats": (pa.array(range(N)), pa.array([1.5, None, float("nan"), 2, 3, 4]), pa.float64()),
    "float widths": (pa.array([1.5] * N, pa.float32()), pa.array([0.1] * N), pa.float64()),
    "units": (pa.array(HOURS, pa.timestamp("ms")), pa.array(HOURS, pa.timestamp("ns")), pa.timestamp("ns")),
    "zones": (
        pa.array(HOURS, pa.timestamp("us", "UTC")),
        pa.array(HOURS, pa.timestamp("us", "+00:00")),
        pa.timestamp("us", "UTC"),
    ),
    "times of day": (
        pa.array(range(N), pa.int32()).cast(pa.time32("ms")),
        pa.array(range(N), pa.time64("us")),
        pa.time64("us"),
    ),
    "durations": (pa.array(range(N), pa.duration("s")), pa.array(range(N), pa.duration("us")), pa.duration("us")),
    "decimals": (pa.array(range(N)).cast(pa.decimal128(21, 2)), pa.array(range(N), pa.int64()), pa.decimal128(22, 2)),
    "lists": (pa.array([[1]] * N), pa.array([[1.5]] * N), pa.large_list(pa.float64())),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_values_of_files_that_differ_in_type(tmp_path, pair, turned):
    first, second, type_ = PAIRS[pair]
    columns = [second, first] if turned else [first, second]
    source = written(tmp_path / "t", *(pa.table({"c": column, "x": range(N)}) for column in columns))
    if not (pa.types.is_dictionary(type_) and turned):
        assert source.describe().schema.field("c").type.id == type_.id
    got = rows_of(source)
    expected = [value for column in columns for value in column.to_pylist()]
    if pair == "string and bytes":
        expected = [value.decode() if isinstance(value, bytes) else value for value in expected]
    np.testing.assert_equal(got["c"].to_pylist(), expected)
    assert got["x"].to_pylist() == [*range(N), *range(N)]


REFUSED = {
    "text and numbers": (pa.array(WORDS), pa.array(range(N)), "string", "int64"),
    "zones": (pa.array(HOURS, pa.timestamp("us")), pa.array(HOURS, pa.timestamp("us", "UTC")), r"timestamp\[us\]", "tz=UTC"),
    "other clocks": (
        pa.array(HOURS, pa.timestamp("us", "Europe/Paris")),
        pa.array(HOURS, pa.timestamp("us", "UTC")),
        "tz=Europe/Paris",
        "tz=UTC",
    ),
    "flags and numbers": (pa.array([True] * N), pa.array(range(N)), "bool", "int64"),
    "struct and number": (pa.array([{"a": 1}] * N), pa.array(range(N)), "struct", "int64"),
    "sizes of lists": (
        pa.array([[1, 2]] * N, pa.list_(pa.int8(), 2)),
        pa.array([[1]] * N, pa.list_(pa.int8(), 1)),
        r"\[2\]",
        r"\[1\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_names_column_types_and_files(tmp_path, case):
    first, second, *types = REFUSED[case]
    source = written(tmp_path / "t", pa.table({"c": first, "x": range(N)}), pa.table({"c": second, "x": range(N)}))
    refused = source.describe().unreadable
    assert refused
    for name, why in refused.items():
        assert name.startswith("c")
        assert f"Column {name!r} is" in why
        for place in (r"0\.parquet", r"1\.parquet", *types):
            assert re.search(place, why), why
        with pytest.raises(DataError, match=name):
            rows_of(source, [name])
    assert rows_of(source, ["x"])["x"].to_pylist() == [*range(N), *range(N)]


@pytest.mark.parametrize(
    ("values", "other", "said"),
    [
        (pa.array([2**53 + 1]), pa.array([0.5]), "9007199254740993"),
        (pa.array([2**63], pa.uint64()), pa.array([1]), "9223372036854775808"),
        (pa.array([2**62], pa.timestamp("us")), pa.array([0], pa.timestamp("ns")), r"timestamp\[us\].*timestamp\[ns\]"),
        (pa.array([2**62], pa.duration("us")), pa.array([0], pa.duration("ns")), "out of bounds"),
    ],
    ids=["2**53", "uint64", "time", "duration"],
)
def test_values_that_the_other_files_type_cannot_hold(tmp_path, values, other, said):
    source = written(tmp_path / "t", pa.table({"c": values}), pa.table({"c": other}))
    with pytest.raises(DataError, match=rf"Column 'c' is .* in .*0\.parquet and .* in .*1\.parquet.*{said}"):
        rows_of(source)


def test_bytes_that_are_no_text_in_a_column_of_texts(tmp_path):
    source = written(tmp_path / "t", pa.table({"c": ["a"]}), pa.table({"c": [b"\xff"]}))
    with pytest.raises(DataError, match=r"Column 'c' of .*1\.parquet holds a string that is not UTF-8: b'\\xff'"):
        rows_of(source)


def test_missing_columns(tmp_path):
    folder = tmp_path / "t"
    source = written(folder, pa.table({"x": range(N), "s": WORDS}), pa.table({"y": range(N), "x": range(N)}))
    why = source.describe().unreadable
    assert why.keys() == {"s", "y"}
    assert "Set `source.missing_columns: null`" in why["s"]
    assert "is missing in" not in why["s"]
    with pytest.raises(DataError, match=r"Column 's' is string in .*0\.parquet and missing in .*1\.parquet"):
        rows_of(source)
    source = ParquetSource(ParquetSourceSpec(str(folder), missing_columns=None))
    got = rows_of(source)
    assert got.column_names == ["x", "s", "y"]
    assert got["s"].to_pylist() == [*WORDS, *[None] * N]
    assert got["y"].to_pylist() == [*[None] * N, *range(N)]
    assert not source.is_all_null("y")
    only = ParquetSource(ParquetSourceSpec(str(folder), columns=("x",)))
    assert (only.describe().unreadable, rows_of(only).column_names) == ({}, ["x"])


def test_files_without_rows_do_not_count(tmp_path):
    """Of a frame without rows, pandas makes columns of the types null, double or none at all."""
    empty = [
        pa.table({"x": pa.array([], pa.string())}),
        pa.table({}),
        pa.table({"x": pa.array([], pa.int8()), "y": pa.nulls(0)}),
    ]
    source = written(tmp_path / "t", empty[0], pa.table({"x": range(N)}), *empty[1:])
    assert source.describe().unreadable == {}
    assert source.describe().schema == pa.schema({"x": pa.int64()})
    assert rows_of(source)["x"].to_pylist() == list(range(N))
    assert written(tmp_path / "e", *empty[2:]).describe().schema == empty[2].schema


def test_the_time_of_files_that_differ_in_unit(tmp_path):
    """Footers hold ticks of the file's own unit, days if the column is one of dates."""
    first = pa.table({"t": pa.array(HOURS, pa.timestamp("ms", "UTC"))})
    second = pa.table({"t": pa.array([hour + dt.timedelta(days=1) for hour in HOURS], pa.timestamp("ns", "+00:00"))})
    for statistics in (True, False):
        source = written(tmp_path / "t", first, second, write_statistics=statistics)
        span = source.time_range("t")
        ticks = pd.DatetimeIndex([HOURS[0], HOURS[-1] + dt.timedelta(days=1)]).as_unit("ns").asi8
        assert [span.first, span.last] == ticks.tolist()
        (found,) = source.times_between("t", [(ticks[0], ticks[0] + 3 * 3600 * 10**9)])
        assert len(found) == 3
        assert source.is_sorted_within("t", 1)


def test_missing_times(tmp_path):
    folder = tmp_path / "t"
    written(folder, pa.table({"x": [1, 2], "t": HOURS[:2]}), pa.table({"x": [3]}))
    source = ParquetSource(ParquetSourceSpec(str(folder), missing_columns=None))
    span = source.time_range("t")
    assert (span.n_null, source.row_groups("t")) == (1, None)


# ---- nested columns -----------------------------------------------------------------------------------------------------


def nested_table(n_rows=50, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        None
        if rng.random() < 0.2
        else {
            "lat": float(rng.normal()),
            "name": None if rng.random() < 0.3 else f"v{rng.integers(5)}",
            "deep": None if rng.random() < 0.3 else {"n": int(rng.integers(9)), "v": [float(v) for v in rng.normal(size=2)]},
        }
        for _ in range(n_rows)
    ]
    deep = pa.struct({"n": pa.int32(), "v": pa.list_(pa.float32(), 2)})
    type_ = pa.struct({"lat": pa.float64(), "name": pa.dictionary(pa.int8(), pa.string()), "deep": deep})
    vectors = [None if rng.random() < 0.2 else [int(v) if v else None for v in rng.integers(0, 4, 3)] for _ in range(n_rows)]
    table = pa.table({"x": range(n_rows), "g": pa.array(rows, type_), "e": pa.array(vectors, pa.list_(pa.int16(), 3))})
    return table.append_column("tags", pa.array([["a"]] * n_rows))


def flattened(table):
    """An independent reference, row by row."""

    def at(value, path):
        for step in path:
            value = None if value is None else value[step]
        return value

    paths = {"x": ["x"], "g_lat": ["g", "lat"], "g_name": ["g", "name"], "g_deep_n": ["g", "deep", "n"]}
    paths |= {f"g_deep_v_{i}": ["g", "deep", "v", i] for i in range(2)} | {f"e_{i}": ["e", i] for i in range(3)}
    return {name: [at(row, path) for row in table.to_pylist()] for name, path in (paths | {"tags": ["tags"]}).items()}


@pytest.mark.parametrize("chunk_rows", [7, 100])
def test_structs_and_vectors_are_columns(tmp_path, chunk_rows):
    table = nested_table()
    source = written(tmp_path / "t", table.slice(0, 23), table.slice(23))
    assert rows_of(source, chunk_rows=chunk_rows).to_pydict() == flattened(table)
    for name in ("g_deep_v_1", "e_2", "g_name"):
        assert rows_of(source, [name]).to_pydict() == {name: flattened(table)[name]}
    assert source.describe().bytes_per_row["g_name"] > 8


def test_only_the_leaves_that_are_needed_are_read(tmp_path):
    """A column chunk that is damaged does not matter if its leaf is not read."""
    table = nested_table()
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, compression="none", write_page_checksum=True)
    group = pq.read_metadata(path).row_group(0)
    chunk = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "g.lat")
    content = bytearray(path.read_bytes())
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    content[begin : begin + chunk.total_compressed_size] = b"\x55" * chunk.total_compressed_size
    path.write_bytes(bytes(content))
    source = ParquetSource(ParquetSourceSpec(str(path)))
    assert rows_of(source, ["g_deep_n", "g_name"]).to_pydict() == {n: flattened(table)[n] for n in ("g_deep_n", "g_name")}
    with pytest.raises(DataError, match="column 'g_lat'"):
        rows_of(source, ["g_lat"])


def test_vectors_are_read_in_batches_of_bounded_memory(tmp_path, monkeypatch):
    for limit in ("table._VECTOR_BATCH_BYTES", "table._MIN_VECTOR_ROWS", "read._MIN_BATCH_ROWS", "read._JOINED_BYTES"):
        monkeypatch.setattr(f"emberharmony.io.sources.parquet.{limit}", 3)
    table = nested_table()
    pq.write_table(table, tmp_path / "t.parquet")
    source = ParquetSource(ParquetSourceSpec(str(tmp_path / "t.parquet")))
    whole = source.read(Chunk(0, 0, 50), ["e_1", "x"], time=None)
    assert whole["e_1"].num_chunks > 10
    assert whole["e_1"].to_pylist() == flattened(table)["e_1"]


def test_fields_that_a_file_has_no_value_for(tmp_path):
    """Arrow infers the fields of a struct from the rows at hand."""
    rows = [[{"a": 1}], [{"a": 2, "b": {"c": "x"}}], [None]]
    source = written(tmp_path / "t", *(pa.table({"g": pa.array(r), "x": [1]}) for r in rows))
    assert source.describe().unreadable == {}
    assert rows_of(source, ["g_a", "g_b_c"]).to_pydict() == {"g_a": [1, 2, None], "g_b_c": [None, "x", None]}


@pytest.mark.parametrize("chunk_rows", [3, 100])
def test_rows_without_a_column_have_numbers(tmp_path, chunk_rows):
    source = written(tmp_path / "t", nested_table())
    assert rows_of(source, [], chunk_rows=chunk_rows).column_names == []
    chunks = cut_rows(source.row_groups(None), chunk_rows)
    assert sum(source.read(chunk, [], time=None).num_rows for chunk in chunks) == 50


def test_names_with_dots(tmp_path):
    """A path of names with dots may be that of another column, too."""
    table = pa.table({"g": pa.array([{"a.b": 1, "a": {"b": 2, "c": 3}}]), "g.a": pa.array([{"b": 4}]), "g.a.c": [5]})
    expected = {"g_a.b": [1], "g_a_b": [2], "g_a_c": [3], "g.a_b": [4], "g.a.c": [5]}
    source = written(tmp_path / "t", table)
    assert rows_of(source).to_pydict() == expected
    for name, values in expected.items():
        assert rows_of(source, [name]).to_pydict() == {name: values}


def test_names_that_clash(tmp_path):
    table = pa.table({"g": [{"a": 1, "b": 2}], "g_a": [7], "x": [1]})
    source = written(tmp_path / "t", table)
    why = source.describe().unreadable
    assert why.keys() == {"g_a"}
    assert "'g.a' and 'g_a' are both called 'g_a'" in why["g_a"]
    with pytest.raises(DataError, match="are both called"):
        rows_of(source)
    assert rows_of(source, ["g_b"])["g_b"].to_pylist() == [2]
    folder = str(tmp_path / "t")
    assert rows_of(ParquetSource(ParquetSourceSpec(folder, columns=("x", "g")))).to_pydict() == {
        "g_a": [1],
        "g_b": [2],
        "x": [1],
    }
    assert rows_of(ParquetSource(ParquetSourceSpec(folder, columns=("g_b",)))).column_names == ["g_b"]


def test_statistics_of_a_time_in_a_struct(tmp_path):
    table = pa.table({"m": pa.array([{"x": i, "t": hour} for i, hour in enumerate(HOURS)])})
    source = written(tmp_path / "t", table)
    assert source.row_groups("m_t").tolist() == [4, 2]
    assert source.time_range("m_t").first == pa.scalar(HOURS[0], table["m"].type.field("t").type).value
    assert source.is_all_null("m_t") is source.is_all_null("m_x") is False
    nulls = written(
        tmp_path / "n",
        pa.table({"m": pa.array([None, {"x": None, "v": [None]}], pa.struct({"x": pa.int8(), "v": pa.list_(pa.int8(), 1)}))}),
    )
    assert nulls.is_all_null("m_x") is nulls.is_all_null("m_v_0") is True


def test_json_is_no_category(tmp_path):
    table = pa.table({"j": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["[1]"])), "s": ["[1]"]})
    schema = written(tmp_path / "t", table).describe().schema
    assert (schema.field("j").metadata, schema.field("s").metadata) == ({b"emberharmony.opaque": b"JSON"}, None)


def test_the_identity_of_a_plain_table_names_its_columns(tmp_path):
    source = written(tmp_path / "t", pa.table({"x": range(N), "s": WORDS}), pa.table({"x": range(N), "s": WORDS}))
    assert source.describe().identity["columns"] == ["x", "s"]
