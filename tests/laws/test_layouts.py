"""Law 1 for layouts: nested columns and files that differ losslessly never change the result; a state takes them all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.errors import DataError, PlanError
from emberharmony.features import TerabyteFeatureExtractor
from emberharmony.features.columns import ColumnSpec
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.spec import PipelineSpec
from tests.jobs import assert_published_alike, run_small
from tests.laws.test_apply import apply_to, parts

N = 120


def flat_table(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)

    def some(values):
        return [None if rng.random() < 0.1 else value for value in values]

    return pa.table(
        {
            "t": pa.array(pd.date_range("2024-03-01", periods=N, freq="h", tz="UTC").as_unit("ms")),
            "place_lat": pa.array(some(rng.normal(size=N).tolist())),
            "place_kind": pa.array(some([f"kind {i}" for i in rng.integers(0, 4, N)])),
            "place_seen_first": pa.array(some(range(N)), pa.duration("s")),
            "vector_0": pa.array(some(rng.normal(size=N).tolist()), pa.float32()),
            "vector_1": pa.array(some(rng.normal(size=N).tolist()), pa.float32()),
            "count": pa.array(some(rng.integers(0, 9, N).tolist()), pa.int64()),
            "y": pa.array(rng.normal(size=N)),
        }
    )


def nested(table: pa.Table) -> pa.Table:
    """The same values in a struct of structs, null where all of its values are, and in a vector."""
    rows = [
        {"lat": row["place_lat"], "kind": row["place_kind"], "seen": {"first": row["place_seen_first"]}}
        for row in table.to_pylist()
    ]
    rows = [None if row == {"lat": None, "kind": None, "seen": {"first": None}} else row for row in rows]
    type_ = pa.struct({"lat": pa.float64(), "kind": pa.string(), "seen": pa.struct({"first": pa.duration("s")})})
    vectors = list(zip(table["vector_0"].to_pylist(), table["vector_1"].to_pylist(), strict=True))
    return pa.table(
        {
            "t": table["t"],
            "place": pa.array(rows, type_),
            "vector": pa.array(vectors, pa.list_(pa.float32(), 2)),
            "count": table["count"],
            "y": table["y"],
        }
    )


JOB: dict[str, Any] = {
    "columns": {"time": "t", "target": "y", "passthrough": ["place_kind"]},
    "windows": {"size": 3, "strides": [2]},
    "datetime": {"time_zone": "+05:30", "epoch": True},
}


def test_nested_columns_are_flat_ones(tmp_path):
    table, runtime = flat_table(), {"chunk_rows": 50}
    pq.write_table(table, tmp_path / "flat.parquet", row_group_size=40)
    pq.write_table(nested(table), tmp_path / "nested.parquet", row_group_size=40)
    flat = run_small(tmp_path / "flat.parquet", tmp_path / "flat", **JOB, runtime=runtime)
    assert_published_alike(run_small(tmp_path / "nested.parquet", tmp_path / "nested", **JOB, runtime=runtime), flat)
    for state in ("flat", "nested"):
        results = [tmp_path / f"{state} {source}" for source in ("flat", "nested")]
        for source, result in zip(("flat", "nested"), results, strict=True):
            apply_to(tmp_path / f"{source}.parquet", tmp_path / state, result)
        a, b = (parts(result / "features/split=apply") for result in results)
        assert a.drop_columns("t").equals(b.drop_columns("t"))


CHANGES = {
    "t": [pa.timestamp("us", "UTC"), pa.timestamp("ns", "+00:00")],
    "place_kind": [pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string_view(), pa.binary()],
    "place_seen_first": [pa.duration("us")],
    "vector_0": [pa.float64()],
    "count": [pa.int8(), pa.float64(), pa.uint16()],
}


@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_files_that_differ_losslessly_are_one_table(tmp_path_factory, data):
    """Against the same files of one schema; the state of one is applied to the other."""
    folder, table = tmp_path_factory.mktemp("files"), flat_table()
    for name in ("same", "other"):
        (folder / name).mkdir()
    for i in range(3):
        rows = table.slice(40 * i, 40)
        pq.write_table(rows, folder / "same" / f"{i}.parquet")
        for name, types in CHANGES.items():
            place = rows.schema.names.index(name)
            type_ = data.draw(st.sampled_from([rows.schema.field(name).type, *types]), label=name)
            rows = rows.set_column(place, name, rows[name].cast(type_))
        rows = rows.append_column("junk", pa.nulls(40) if data.draw(st.booleans()) else pa.array([f"{i}"] * 40))
        pq.write_table(rows, folder / "other" / f"{i}.parquet")
    job = JOB | {"columns": {"time": "t", "target": "y"}}
    same = run_small(folder / "same", folder / "a", **job)
    other = run_small(folder / "other", folder / "b", **job | {"columns": job["columns"] | {"drop": ["junk"]}})
    assert other.feature_names == same.feature_names
    for split, expected in same.features.items():
        np.testing.assert_allclose(other.block(split), same.block(split), atol=1e-6)
        assert other.features[split]["row_number"].equals(expected["row_number"])
    apply_to(folder / "other", folder / "a", folder / "c")
    applied = parts(folder / "c/features/split=apply")
    for split, expected in same.features.items():
        rows = applied.take(expected["row_number"])
        for name in same.feature_names:
            np.testing.assert_allclose(rows[name], expected[name], atol=1e-6, err_msg=f"{name} of {split}")


def test_roles_of_nested_columns(tmp_path):
    pq.write_table(nested(flat_table()), tmp_path / "t.parquet")
    columns = {"target": "place_lat", "drop": ["vector"], "passthrough": ["place_seen"], "categorical": ["count"]}
    published = run_small(tmp_path / "t.parquet", tmp_path / "o", columns=columns | {"time": "t"}, windows={"strides": []})
    assert published.features["train"].column_names[:4] == ["row_number", "t", "place_lat", "place_seen_first"]
    assert not [name for name in published.feature_names if name.startswith(("vector", "place_lat", "place_seen"))]
    assert {"vector_0", "vector_1"} <= published.manifest["dropped"].keys()
    apply_to(tmp_path / "t.parquet", tmp_path / "o", tmp_path / "a")
    assert parts(tmp_path / "a/features/split=apply").column_names[:4] == published.features["train"].column_names[:4]
    for roles in ({"target": "place_lat", "drop": ["place"]}, {"passthrough": ["place_seen"], "drop": ["place"]}):
        with pytest.raises(
            PlanError, match=r"Column 'place_\w+' is given two roles, one of them as a part of a nested column"
        ):
            run_small(tmp_path / "t.parquet", tmp_path / "o", columns=roles)
    for role in ({"target": "place"}, {"categorical": ["place_seen"]}, {"time": "place"}, {"kinds": {"vector": "numeric"}}):
        with pytest.raises(PlanError, match=r"Column '\w+' is nested, and read as the columns .*Name one of these instead"):
            run_small(tmp_path / "t.parquet", tmp_path / "o", columns=role)


def test_columns_are_refused_only_where_a_job_uses_them(tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    pq.write_table(flat_table(), folder / "0.parquet")
    wrong = flat_table().set_column(6, "count", pa.array([f"{i}" for i in range(N)])).drop_columns("vector_1")
    pq.write_table(wrong, folder / "1.parquet")
    with pytest.raises(DataError, match=r"Column 'vector_1' is float in .*0\.parquet and missing in .*1\.parquet"):
        run_small(folder, tmp_path / "o", columns={"drop": ["count"]})
    with pytest.raises(DataError, match=r"Column 'vector_1' is float in .*0\.parquet and missing in .*1\.parquet"):
        make_plan(PipelineSpec(ParquetSourceSpec(str(folder)), ColumnSpec(time="t", drop=("count",))), Resources())
    with pytest.raises(DataError, match=r"Column 'count' is int64 in .*0\.parquet and string in .*1\.parquet"):
        run_small(folder, tmp_path / "o", columns={"drop": ["vector_1"], "target": "count"})
    published = run_small(folder, tmp_path / "o", columns={"drop": ["count", "vector_1"]}, windows={"strides": []})
    assert sum(published.manifest["rows"].values()) == 2 * N
    nulls: dict[str, Any] = {"source": {"path": str(folder), "missing_columns": None}, "windows": {"strides": []}}
    published = run_small(folder, tmp_path / "o", **nulls, columns={"drop": ["count"]})
    assert "vector_1" in published.feature_names


def test_bytes_that_hold_texts(tmp_path):
    words = [b"red", b"blue", None] * 40
    pq.write_table(pa.table({"x": range(N), "s": pa.array(words)}), tmp_path / "t.parquet")
    job: dict[str, Any] = {"columns": {"categorical": ["s"]}, "windows": {"strides": []}}
    published = run_small(tmp_path / "t.parquet", tmp_path / "o", **job)
    assert published.feature_names == ["x", "s_blue", "s_red", "s_other", "s_null"]
    pq.write_table(pa.table({"x": range(3), "s": ["red", "blue", None]}), tmp_path / "n.parquet")
    apply_to(tmp_path / "n.parquet", tmp_path / "o", tmp_path / "a")
    assert parts(tmp_path / "a/features/split=apply")["s_red"].to_pylist() == [1, 0, 0]
    for place in (0, N - 1):  # in training, and after it
        bad = [*words[:place], b"caf\xe9", *words[place + 1 :]]
        pq.write_table(pa.table({"x": range(N), "s": pa.array(bad)}), tmp_path / "t.parquet")
        with pytest.raises(DataError, match=r"Column 's' holds b'caf\\xe9', which is not UTF-8 text"):
            run_small(tmp_path / "t.parquet", tmp_path / "o", **job)


@pytest.mark.parametrize("form", ["file", "frame", "pandas"])
def test_the_notebook_takes_nested_columns(tmp_path, form):
    table = flat_table()
    pq.write_table(nested(table), tmp_path / "t.parquet")
    given = {
        "file": tmp_path / "t.parquet",
        "frame": nested(table),
        "pandas": nested(table).drop_columns("vector").to_pandas(),
    }[form]
    flat = table.drop_columns(["vector_0", "vector_1"]) if form == "pandas" else table
    extractor = TerabyteFeatureExtractor(verbose=False, max_memory_gb=4, preferred_backend="numpy")
    options: dict[str, Any] = {"target_column": "y", "index_col": "t", "time_zone": "+05:30"}
    got, expected = (extractor.prepare_data(source, **options) for source in (given, flat))
    assert got.feature_names == expected.feature_names
    for a, b in ((got.train, expected.train), (got.test, expected.test)):
        np.testing.assert_allclose(a, b, atol=1e-6)
