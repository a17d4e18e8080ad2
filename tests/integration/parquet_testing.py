"""Files of Apache's parquet-testing, rebuilt by pyarrow under their names there, and damaged ones; each planned and run.

    python -m tests.integration.parquet_testing FOLDER

prints a line of JSON for every file: its name, and what came of it. A process of its own, since a C++ exception ends it.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from emberharmony.errors import EmberharmonyError
from emberharmony.pipeline.execute import run_job
from emberharmony.report.plan_report import plan_report
from flows.config.job import parse_job
from flows.engines.local import LocalEngine

N = 40
X = np.linspace(-1, 1, N)


def build(folder: Path) -> Iterator[Path]:
    """Write every file, and yield where it is."""
    for name, (table, options) in _tables().items():
        pq.write_table(table, folder / name, **options)
        yield folder / name
    yield from _encrypted(folder)
    yield from _damaged(folder)


def _tables() -> dict[str, tuple[pa.Table, dict[str, object]]]:
    x = pa.array(X)
    ints = pa.array(range(N))
    texts = pa.array([f"text {i % 5}" for i in range(N)])
    half = pa.array([None if i % 2 else i for i in range(N)])
    times = pa.array([1_230_768_000_000_000 + i * 10**9 for i in range(N)], pa.int64()).cast(pa.timestamp("us"))
    decimals = [Decimal(i) / 100 for i in range(N)]
    nested = [[[["a", "b"], ["c"]], [None, ["d"]]], [], None, [[["e"]]]] * (N // 4)
    maps = pa.array([[(str(i), i)] for i in range(N)], pa.map_(pa.string(), pa.int64()))
    structs = pa.array([{"a": i, "b": {"c": str(i), "d": [i]}} for i in range(N)])
    everything = pa.table(
        {
            "id": ints.cast(pa.int32()),
            "bool_col": pa.array([i % 2 == 0 for i in range(N)]),
            "tinyint_col": pa.array([i % 10 for i in range(N)], pa.int8()),
            "float_col": x.cast(pa.float32()),
            "double_col": x,
            "date_string_col": pa.array([b"03/01/09"] * N),
            "string_col": pa.array([str(i % 10).encode() for i in range(N)]),
            "timestamp_col": times,
        }
    )
    nan = pa.array([float("nan") if i % 3 == 0 else float(i) for i in range(N)])
    plain = {"use_dictionary": False, "compression": "none"}

    def encoded(encoding: str, column: pa.Array) -> tuple[pa.Table, dict[str, object]]:
        return pa.table({"v": column, "x": x}), plain | {"column_encoding": {"v": encoding, "x": "PLAIN"}}

    return {
        "alltypes_plain.parquet": (everything, {"use_deprecated_int96_timestamps": True}),
        "alltypes_plain.snappy.parquet": (everything, {"compression": "snappy"}),
        "alltypes_dictionary.parquet": (everything, {"use_dictionary": True}),
        "binary.parquet": (pa.table({"foo": pa.array([bytes([i]) for i in range(N)])}), {}),
        "byte_array_decimal.parquet": (pa.table({"value": pa.array(decimals, pa.decimal128(30, 2))}), {}),
        "byte_stream_split.zstd.parquet": encoded("BYTE_STREAM_SPLIT", x.cast(pa.float32())),
        "datapage_v2.snappy.parquet": (everything, {"data_page_version": "2.0", "compression": "snappy"}),
        "datapage_v1-snappy-compressed-checksum.parquet": (everything, {"write_page_checksum": True}),
        "delta_binary_packed.parquet": encoded("DELTA_BINARY_PACKED", ints),
        "delta_byte_array.parquet": encoded("DELTA_BYTE_ARRAY", texts),
        "delta_length_byte_array.parquet": encoded("DELTA_LENGTH_BYTE_ARRAY", texts),
        "rle_boolean_encoding.parquet": encoded("RLE", pa.array([i % 3 == 0 for i in range(N)])),
        "fixed_length_byte_array.parquet": (pa.table({"flba": pa.array([b"abcd"] * N, pa.binary(4)), "x": x}), {}),
        "fixed_length_decimal.parquet": (pa.table({"value": pa.array(decimals, pa.decimal256(60, 2)), "x": x}), {}),
        "float16_nonzeros_and_nans.parquet": (pa.table({"x": pa.array(X.astype(np.float16))}), {}),
        "float16_zeros_and_nans.parquet": (pa.table({"x": pa.array(np.array([0.0, -0.0, np.nan, 0.0] * 10, np.float16))}), {}),
        "int32_decimal.parquet": (
            pa.table({"value": pa.array(decimals, pa.decimal128(4, 2))}),
            {"store_decimal_as_integer": True},
        ),
        "int64_decimal.parquet": (
            pa.table({"value": pa.array(decimals, pa.decimal128(10, 2))}),
            {"store_decimal_as_integer": True},
        ),
        "int96_from_spark.parquet": (
            pa.table({"a": pa.array([-(2**53), 0, 2**53, None] * 10, pa.int64()).cast(pa.timestamp("us")), "x": x}),
            {"use_deprecated_int96_timestamps": True},
        ),
        "list_columns.parquet": (pa.table({"int64_list": pa.array([[1, 2], [], None, [3]] * 10), "utf8": texts}), {}),
        "lz4_raw_compressed.parquet": (everything, {"compression": "lz4"}),
        "large_string_map.brotli.parquet": (pa.table({"m": maps, "x": x}), {"compression": "brotli"}),
        "concatenated_gzip_members.parquet": (pa.table({"long_col": ints}), {"compression": "gzip"}),
        "map_no_value.parquet": (pa.table({"my_map": maps}), {}),
        "nested_lists.snappy.parquet": (pa.table({"a": pa.array(nested), "b": ints}), {}),
        "nested_structs.rust.parquet": (pa.table({"roll_num": structs, "x": x}), {}),
        "null_list.parquet": (pa.table({"emptylist": pa.array([[]] * N, pa.list_(pa.null()))}), {}),
        "nulls.snappy.parquet": (
            pa.table({"b_struct": pa.array([{"b_c_int": None}] * N, pa.struct([("b_c_int", pa.int32())]))}),
            {},
        ),
        "nullable.impala.parquet": (pa.table({"id": half, "nested": structs, "m": maps}), {"row_group_size": 7}),
        "overflow_i16_page_cnt.parquet": (
            pa.table({"inc": pa.array([True] * 2000)}),
            {"data_page_size": 1, "write_batch_size": 1},
        ),
        "single_nan.parquet": (pa.table({"mycol": pa.array([float("nan")] + [None] * (N - 1))}), {}),
        "nan_in_stats.parquet": (pa.table({"x": nan, "y": x}), {}),
        "sort_columns.parquet": (pa.table({"a": ints, "b": texts}), {"sorting_columns": [pq.SortingColumn(0)]}),
        "unknown-logical-type.parquet": (pa.table({"column with unknown type": pa.nulls(N), "x": x}), {}),
        "page_v2_empty_compressed.parquet": (
            pa.table({"integer_column": pa.nulls(N, pa.int32()), "x": x}),
            {"data_page_version": "2.0"},
        ),
        "time_and_duration.parquet": (
            pa.table({"t": pa.array(range(N), pa.time64("ns")), "d": pa.array(range(N), pa.duration("us")), "x": x}),
            {},
        ),
        "uuid.parquet": (
            pa.table({"u": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * N, pa.binary(16))), "x": x}),
            {},
        ),
        "json_convertible.parquet": (pa.table({"j": pa.ExtensionArray.from_storage(pa.json_(), texts), "x": x}), {}),
    }


class _Kms(pe.KmsClient):
    def __init__(self, config: object) -> None:
        super().__init__()

    def wrap_key(self, key: bytes, name: str) -> bytes:
        return key

    def unwrap_key(self, key: bytes, name: str) -> bytes:
        return key


def _encrypted(folder: Path) -> Iterator[Path]:
    kinds = {
        "encrypt_columns_and_footer.parquet": {"column_keys": {"k": ["secret"]}},
        "encrypt_columns_plaintext_footer.parquet": {"column_keys": {"k": ["secret"]}, "plaintext_footer": True},
        "uniform_encryption.parquet": {"uniform_encryption": True},
    }
    table = pa.table({"x": X, "secret": X})
    for name, options in kinds.items():
        factory = pe.CryptoFactory(lambda _: _Kms(None))
        config = pe.EncryptionConfiguration(footer_key="f", double_wrapping=False, **options)
        properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
        with pq.ParquetWriter(folder / name, table.schema, encryption_properties=properties) as writer:
            writer.write_table(table)
        yield folder / name


def _damaged(folder: Path) -> Iterator[Path]:
    """Cut or changed at places all over a file, as those of `bad_data`: enum values, page headers, levels, dictionaries."""
    for kind, options in {"plain": {"use_dictionary": False}, "dictionary": {}, "v2": {"data_page_version": "2.0"}}.items():
        table = pa.table({"x": X, "s": [f"text {i % 5}" for i in range(N)], "l": [[i] for i in range(N)]})
        pq.write_table(table, folder / "whole", compression="none", **options)
        whole = (folder / "whole").read_bytes()
        (folder / "whole").unlink()
        for i, at in enumerate(np.linspace(4, len(whole) - 5, 24).astype(int)):
            content = bytearray(whole)
            content[at] ^= (0xFF, 0x01, 0x80)[i % 3]
            yield _write(folder / f"{kind}-changed-at-{at}.parquet", bytes(content))
        for size in np.linspace(0, len(whole) - 1, 5).astype(int):
            yield _write(folder / f"{kind}-cut-at-{size}.parquet", whole[:size])


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def try_out(path: Path) -> str:
    """Plan and run a job over a file; returns what came of it."""
    runtime = {"engine": "local", "workers": 1, "backend": "numpy"}
    sink = path.with_suffix("")
    try:
        job = parse_job(
            {"source": {"path": str(path)}, "sink": {"path": str(sink)}, "windows": {"strides": []}, "runtime": runtime}
        )
        plan_report(job)
        outcome = run_job(job, LocalEngine(1))
    except EmberharmonyError as error:
        assert not (sink / "manifest.json").exists()
        return f"{type(error).__name__}: {error}"
    return f"rows: {sum(outcome.manifest.rows.values())}"


def main() -> None:
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    for path in build(folder):
        print(json.dumps([path.name, "begun"]), flush=True)
        print(json.dumps([path.name, try_out(path)]), flush=True)


if __name__ == "__main__":
    main()
