"""Kinds of a table's columns."""

import pyarrow as pa
import pyarrow.parquet as pq


def test_row_count_and_column_types(path, extractor, tmp_path):
    assert extractor.row_count(path) == 900
    types = extractor.detect_column_types(path)
    assert types.numeric == ["walk", "count", "y"]
    assert types.datetime == ["t", "other"]
    assert types.categorical == ["color", "name"]
    assert types.boolean == ["flag"]
    odd = pa.table({"s": [{"a": 1}], "l": [[1]], "b": [b"x"], "x": [1.5]})
    pq.write_table(odd, tmp_path / "odd.parquet")
    for table in (odd, tmp_path / "odd.parquet"):
        types = extractor.detect_column_types(table)
        assert (types.struct, types.unsupported, types.numeric) == (["s"], ["l", "b"], ["s_a", "x"])
