"""Column roles: each column has one, or an error says why not."""

import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnSpec, assign_roles

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "t": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "x": pa.float32(),
        "flag": pa.bool_(),
        "s": pa.string(),
        "nested": pa.struct({"a": pa.int8()}),
        "list": pa.list_(pa.int8()),
        "y": pa.decimal128(9, 2),
    }
)


def test_every_column_has_one_role():
    spec = ColumnSpec(time="t", target="y", drop=("day",), categorical=("id",), passthrough=("list",))
    roles = assign_roles(SCHEMA, spec)
    assert [(c.name, c.kind) for c in roles.features] == [
        ("id", "categorical"),
        ("t", "datetime"),
        ("x", "numeric"),
        ("flag", "boolean"),
        ("s", "categorical"),
    ]
    assert {c.name: c.reason for c in roles.dropped} == {
        "day": "dropped by the configuration",
        "nested": "struct columns are not supported",
    }
    assert roles.carried == ("t", "y", "list")
    assert sorted(roles.to_read) == ["flag", "id", "list", "s", "t", "x", "y"]
    assert sorted([*roles.to_read, *(c.name for c in roles.dropped)]) == sorted(SCHEMA.names)


@pytest.mark.parametrize(
    ("spec", "also", "message"),
    [
        (ColumnSpec(time="tt"), (), r"Column 'tt' is not in the table. (Did you mean|It has: id, t, day)"),
        (ColumnSpec(target="flagg"), (), "Column 'flagg' is not in the table. Did you mean 'flag'?"),
        (ColumnSpec(), ("nothing_like_it",), "Column 'nothing_like_it' is not in the table. It has: id, t, day"),
        (ColumnSpec(time="x"), (), "The time column 'x' is of type float; it has to be a timestamp or a date"),
        (ColumnSpec(categorical=("day",)), (), "Column 'day' is of type date32.*it cannot be of the kind 'categorical'"),
        (ColumnSpec(kinds={"s": "numeric"}), (), "Column 's' is of type string; it cannot be of the kind 'numeric'"),
        (ColumnSpec(kinds={"ss": "numeric"}), (), "Column 'ss' is not in the table"),
        (ColumnSpec(), ("list",), "Column 'list' is of type list.*cannot be a key of a hash split"),
        (ColumnSpec(drop=tuple(SCHEMA.names)), (), "No column is left to make features of: id, t, day, x, flag and 4 more"),
    ],
)
def test_what_cannot_be(spec, also, message):
    with pytest.raises(PlanError, match=message):
        assign_roles(SCHEMA, spec, also=also)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"time": "t", "target": "t"}, "Column 't' is given both as 'time' and as 'target'"),
        ({"drop": ("a", "a")}, "Column 'a' is given twice in 'drop'"),
        ({"categorical": ("a",), "passthrough": ("a",)}, "Column 'a' is given both as 'categorical' and as 'passthrough'"),
        ({"target": "a", "drop": ("a",)}, "Column 'a' is given both as"),
        ({"kinds": {"a": "numeric"}, "target": "a"}, "Column 'a' is given both as"),
        ({"kinds": {"a": "numeric"}, "categorical": ("a",)}, "Column 'a' is given both as"),
        (
            {"kinds": {"a": "numbers"}},
            "'numbers' is not a kind of column; the kinds are numeric, boolean, datetime, categorical",
        ),
        ({"high_null_threshold": 0.0}, r"share in \(0, 1\], got 0\.0"),
        ({"high_null_threshold": 1.1}, r"share in \(0, 1\], got 1\.1"),
    ],
)
def test_contradictions(roles, message):
    with pytest.raises(ValueError, match=message):
        ColumnSpec(**roles)


@pytest.mark.parametrize("name", ["split", "stride", "first_row", "last_row", "start_time", "end_time", "pc_1", "pc_32"])
def test_names_of_the_result_are_not_given_to_targets(name):
    with pytest.raises(PlanError, match=f"The name '{name}' is reserved"):
        assign_roles(SCHEMA.append(pa.field(name, pa.int8())), ColumnSpec(target=name))
    assign_roles(SCHEMA.append(pa.field(name, pa.int8())), ColumnSpec(target="y"))


@pytest.mark.parametrize("role", ["time", "target", "passthrough"])
def test_nothing_carried_is_called_split(role):
    schema = SCHEMA.append(pa.field("split", pa.timestamp("s")))
    with pytest.raises(PlanError, match="The name 'split' is reserved"):
        assign_roles(schema, ColumnSpec(**{role: ("split",) if role == "passthrough" else "split"}))


def test_a_job_gives_kinds_to_columns():
    roles = assign_roles(SCHEMA, ColumnSpec(time="t", kinds={"x": "categorical", "t": "datetime"}, drop=("list", "nested")))
    assert {"x": "categorical", "t": "datetime"}.items() <= {c.name: c.kind for c in roles.features}.items()


def test_row_number_is_kept():
    schema = SCHEMA.append(pa.field("row_number", pa.int8()))
    with pytest.raises(PlanError, match=r"'row_number' is reserved .* or `drop` that column"):
        assign_roles(schema, ColumnSpec())
    assert "row_number" not in assign_roles(schema, ColumnSpec(drop=("row_number",))).to_read


def test_a_name_that_many_columns_do_not_have():
    """Of 5,000 names a message lists a few."""
    schema = pa.schema([(f"column {i:04}", pa.float64()) for i in range(5_000)])
    with pytest.raises(PlanError) as refused:
        assign_roles(schema, ColumnSpec(target="y"))
    assert str(refused.value).startswith("Column 'y' is not in the table. It has: column 0000, column 0001, ")
    assert str(refused.value).endswith(" and 4,990 more.")
    with pytest.raises(PlanError, match=r"Did you mean 'column 4999'\?"):
        assign_roles(schema, ColumnSpec(target="colunm 4999"))
    with pytest.raises(PlanError) as refused:
        assign_roles(schema, ColumnSpec(target="y" * 100_000))
    assert len(str(refused.value)) < 1_000


def test_the_unnamed_index_of_a_pandas_frame_is_no_feature():
    schema = pa.schema({"x": pa.float64(), "__index_level_0__": pa.int64(), "__index_level_1__x": pa.int64()})
    roles = assign_roles(schema, ColumnSpec())
    assert [column.name for column in roles.features] == ["x", "__index_level_1__x"]
    assert [column.reason for column in roles.dropped] == ["the unnamed index of a pandas frame"]
    asked = assign_roles(schema, ColumnSpec(categorical=("__index_level_0__",)))
    assert "__index_level_0__" in [column.name for column in asked.features], "a column that is asked for is taken"


def test_a_table_without_features_says_which_columns_and_why():
    schema = pa.schema(
        {
            **{f"raw{i}": pa.binary() for i in range(7)},
            "took": pa.month_day_nano_interval(),
            "id": pa.uuid(),
            "m": pa.map_(pa.string(), pa.int8()),
            "y": pa.int64(),
            "k": pa.int64(),
            "x": pa.int64(),
        }
    )
    with pytest.raises(PlanError) as refused:
        assign_roles(schema, ColumnSpec(target="y", passthrough=("k",), drop=("x",)))
    assert str(refused.value) == (
        "No column is left to make features of: raw0, raw1, raw2, raw3, raw4 and 2 more (binary columns are not supported; "
        "if it holds UTF-8 texts, name it in columns.categorical); took (month_day_nano_interval columns are not supported); "
        "id (extension<arrow.uuid> columns are not supported); m (map columns are not supported); "
        "x (dropped by the configuration); and 2 more columns."
    )
    with pytest.raises(PlanError, match="the table has none"):
        assign_roles(pa.schema([]), ColumnSpec())


@pytest.mark.parametrize("role", ["time", "target"])
def test_a_role_needs_a_name(role):
    with pytest.raises(ValueError, match="is an empty name"):
        ColumnSpec(**{role: ""})
