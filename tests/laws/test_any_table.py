"""Any table: a job over columns of every type and odd values ends in a correct result or in an error that says why."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.errors import EmberharmonyError
from emberharmony.report.plan_report import plan_report
from flows.config.job import parse_job
from tests.jobs import run_small

N_ROWS = 60
INT64 = st.sampled_from([-(2**63), -(2**63) + 1, -1, 0, 1, 2**53 + 1, 2**63 - 2, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
TEXTS = st.sampled_from(["", "a", "A", "é", "日本", "a b", "a\x00b", "None", "null", "x" * 5_000, "1", "-0"])
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 3.5e38, -1.7e308, 2.0**63])
DECIMALS = {"allow_nan": False, "allow_infinity": False}


def ints(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([low, high, 0, 1]) | st.integers(low, high)


def decimals(precision: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    return st.integers(-(10**precision) + 1, 10**precision - 1).map(lambda n: decimal.Decimal(n).scaleb(-scale, _WIDE))


_WIDE = decimal.Context(prec=80)
TIMES = [pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in (None, "UTC", "America/New_York", "+05:30")]
NUMBERS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    **{type_: ints(type_.bit_width) for type_ in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{type_: ints(type_.bit_width, signed=False) for type_ in (pa.uint8(), pa.uint32(), pa.uint64())},
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): FLOATS,
    pa.bool_(): st.booleans(),
    **{type_(p, s): decimals(p, s) for type_, p, s in ((pa.decimal32, 9, 4), (pa.decimal64, 18, 0), (pa.decimal128, 38, 9))},
    pa.decimal256(76, 38): decimals(76, 38),
}
SCALARS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    **NUMBERS,
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.string_view(): TEXTS,
    pa.binary(): st.binary(max_size=3),
    pa.binary_view(): st.binary(max_size=3),
    pa.binary(2): st.binary(min_size=2, max_size=2),
    **dict.fromkeys(TIMES, INT64),
    pa.date32(): ints(32),
    pa.time32("ms"): st.integers(0, 86_399_999),
    pa.time64("ns"): st.integers(0, 86_399_999_999_999),
    pa.duration("us"): INT64,
    pa.null(): st.none(),
}


def array(type_: pa.DataType, values: list[Any]) -> pa.Array:
    """Return integers for values that Python cannot hold: times before year 1 and after year 9999."""
    if pa.types.is_temporal(type_):
        return pa.array(values, pa.int32() if type_.bit_width == 32 else pa.int64()).cast(type_)
    return pa.array(values, type_)


@st.composite
def odd_columns(draw: st.DrawFn) -> pa.Array:
    type_ = draw(st.sampled_from(list(SCALARS)))
    few = draw(st.lists(SCALARS[type_] | st.none() if draw(st.booleans()) else SCALARS[type_], min_size=1, max_size=8))
    values = array(type_, few)
    rows = pa.array(np.random.default_rng(draw(st.integers(0, 9))).integers(0, len(few), N_ROWS))
    shape = draw(st.sampled_from(["plain"] * 4 + ["dictionary", "list", "fixed list", "struct", "map", "extension"]))
    column = pa.array([None] * N_ROWS) if pa.types.is_null(type_) else _taken(values, rows)
    offsets = pa.array(range(N_ROWS + 1), pa.int32())
    match shape:
        case "dictionary" if not pa.types.is_null(type_):
            return pa.DictionaryArray.from_arrays(rows.cast(pa.int32()), values)
        case "list":
            return pa.ListArray.from_arrays(offsets, column)
        case "fixed list":
            return pa.FixedSizeListArray.from_arrays(column, 1)
        case "struct":
            return pa.StructArray.from_arrays([column, column], ["a", "b"])
        case "map":
            return pa.MapArray.from_arrays(offsets, pa.array(["k"] * N_ROWS), column)
        case "extension" if pa.types.is_string(type_):
            return pa.ExtensionArray.from_storage(pa.json_(), column)
        case "extension":
            return pa.ExtensionArray.from_storage(pa.opaque(column.type, "other", "here"), column)
    return column


def _taken(values: pa.Array, rows: pa.Array) -> pa.Array:
    """Take rows through a layout that Arrow's `take` supports."""
    wide = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}.get(values.type, values.type)
    return values.cast(wide).take(rows).cast(values.type)


@st.composite
def odd_jobs(draw: st.DrawFn) -> tuple[pa.Table, dict[str, Any], dict[str, Any]]:
    """A table, how it is written, and a job that gives its columns arbitrary roles."""
    names = [f"c{i}" for i in range(draw(st.integers(1, 3)))]
    table = pa.table(
        {
            "t": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(N_ROWS)]),
            **{name: draw(odd_columns()) for name in names},
            "x": np.arange(N_ROWS) % 7,
        }
    )
    role = draw(st.sampled_from(["feature", "time", "target", "passthrough", "categorical", "key"]))
    written = {
        "row_group_size": draw(st.sampled_from([7, 30, N_ROWS])),
        "use_dictionary": draw(st.booleans()),
        "write_statistics": draw(st.booleans()),
        "write_page_checksum": draw(st.booleans()),
        "use_deprecated_int96_timestamps": draw(st.booleans()),
    }
    columns: dict[str, Any] = {"time": "t", "null_time": "drop"}
    job: dict[str, Any] = {"windows": {"size": 3, "strides": draw(st.sampled_from([[], [1, 2]]))}}
    match role:
        case "time":
            columns["time"] = "c0"
        case "target":
            columns["target"] = "c0"
        case "passthrough" | "categorical":
            columns[role] = names
        case "key":
            columns = {"drop": ["t"]}
            job |= {"split": {"method": "hash", "keys": names}, "windows": {"strides": []}}
    job |= {"columns": columns, "numbers": {"scale": draw(st.sampled_from(["numeric", "all"]))}}
    job |= {"datetime": {"time_zone": draw(st.sampled_from(["UTC", "Asia/Kathmandu"])), "epoch": draw(st.booleans())}}
    return table, written, job | {"runtime": {"chunk_rows": draw(st.sampled_from([20, N_ROWS]))}}


@given(odd=odd_jobs())
@settings(max_examples=40)
def test_a_correct_result_or_an_error_that_says_why(tmp_path: Path, odd: tuple[pa.Table, dict[str, Any], dict[str, Any]]):
    table, written, job = odd
    source, sink = tmp_path / "t.parquet", tmp_path / "out"
    try:
        pq.write_table(table, source, **written)
    except (pa.ArrowException, OSError):  # Parquet cannot store this table
        return
    try:
        plan_report(parse_job({"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "planned")}} | job))
        published = run_small(source, sink, **job)
    except EmberharmonyError as refused:
        assert len(str(refused)) < 1_000  # noqa: PT017 - a refusal is one of two correct outcomes
        return
    manifest = published.manifest
    assert sum(manifest["rows"].values()) + manifest["left_out"] + manifest["null_times"] == N_ROWS
    numbers = sorted(n for part in published.features.values() for n in part["row_number"].to_pylist())
    assert len(set(numbers)) == len(numbers) == sum(manifest["rows"].values())
    for tables in (published.features, *published.windows.values()):
        for part in tables.values():
            for name in part.column_names:
                if pa.types.is_float32(part.schema.field(name).type) and name not in table.column_names:
                    assert np.isfinite(part[name].to_numpy()).all(), name
    for name in {*job["columns"].get("passthrough", []), job["columns"].get("target")} - {None}:
        for part in published.features.values():
            if part.num_rows:
                rows = table[name].take(part["row_number"]) if _can_be_taken(table[name].type) else None
                assert rows is None or part[name].cast(rows.type).equals(rows), name


def _can_be_taken(type_: pa.DataType) -> bool:
    return pa.types.is_primitive(type_) and not pa.types.is_floating(type_) and not pa.types.is_temporal(type_)


@pytest.mark.parametrize("bad", ["not Parquet", "", "PAR1", "PAR1" + "\x00" * 8 + "PAR1", "PARE" + "x" * 40 + "PARE"])
def test_files_that_are_no_parquet(tmp_path: Path, bad: str):
    (tmp_path / "t.parquet").write_bytes(bad.encode("latin-1"))
    with pytest.raises(EmberharmonyError, match=r"t\.parquet"):
        run_small(tmp_path / "t.parquet", tmp_path / "out", columns={})
