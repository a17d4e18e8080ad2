"""The floor's shapes against those of a result, and its files against the result's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import floor
from benchmarks.floor import Floor, Shape, decode, encode_and_write, measure_floor, multiply, on_all_cores, settings_of
from benchmarks.measure import Cost

SIZE = 3


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Files as a job leaves them: 2 features, 3 components, strides 1 and 2."""
    folder = tmp_path_factory.mktemp("result")
    rng = np.random.default_rng(0)
    for split, n_rows in {"train": 8, "validation": 2}.items():
        columns = {"row_number": np.arange(n_rows), "a": rng.normal(size=n_rows).astype(np.float32)}
        columns["b"] = np.zeros(n_rows, np.float32)
        path = folder / f"features/split={split}/part-00000.parquet"
        path.parent.mkdir(parents=True)
        compression = {"row_number": "none", "a": "none", "b": "lz4"}
        pq.write_table(
            pa.table(columns), path, row_group_size=4, use_dictionary=["b"], compression=compression,
            write_statistics=["row_number"],
        )  # fmt: skip
    for stride, n_windows in {1: 6, 2: 3}.items():
        columns = {"first_row": np.arange(n_windows)} | {f"pc_{i}": np.zeros(n_windows, np.float32) for i in (1, 2, 3)}
        path = folder / f"windows/stride={stride}/split=train/part-00000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path)
    return folder


def test_shapes_are_those_of_the_files(result):
    shape = Shape.of(result, size=SIZE)
    assert shape == Shape(train_rows=8, n_features=2, size=3, n_windows=9, n_components=3)
    # Two features and the one, times the same three of each of the next rows.
    assert shape.gram_operations == 2 * 8 * 3 * (3 * 3)
    assert shape.project_operations == 2 * 9 * (3 * 2) * 3


def test_files_are_encoded_as_the_jobs_files_are(result, tmp_path):
    path = result / "features/split=train/part-00000.parquet"
    settings = settings_of(pq.read_metadata(path))
    assert settings == {
        "row_group_size": 4,
        "use_dictionary": ["b"],
        "compression": {"row_number": "NONE", "a": "NONE", "b": "LZ4"},
        "write_statistics": ["row_number"],
    }
    pq.write_table(pq.ParquetFile(path).read(), tmp_path / "again.parquet", **settings)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_a_part_without_rows_can_be_encoded_again(tmp_path):
    pq.write_table(pa.table({"x": pa.array([], pa.float32())}), tmp_path / "empty.parquet")
    settings = settings_of(pq.read_metadata(tmp_path / "empty.parquet"))
    pq.write_table(pa.table({"x": pa.array([], pa.float32())}), tmp_path / "again.parquet", **settings)


def test_all_parts_are_encoded_written_and_removed(result, tmp_path, monkeypatch):
    sizes, encoded = [], []
    encode, write = floor._encode, floor._write
    monkeypatch.setattr(floor, "_encode", lambda part: encoded.append(encode(part)))
    monkeypatch.setattr(floor, "_write", lambda file: (write(file), sizes.append(file[0].stat().st_size)))
    encode_and_write(result, tmp_path)
    assert sorted(sizes) == sorted(encoded) == sorted(path.stat().st_size for path in result.rglob("*.parquet"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_blocks", [0, 1, 5])
def test_as_many_products_as_blocks(n_blocks, monkeypatch):
    counted = []
    matmul = np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b, out: (counted.append(out.shape), matmul(a, b, out=out)))
    multiply(n_blocks, (2, 7), (7, 3), np.float32)
    assert counted == [(2, 3)] * n_blocks


def test_every_row_group_is_decoded_once(tmp_path, monkeypatch):
    pq.write_table(pa.table({"x": np.arange(10)}), tmp_path / "t.parquet", row_group_size=3)
    seen = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, **kw: seen.append(read(self, i, **kw)["x"].to_pylist())
    )
    decode(tmp_path / "t.parquet")
    assert sorted(x for group in seen for x in group) == list(range(10))


def test_the_floor_is_the_sum_of_its_parts(result, tmp_path):
    pq.write_table(pa.table({"x": np.arange(10)}), tmp_path / "t.parquet")
    found = measure_floor(tmp_path / "t.parquet", result, size=SIZE)
    assert list(found.parts) == ["decode", "gram", "project", "encode", "write"]
    assert found.total.seconds == pytest.approx(sum(cost.seconds for cost in found.parts.values()))
    assert found.total.cpu_seconds == pytest.approx(sum(cost.cpu_seconds for cost in found.parts.values()))


def test_the_median_of_floors_is_taken_part_by_part():
    floors = [Floor(*(Cost(float(i + part), 0.0) for part in range(6))) for i in (0, 5, 1)]
    assert [cost.seconds for cost in Floor.median(floors).parts.values()] == [1.0, 2.0, 4.0, 5.0, 6.0]


def test_results_come_in_the_order_of_items():
    assert on_all_cores(lambda n: n * n, range(20)) == [n * n for n in range(20)]
