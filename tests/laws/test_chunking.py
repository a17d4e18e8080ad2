"""Law 1: any chunks, in any order, from any files: the same splits, windows, names and values.

Law 4 for the whole job: every window once, as `sliding_window_view` gives them for each split's series.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from emberharmony.pipeline import gram_segments
from flows.engines.local import LocalEngine
from flows.flights import demo_config
from tests.backends import BACKENDS, on_device
from tests.jobs import SPLITS, Published, assert_published_alike, run_small, small_table, with_blocks, write_table

COLUMNS = {"time": "t", "target": "y", "passthrough": ["name"]}


class Shuffled(LocalEngine):
    """A local engine that runs the chunks of every stage in random order."""

    def __init__(self, seed: int) -> None:
        super().__init__(1)
        self._rng = np.random.default_rng(seed)

    def map(self, stage, ref, chunks):
        return super().map(stage, ref, self._rng.permutation(list(chunks)).tolist())


def with_null_times(table: pa.Table, share: float) -> pa.Table:
    missing = np.random.default_rng(1).random(table.num_rows) < share
    times = pa.array(np.ma.array(table["t"].cast(pa.int64()).to_numpy(), mask=missing).filled(0), mask=missing)
    return table.set_column(0, "t", times.cast(table["t"].type))


def assert_every_window_once(published: Published, table: pa.Table, job: dict) -> None:
    """Check feature rows against the source, and the windows of each split against its feature rows."""
    times = table["t"].cast(pa.int64()).to_numpy(zero_copy_only=False) if job["columns"].get("time") else None
    size, strides = job["windows"]["size"], job["windows"]["strides"]
    seen = []
    for split in SPLITS:
        rows = published.features[split]["row_number"].to_numpy()
        seen.append(rows)
        order = np.lexsort((rows, times[rows])) if times is not None else np.argsort(rows)
        np.testing.assert_array_equal(order, np.arange(len(rows)))  # in time order, ties by row number
        for name in ("y", "name"):
            assert published.features[split][name].to_pylist() == table[name].take(pa.array(rows)).to_pylist()
        for stride in strides:
            starts = np.lib.stride_tricks.sliding_window_view(rows, size)[::stride] if len(rows) >= size else rows[:0, None]
            windows = published.windows[stride][split]
            assert published.manifest["strides"][str(stride)]["windows"][split] == len(starts) == windows.num_rows
            if not len(starts):
                continue
            np.testing.assert_array_equal(windows["first_row"], starts[:, 0])
            np.testing.assert_array_equal(windows["last_row"], starts[:, -1])
            last = pa.array(starts[:, -1])
            assert windows["y"].to_pylist() == table["y"].take(last).to_pylist()
            if times is not None:
                assert windows["start_time"].to_pylist() == table["t"].take(pa.array(starts[:, 0])).to_pylist()
                assert windows["end_time"].to_pylist() == table["t"].take(last).to_pylist()
    seen = np.concatenate(seen)
    assert len(np.unique(seen)) == len(seen)
    left_out = published.manifest["left_out"] + published.manifest["null_times"]
    assert len(seen) + left_out == table.num_rows == published.manifest["source_rows"]


SPLIT_SPECS = {
    "temporal": {},
    "gap": {"gap": "PT2H", "fractions": [0.6, 0.2, 0.2]},
    "sequential": {"method": "sequential", "fractions": [0.55, 0.2, 0.25]},
    "random": {"method": "random", "seed": 3},
    "hash": {"method": "hash", "keys": ["block"], "fractions": [0.4, 0.3, 0.3]},
}
MAX_SIZE = {"random": 1, "hash": 3}
"""Largest window size of each method: larger windows are refused, because neighbouring rows fall into different splits."""

# Hypothesis tries the first values of all first, for each order and split: a common job, not 35 chunks of windows of one row.
CHUNK_ROWS = st.integers(-14, 23).map(lambda more: 17 + more)
GROUP_ROWS = st.sampled_from([7, 1, 33, 1000])
FILES = st.sampled_from([3, 1, 8])
SIZES = st.sampled_from([4, 1, 2, 3, 5, 6])


# Every order is tested instead of drawn: in another test, sixty drawn examples never contained "ties".
@pytest.mark.parametrize("order", ["sorted", "shuffled", "blocks", "ties"])
@pytest.mark.parametrize("split", SPLIT_SPECS)
@settings(max_examples=4)
@given(
    null_times=st.booleans(),
    n_rows=st.integers(90, 110),
    chunk_rows=st.one_of(CHUNK_ROWS, st.just(10_000)),
    group_rows=GROUP_ROWS,
    files=FILES,
    size=SIZES,
    strides=st.sampled_from([[1, 3, 5], [1], [2, 7], [1, 11]]),
    scale=st.sampled_from(["numeric", "all"]),
    seed=st.integers(0, 5),
)
def test_any_chunks_publish_the_same(
    tmp_path_factory, order, split, null_times, n_rows, chunk_rows, group_rows, files, size, strides, scale, seed
):
    folder = tmp_path_factory.mktemp("chunking")
    table = with_blocks(small_table(n_rows, seed=seed, order=order), 6)
    columns = COLUMNS | {"drop": ["block"]}
    size = min(size, MAX_SIZE.get(split, size))
    if null_times:
        table = with_null_times(table, 0.1)
        columns["null_time"] = "drop"
    job = {
        "columns": columns,
        "split": SPLIT_SPECS[split],
        "windows": {"size": size, "strides": strides},
        "numbers": {"scale": scale},
        "datetime": {"epoch": scale == "all"},
        "pca": {"components": 2 if size > 1 else 1},
    }
    whole = run_small(write_table(table, folder / "whole.parquet"), folder / "a", **job)
    source = write_table(table, folder / "parts.parquet", group_rows=group_rows, files=files)
    chunked = run_small(source, folder / "b", engine=Shuffled(seed), runtime={"chunk_rows": chunk_rows}, **job)
    assert_published_alike(chunked, whole)
    assert_every_window_once(whole, table, job)
    assert_every_window_once(chunked, table, job)


@settings(max_examples=12)
@given(
    chunk_rows=st.integers(1, 60),
    group_rows=st.integers(1, 60),
    size=st.integers(1, 5),
    method=st.sampled_from([None, "hash"]),
)
def test_without_a_time(tmp_path_factory, chunk_rows, group_rows, size, method):
    """Rows keep the source's order across files; the first rows train, or blocks of rows are split by hash."""
    folder = tmp_path_factory.mktemp("no-time")
    table = with_blocks(small_table(60, order="shuffled"), 6, by_time=False)
    split = SPLIT_SPECS["hash"] if method else {}
    size = min(size, MAX_SIZE["hash"]) if method else size
    columns = {"target": "y", "passthrough": ["name"], "drop": ["block"]}
    job = {"columns": columns, "windows": {"size": size, "strides": [1, 2]}, "split": split}
    job["pca"] = {"components": 2}
    whole = run_small(write_table(table, folder / "whole.parquet"), folder / "a", **job)
    source = write_table(table, folder / "parts.parquet", group_rows=group_rows, files=4)
    chunked = run_small(source, folder / "b", engine=Shuffled(chunk_rows), runtime={"chunk_rows": chunk_rows}, **job)
    assert_published_alike(chunked, whole)
    assert_every_window_once(chunked, table, job)
    if not method:
        numbers = {name: rows["row_number"].to_pylist() for name, rows in chunked.features.items()}
        assert numbers == {"train": [*range(48)], "validation": [*range(48, 54)], "test": [*range(54, 60)]}


@pytest.mark.parametrize("rows_per_split", [5, 7])
def test_a_split_of_hardly_more_rows_than_a_window(tmp_path, rows_per_split):
    table = small_table(4 * rows_per_split, order="blocks")
    job = {"columns": COLUMNS, "windows": {"size": 5, "strides": [1, 3, 5]}, "pca": {"components": 1}}
    job["split"] = {"fractions": [0.5, 0.25, 0.25]}
    whole = run_small(write_table(table, tmp_path / "s.parquet", group_rows=4), tmp_path / "whole", **job)
    assert whole.manifest["rows"] == {"train": 2 * rows_per_split, "validation": rows_per_split, "test": rows_per_split}
    for chunk_rows in (1, 3, 4, 7):
        runtime = {"chunk_rows": chunk_rows}
        chunked = run_small(tmp_path / "s.parquet", tmp_path / "o", engine=Shuffled(chunk_rows), runtime=runtime, **job)
        assert_published_alike(chunked, whole)
        assert_every_window_once(chunked, table, job)


@pytest.mark.parametrize("workers", [2, 3])
def test_chunks_side_by_side(tmp_path, workers):
    table = small_table(240)
    source = write_table(table, tmp_path / "s.parquet", group_rows=50)
    job = {"columns": COLUMNS}
    whole = run_small(source, tmp_path / "whole", **job)
    runtime = {"chunk_rows": 20, "workers": workers}
    assert_published_alike(run_small(source, tmp_path / "beside", runtime=runtime, **job), whole)


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_times_to_the_last_tick(tmp_path, unit):
    """Footers, buckets and boundaries do not round neighbouring ticks far from 1970."""
    table = small_table(100)
    first = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit] * 1_700_000_000 + 123
    ticks = first + np.random.default_rng(0).permutation(100)
    table = table.set_column(0, "t", pa.array(ticks, pa.timestamp(unit, "UTC")))
    job = {"columns": COLUMNS, "windows": {"size": 3, "strides": [1]}}
    whole = run_small(write_table(table, tmp_path / "s.parquet"), tmp_path / "whole", **job)
    write_table(table, tmp_path / "g.parquet", group_rows=10)
    for chunk_rows in (9, 64):
        chunked = run_small(tmp_path / "g.parquet", tmp_path / "o", runtime={"chunk_rows": chunk_rows}, **job)
        assert_published_alike(chunked, whole)
    assert whole.manifest["rows"] == {"train": 80, "validation": 10, "test": 10}
    assert_every_window_once(whole, table, job)


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()])
def test_dates_as_times(tmp_path, type_):
    days = pa.array(np.random.default_rng(0).permutation(150) // 2 + 19_000, pa.int32()).cast(pa.date32()).cast(type_)
    table = small_table(150).set_column(0, "t", days)
    job = {"columns": COLUMNS, "windows": {"size": 3, "strides": [1, 2]}, "split": {"gap": "P2D"}}
    whole = run_small(write_table(table, tmp_path / "s.parquet", group_rows=40), tmp_path / "whole", **job)
    chunked = run_small(tmp_path / "s.parquet", tmp_path / "o", runtime={"chunk_rows": 11}, **job)
    assert_published_alike(chunked, whole)
    assert whole.manifest["left_out"] == 8  # two days of two rows, before each boundary


def test_footers_without_statistics(tmp_path):
    """Without statistics, order and range are read from the column itself."""
    table = with_null_times(small_table(200), 0.05)
    pq.write_table(table, tmp_path / "with.parquet", row_group_size=30)
    pq.write_table(table, tmp_path / "without.parquet", row_group_size=30, write_statistics=False)
    job = {"columns": COLUMNS | {"null_time": "drop"}, "runtime": {"chunk_rows": 35}}
    a, b = (run_small(tmp_path / f"{name}.parquet", tmp_path / name, **job) for name in ("with", "without"))
    assert_published_alike(b, a)


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_columns_of_every_kind_are_carried_along(tmp_path, order):
    """Target and passthrough columns of any type, also dictionaries and structs, keep the source's values."""
    table = small_table(240, order=order)
    tags = pa.chunked_array([pa.array([f"{i % 7}-{j}" for i in range(60)]).dictionary_encode() for j in range(4)])
    table = table.append_column("tag", tags)
    table = table.append_column("struct", pa.array([{"a": i, "b": [i, None]} for i in range(240)]))
    table = table.set_column(table.column_names.index("y"), "y", pa.array([None, True, False] * 80))
    source = write_table(table, tmp_path / "s.parquet", group_rows=60)
    columns = COLUMNS | {"passthrough": ["name", "tag", "struct"]}
    flat = table.append_column("struct_a", pa.array(range(240))).append_column(
        "struct_b", pa.array([[i, None] for i in range(240)])
    )
    for chunk_rows in (1000, 25):
        published = run_small(source, tmp_path / "o", columns=columns, runtime={"chunk_rows": chunk_rows})
        for split in SPLITS:
            rows = published.features[split]
            expected = flat.take(rows["row_number"].combine_chunks())
            for name in ("y", "tag", "struct_a", "struct_b", "t"):
                assert rows[name].to_pylist() == expected[name].to_pylist()


def test_whether_states_pay_is_no_matter(tmp_path, monkeypatch):
    """The PCA is the same whether window states are kept for every chunk or computed later from joined rows."""
    source = write_table(small_table(200), tmp_path / "s.parquet", group_rows=30)
    job = {"columns": COLUMNS, "runtime": {"chunk_rows": 25}}
    results = []
    for limit in (0, 10**9):
        for module in ("emberharmony.pipeline.chunk_stages", "emberharmony.pipeline.gram_segments"):
            monkeypatch.setattr(f"{module}.state_pays", lambda n_bytes, windows, n_features, limit=limit: n_bytes > limit)
        results.append(run_small(source, tmp_path / str(limit), **job))
    assert gram_segments.state_pays(1, None, 0) is False
    assert_published_alike(results[1], results[0])


@pytest.mark.parametrize("other", BACKENDS)
def test_equal_eigenvalues(tmp_path, monkeypatch, other):
    """Balanced categories have components of equal variance; every chunking and backend chooses the same basis for them."""
    number = np.arange(600)  # four times all combinations of values in the training rows
    codes = {"three": number % 3, "four": number // 3 % 4, "ten": number // 12 % 10, "same": number // 3 % 4}
    columns = {name: pa.array([f"v{v}" for v in values]) for name, values in codes.items()}
    table = pa.table({"t": pa.array(number, pa.timestamp("us")), "y": number / 7, **columns})
    source = write_table(table, tmp_path / "s.parquet", group_rows=100)
    job = {"columns": {"time": "t", "target": "y"}, "windows": {"size": 1, "strides": [1]}, "numbers": {"scale": "all"}}
    for module in ("emberharmony.pipeline.chunk_stages", "emberharmony.pipeline.gram_segments"):
        monkeypatch.setattr(
            f"{module}.state_pays", lambda n_bytes, windows, n_features: True
        )  # otherwise short chunks are joined again
    for components in (4, 20):  # groups of three and two equal eigenvalues; then a null space
        job["pca"] = {"components": components}
        whole = run_small(source, tmp_path / "whole", **job)
        runtime = {"backend": on_device(other), "chunk_rows": 130}
        assert_published_alike(run_small(source, tmp_path / "o", runtime=runtime, **job), whole)


N_FLIGHTS = 5_612
FLIGHT_CHUNKS = [281, 433, 555, 666, 1_000, 1_092, 1_123, 1_403, 1_870, 2_184, 2_500, 2_806, 4_000, 5_000]
FLIGHT_CHUNKS += [832, 833, 834]  # about a row group
FLIGHT_CHUNKS += [N_FLIGHTS - 1, N_FLIGHTS, 1_000_000]  # about the table


@pytest.fixture
def flights_job() -> dict:
    """The demo's job with fewer categories: every kind of column, but a tenth of the columns to write."""
    job = yaml.safe_load(demo_config().read_text())
    return {name: section for name, section in job.items() if name not in ("source", "sink", "runtime")} | {
        "categories": {"max_categories": 4}
    }


def test_the_flights_in_20_sizes_of_chunks(flights_file, flights_job, tmp_path):
    """Every chunk size gives the same result for a sixtieth of the flights, which stay out of order."""
    table = pq.read_table(flights_file)
    rows = np.sort(np.random.default_rng(0).choice(len(table), N_FLIGHTS, replace=False))
    source = write_table(table.take(pa.array(rows)), tmp_path / "flights.parquet", group_rows=833)
    whole = run_small(source, tmp_path / "whole", **flights_job)
    assert whole.manifest["rows"]["train"] > 4_000
    assert len({*FLIGHT_CHUNKS}) == 20
    for chunk_rows in FLIGHT_CHUNKS:
        runtime = {"chunk_rows": chunk_rows}
        chunked = run_small(source, tmp_path / "chunked", engine=Shuffled(chunk_rows), runtime=runtime, **flights_job)
        assert_published_alike(chunked, whole)


def test_a_tenth_of_the_flights_in_300_chunks_and_in_one(tenth_of_flights, flights_job, tmp_path):
    whole = run_small(tenth_of_flights, tmp_path / "whole", runtime={"chunk_rows": 100_000}, **flights_job)
    chunked = run_small(tenth_of_flights, tmp_path / "chunked", runtime={"chunk_rows": 112}, **flights_job)
    assert_published_alike(chunked, whole)
