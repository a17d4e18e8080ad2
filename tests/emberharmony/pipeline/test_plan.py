"""Plans of whole jobs: order found, chunks cut, boundaries placed, memory kept; and refusals before a row is read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberharmony.errors import DataError, PlanError
from emberharmony.features.columns import ColumnSpec, assign_roles
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.sources.parquet import read
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.pipeline.plan import Resources, make_plan
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.pipeline.split_checks import check_split_sizes
from emberharmony.pipeline.vocabulary import categorical_columns, vocabulary_bounds
from emberharmony.splits import SplitSpec
from emberharmony.windows import WindowSpec
from tests.jobs import small_table, write_table

TIME = ColumnSpec(time="t", target="y")


def planned(path, *, columns=TIME, chunk_rows=None, max_memory_gb=4.0, **spec):
    spec = PipelineSpec(source=ParquetSourceSpec(str(path)), columns=columns, **spec)
    return make_plan(spec, Resources(chunk_rows, max_memory_gb, 1, "numpy"))


def boundary_times(table, fractions=(0.8, 0.1)):
    ticks = np.sort(table["t"].cast(pa.int64()).to_numpy())
    return ticks[round(fractions[0] * len(ticks))], ticks[round(sum(fractions) * len(ticks))]


@pytest.mark.parametrize(("order", "in_order"), [("sorted", True), ("shuffled", False), ("blocks", False), ("ties", False)])
@pytest.mark.parametrize("chunk_rows", [None, 17])
def test_order_and_boundaries(tmp_path, order, in_order, chunk_rows):
    table = small_table(200, order=order)
    plan = planned(write_table(table, tmp_path / "t.parquet", group_rows=30), chunk_rows=chunk_rows)
    assert plan.in_order == in_order
    assert (plan.boundaries.validation, plan.boundaries.test) == boundary_times(table)
    assert sum(chunk.n_rows for chunk in plan.chunks) == plan.n_rows == 200
    assert all((chunk.times is None) == in_order for chunk in plan.chunks)


def test_groups_in_order_whose_rows_are_not(tmp_path):
    """Sorted as a chunk is read, as long as no group has to be cut."""
    table = small_table(100, order="sorted")
    rows = np.concatenate([i + np.random.default_rng(0).permutation(25) for i in range(0, 100, 25)])
    path = write_table(table.take(pa.array(rows)), tmp_path / "t.parquet", group_rows=25)
    whole, cut = planned(path, chunk_rows=50), planned(path, chunk_rows=10)
    assert whole.in_order
    assert not cut.in_order
    assert whole.boundaries == cut.boundaries
    assert (cut.boundaries.validation, cut.boundaries.test) == boundary_times(table)


def test_a_plan_in_order_reads_the_rows_at_its_boundaries_only(tmp_path, monkeypatch):
    path = write_table(small_table(200, order="sorted"), tmp_path / "t.parquet", group_rows=20)
    looked_at = []
    batches = read.row_batches

    def watched(source, group, kind, *args):
        looked_at.append((group.first_row, list(kind.dotted)))
        return batches(source, group, kind, *args)

    monkeypatch.setattr(read, "row_batches", watched)
    planned(path)
    assert {row for row, _ in looked_at} <= {160, 180}  # the groups of the two boundaries
    assert all(columns == ["t"] for _, columns in looked_at)


def test_a_gap_in_ticks(tmp_path):
    from datetime import timedelta

    path = write_table(small_table(100), tmp_path / "t.parquet")
    plan = planned(path, split=SplitSpec(gap=timedelta(days=1, microseconds=7)))
    assert plan.boundaries.gap == 86_400_000_007


def test_rows_without_a_time(tmp_path):
    table = small_table(100)
    times = pa.array(table["t"].to_pylist()[:97] + [None] * 3, table["t"].type)
    path = write_table(table.set_column(0, "t", times), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"3 rows have no time in 't'.*null_time: drop"):
        planned(path)
    plan = planned(path, columns=ColumnSpec(time="t", null_time="drop"))
    assert (plan.n_rows, plan.n_null_times) == (97, 3)


def test_rows_of_one_time_are_in_the_projection(tmp_path):
    """Half of the rows have one time: no chunk can part them, so the plan needs room for all of them."""
    table = small_table(4_000)
    ticks = table["t"].cast(pa.int64()).to_numpy().copy()
    ticks[::2] = ticks[0]
    path = write_table(table.set_column(0, "t", pa.array(ticks, table["t"].type)), tmp_path / "t.parquet", group_rows=500)
    plan = planned(path, chunk_rows=100)
    assert max(chunk.n_rows for chunk in plan.chunks) >= 2_000
    spread = planned(write_table(table, tmp_path / "spread.parquet", group_rows=500), chunk_rows=100)
    assert plan.memory.chunk_bytes > spread.memory.chunk_bytes


def test_refused_before_a_row_is_read(tmp_path, monkeypatch):
    path = write_table(small_table(100), tmp_path / "t.parquet")
    monkeypatch.setattr(read, "row_batches", lambda *_: pytest.fail("a row was read"))
    with pytest.raises(PlanError, match="needs a time column"):
        planned(path, columns=ColumnSpec(), split=SplitSpec(method="temporal"))
    with pytest.raises(PlanError, match=r"allowed by runtime\.max_memory_gb"):
        planned(path, max_memory_gb=0.01)
    with pytest.raises(PlanError, match="'nope' is not in the table"):
        planned(path, split=SplitSpec(method="hash", keys=("nope",)))


def test_splits_smaller_than_a_window():
    spec = PipelineSpec(source=ParquetSourceSpec("t"), windows=WindowSpec(size=5))
    check_split_sizes({"train": 5, "validation": 5, "test": 5}, spec)
    with pytest.raises(PlanError, match="The test split has 4 rows of 14, fewer than one window of 5"):
        check_split_sizes({"train": 5, "validation": 5, "test": 4}, spec)
    none_wanted = PipelineSpec(source=ParquetSourceSpec("t"), split=SplitSpec(fractions=(0.8, 0.2, 0.0)))
    check_split_sizes({"train": 5, "validation": 5, "test": 0}, none_wanted)


def test_categories_are_counted_before_a_small_table_is_refused(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    table = small_table(3000)
    texts = pa.array([f"text {i}" for i in range(3000)], mask=rng.random(3000) < 0.1)
    columns = {"few": pa.array(rng.integers(0, 7, 3000)), "twice": table["color"].dictionary_encode(), "many": texts}
    for name, values in columns.items():
        table = table.append_column(name, values)
    path = write_table(table.select(["t", "y", "color", *columns]), tmp_path / "t.parquet", group_rows=700)
    spec = ColumnSpec(time="t", target="y", categorical=("few",))
    source = ParquetSource(ParquetSourceSpec(str(path)))
    info = source.describe()
    names = categorical_columns(assign_roles(info.schema, spec), FeatureSpecs())
    counted = vocabulary_bounds(source, info, names, max_categories=100)
    assert counted == {"color": 5, "few": 7, "twice": 5, "many": 100}

    # Whatever other tests have left in this process.
    monkeypatch.setattr("emberharmony.pipeline.plan.resident_bytes", lambda: 200 * 2**20)
    need = {"columns": spec, "max_memory_gb": 0.75, "windows": WindowSpec(size=15)}
    assert planned(path, **need).memory.projected_bytes <= 0.75 * 2**30
    monkeypatch.setattr("emberharmony.pipeline.vocabulary.MAX_COUNTED_BYTES", 1000)
    with pytest.raises(PlanError, match=r"up to 4\d\d now; see categories\.max_categories"):
        planned(path, **need)


@pytest.mark.parametrize("target", [pa.nulls(200, pa.float64()), pa.nulls(200)], ids=["double", "null"])
@pytest.mark.parametrize("told", [True, ["t"]], ids=["told", "not told"])
def test_a_target_without_a_value_is_refused(tmp_path, target, told):
    table = small_table(200)
    table = table.set_column(table.schema.get_field_index("y"), "y", target)
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=70, write_statistics=told)
    with pytest.raises(DataError, match=r"The target 'y' is null in every row.* Name another `columns.target`"):
        planned(path)


@pytest.mark.parametrize("target", [[None] * 199 + [1.0], [None] * 199 + [[1.0]]], ids=["double", "list"])
@pytest.mark.parametrize("told", [True, ["t"]], ids=["told", "not told"])
def test_a_target_with_one_value_is_not(tmp_path, target, told):
    table = small_table(200)
    table = table.set_column(table.schema.get_field_index("y"), "y", pa.array(target))
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=70, write_statistics=told)
    assert planned(tmp_path / "t.parquet").n_rows == 200


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_chunks_of_a_row_are_refused_before_any_is_read(tmp_path, order):
    path = write_table(small_table(2_000, order=order), tmp_path / "t.parquet", group_rows=500)
    with pytest.raises(PlanError, match=r"chunk_rows: 1 makes 2,000 chunks of 2,000 rows\. .* Set it to 4 or more"):
        planned(path, chunk_rows=1)
    assert len(planned(path, chunk_rows=4).chunks) >= 500
